//! A certificate made for one run: files for the server, and clients that trust this certificate and no other.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ClientConfig, RootCertStore};

use super::Directory;
use crate::error::BenchError;

/// Readable by the user alone.
const PRIVATE: u32 = 0o600;

/// A self-signed certificate for 127.0.0.1 and its key, as files.
#[derive(Debug)]
pub(crate) struct Certificate {
    directory: Directory,
    own: CertificateDer<'static>,
}

impl Certificate {
    /// A new certificate with a new key.
    pub(crate) fn make() -> Result<Self, BenchError> {
        let failed = |error| BenchError::System("making a certificate", error);
        let directory = Directory::make().map_err(failed)?;
        let key = KeyPair::generate().map_err(io::Error::other).map_err(failed)?;
        let signed = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .and_then(|certificate| certificate.self_signed(&key))
            .map_err(io::Error::other)
            .map_err(failed)?;
        let certificate = Self { directory, own: signed.der().clone() };
        write_private(&certificate.key_path(), &key.serialize_pem()).map_err(failed)?;
        write_private(&certificate.path(), &signed.pem()).map_err(failed)?;
        Ok(certificate)
    }

    /// The file of the certificate.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The file of its key.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// The TLS settings of clients of a server with this certificate. Each connection shakes hands in full, as that of a browser
    /// that was never there before, and would rather have AES-128 than AES-256, as browsers do (Chromium and Firefox offer
    /// `TLS_AES_128_GCM_SHA256` first).
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, BenchError> {
        let failed = |error| BenchError::System("preparing TLS", io::Error::other(error));
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).map_err(failed)?;
        let mut provider = ring::default_provider();
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The directory that the files are in, to be kept as long as the server runs.
    pub(crate) fn into_directory(self) -> Directory {
        self.directory
    }
}

fn write_private(path: &PathBuf, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_readable_by_its_user_alone_and_goes_with_the_directory() {
        let certificate = Certificate::make().unwrap();
        let path = certificate.key_path();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        let directory = certificate.into_directory();
        assert!(path.exists());
        drop(directory);
        assert!(!path.exists());
    }
}
