//! TLS: the certificate of the broker, and its replacement while the broker runs.
//!
//! A leaf: it owns the content of the two files and the settings of TLS connections. It does not know how connections are
//! accepted, and sees no bytes of theirs.

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

/// The current certificate, shared by all workers.
pub(crate) struct Certificates {
    files: CertificateFiles,
    current: RwLock<Arc<ServerConfig>>,
    expires_unix: AtomicU64,
    /// The appearance of the files when they were last read, with or without success.
    seen: Mutex<Option<Appearance>>,
}

/// The modification times and lengths of both files. They tell whether a file has changed.
type Appearance = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// If they are not a certificate and a key that can be used now.
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

    /// Returns the settings for the next connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns when the certificate expires, in seconds since 1970.
    pub(crate) fn expires_unix(&self) -> u64 {
        self.expires_unix.load(Ordering::Relaxed)
    }

    /// Reads the files again if they have changed since the last time. Blocks while the file system does not answer.
    pub(crate) fn reload_if_changed(&self) {
        let now = appearance(&self.files);
        let is_known = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Some(now);
        if !is_known {
            self.reload();
        }
    }

    /// Reads the files again. If they cannot be used, logs the reason and keeps the old certificate.
    pub(crate) fn reload(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(appearance(&self.files));
        match certificate::load(&self.files) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded.config;
                self.expires_unix.store(loaded.expires_unix, Ordering::Relaxed);
                tracing::info!(expires = loaded.expires, "certificate reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate cannot be used: the broker keeps the old one")
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
