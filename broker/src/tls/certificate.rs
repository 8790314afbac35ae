//! Reads a certificate and its key. Each error is a sentence that says what is wrong and what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CertificateFiles;
use crate::operator_file;

/// The protocols over TLS (RFC 7301) in the order of preference. WebSockets need HTTP/1.1, which browsers request for them.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// An error that prevents the broker from using a certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The reason why it cannot be used.
        reason: String,
    },
    /// There is no certificate in the file.
    #[error(
        "{0} holds no certificate: tls.certificate must name a PEM file that has the broker's own certificate first \
         (-----BEGIN CERTIFICATE-----) and then the certificates that signed it"
    )]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error(
        "{0} holds no private key: tls.key must name a PEM file with a key that is not encrypted (-----BEGIN PRIVATE KEY-----)"
    )]
    NoKey(PathBuf),
    /// The certificate has expired.
    #[error("the certificate in {path} expired on {date}: renew it")]
    Expired {
        /// The path of the file.
        path: PathBuf,
        /// The date of the certificate.
        date: String,
    },
    /// The certificate is not valid yet.
    #[error("the certificate in {path} is not valid before {date}: wait, or correct this machine's clock")]
    NotYetValid {
        /// The path of the file.
        path: PathBuf,
        /// The date of the certificate.
        date: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "{key} is not the private key of the first certificate in {certificate}: name the key that the certificate was made with"
    )]
    Mismatch {
        /// The path of the certificate's file.
        certificate: PathBuf,
        /// The path of the key's file.
        key: PathBuf,
    },
    /// Certificate and key belong together, but cannot be used.
    #[error("the certificate in {path} cannot be used: {reason}")]
    Unusable {
        /// The path of the file.
        path: PathBuf,
        /// The reason why it cannot be used.
        reason: String,
    },
}

/// A certificate that the broker can use.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) expires_unix: u64,
    pub(super) expires: String,
}

/// Reads both files and checks that they belong together and are valid now.
///
/// # Errors
/// Names the file that is wrong, the reason, and what to do.
pub(super) fn load(files: &CertificateFiles) -> Result<Loaded, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key)?;
    let unusable = |reason: String| TlsError::Unusable { path: files.certificate.clone(), reason };
    let (expires_unix, expires) = check_time(&files.certificate, &chain)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| unusable(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
            }
            other => unusable(other.to_string()),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Clients that reconnect, all at once after a failure of the network, make a short handshake, and the broker keeps no state for
    // them.
    config.ticketer = ring::Ticketer::new().map_err(|error| unusable(error.to_string()))?;
    Ok(Loaded { config: Arc::new(config), expires_unix, expires })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = operator_file::read(path).map_err(|error| unreadable(path, error.to_string()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&file)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| describe(path, &error, TlsError::NoCertificate(path.to_owned())))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file =
        operator_file::read_secret("tls.key", path).map_err(|error| unreadable(path, error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&file)
        .map_err(|error| describe(path, &error, TlsError::NoKey(path.to_owned())))
}

fn describe(path: &Path, error: &pem::Error, none: TlsError) -> TlsError {
    match error {
        pem::Error::NoItemsFound => none,
        other => unreadable(path, format!("not a PEM file: {other:?}")),
    }
}

fn unreadable(path: &Path, reason: String) -> TlsError {
    TlsError::Unreadable { path: path.to_owned(), reason }
}

/// Checks that the first certificate is valid now. Returns its expiry, in seconds since 1970 and as text.
fn check_time(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(u64, String), TlsError> {
    let path = path.to_owned();
    let Some(own) = chain.first() else { return Err(TlsError::NoCertificate(path)) };
    let validity = match X509Certificate::from_der(own) {
        Ok((_, certificate)) => certificate.validity().clone(),
        Err(error) => return Err(TlsError::Unusable { path, reason: format!("it is damaged: {error}") }),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    if now > validity.not_after.timestamp() {
        return Err(TlsError::Expired { path, date: validity.not_after.to_string() });
    }
    if now < validity.not_before.timestamp() {
        return Err(TlsError::NotYetValid { path, date: validity.not_before.to_string() });
    }
    Ok((u64::try_from(validity.not_after.timestamp()).unwrap_or(0), validity.not_after.to_string()))
}
