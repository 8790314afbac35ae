//! TLS: the certificate the broker shows, and how a new one takes its place while it runs.
//!
//! A leaf: it owns what is read from the two files and the settings every TLS connection is made with. It does not know how
//! connections are accepted, and no bytes of theirs pass through here.

mod certificate;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;

pub use certificate::TlsError;

/// The files of a certificate: the chain, the broker's own certificate first, and the private key of that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// The certificate that is shown now. Shared by all workers.
pub(crate) struct Certificates {
    files: CertificateFiles,
    current: RwLock<Arc<ServerConfig>>,
    expires_unix: AtomicU64,
    /// What the files looked like when they were last read, well or in vain.
    seen: Mutex<Option<Appearance>>,
}

/// What tells a file that was changed from one that was not: when it was written, and how long it is.
type Appearance = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// If they are not a certificate and key that can be shown now.
    pub(crate) fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let seen = appearance(&files);
        let loaded = certificate::load(&files)?;
        Ok(Self {
            files,
            current: RwLock::new(loaded.config),
            expires_unix: AtomicU64::new(loaded.expires_unix),
            seen: Mutex::new(Some(seen)),
        })
    }

    /// What the next connection is accepted with.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the certificate expires, in seconds since 1970.
    pub(crate) fn expires_unix(&self) -> u64 {
        self.expires_unix.load(Ordering::Relaxed)
    }

    /// Reads the files again if they have changed since they were last read.
    pub(crate) fn reload_if_changed(&self) {
        let now = appearance(&self.files);
        let is_known = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Some(now);
        if !is_known {
            self.reload();
        }
    }

    /// Reads the files again. What is wrong with them is logged, and what was shown so far is shown on.
    pub(crate) fn reload(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(appearance(&self.files));
        match certificate::load(&self.files) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded.config;
                self.expires_unix.store(loaded.expires_unix, Ordering::Relaxed);
                tracing::info!(expires = loaded.expires, "certificate reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is not taken: the old one is shown on")
            }
        }
    }
}

fn appearance(files: &CertificateFiles) -> Appearance {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}
