//! Reads a certificate and its key, and says in a sentence what is wrong with them.

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

/// What is spoken over TLS (RFC 7301), in the order of preference. WebSockets need HTTP/1.1, and browsers ask for it then.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or not as PEM.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no certificate in the file.
    #[error(
        "{0} holds no certificate: tls.certificate must name a PEM file that has the broker's own certificate first \
         (-----BEGIN CERTIFICATE-----) and then those that it was signed with"
    )]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error(
        "{0} holds no private key: tls.key must name a PEM file with one that is not encrypted (-----BEGIN PRIVATE KEY-----)"
    )]
    NoKey(PathBuf),
    /// The certificate is past its time.
    #[error("the certificate in {path} expired on {date}: renew it")]
    Expired {
        /// Where it is.
        path: PathBuf,
        /// When it did.
        date: String,
    },
    /// The certificate's time has not come.
    #[error("the certificate in {path} is not valid before {date}: wait, or set this machine's clock right")]
    NotYetValid {
        /// Where it is.
        path: PathBuf,
        /// When it will be.
        date: String,
    },
    /// The key is another certificate's.
    #[error(
        "{key} is not the private key of the first certificate in {certificate}: they must be made together"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// They fit together, but not what is needed.
    #[error("the certificate in {path} cannot be used: {reason}")]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A certificate ready to be shown.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) expires_unix: u64,
    pub(super) expires: String,
}

/// Reads both files and checks that they fit together and may be shown now.
///
/// # Errors
/// Says which file is wrong, how, and what to do.
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
    // Clients that come back, all at once after a restart of the network, take a short hand-shake without our keeping
    // anything for them.
    config.ticketer = ring::Ticketer::new().map_err(|error| unusable(error.to_string()))?;
    Ok(Loaded { config: Arc::new(config), expires_unix, expires })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error| describe(path, error, TlsError::NoCertificate(path.to_owned()));
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, pem::Error>>()
        .map_err(unreadable)?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| describe(path, error, TlsError::NoKey(path.to_owned())))
}

fn describe(path: &Path, error: pem::Error, none: TlsError) -> TlsError {
    let reason = match error {
        pem::Error::NoItemsFound => return none,
        pem::Error::Io(error) => error.to_string(),
        other => format!("not a PEM file: {other:?}"),
    };
    TlsError::Unreadable { path: path.to_owned(), reason }
}

/// Checks that now lies in the time of the first certificate. Returns when it expires, as a number and for people.
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
