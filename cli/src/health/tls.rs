//! TLS for `fanwire health`: the certificates that are trusted, over a blocking socket.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use fanwire_broker::operator_file;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, StreamOwned,
};

/// The certificates that are trusted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trusted<'a> {
    /// The certificates that browsers trust.
    Public,
    /// The certificates of the authorities in this file. The file may contain the broker's certificate itself.
    AuthoritiesIn(&'a Path),
    /// Trusts any certificate of the server.
    Any,
}

/// Wraps `socket` in TLS for the host of this name. The first use makes the hand-shake.
///
/// # Errors
/// If the host or the file is not valid; the text is a sentence.
pub(super) fn wrap<S: Read + Write>(
    socket: S,
    host: &str,
    trusted: Trusted<'_>,
) -> Result<StreamOwned<ClientConnection, S>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| format!("'{host}' is not a host name"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match trusted {
        Trusted::Public => {
            let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            config.with_root_certificates(roots)
        }
        Trusted::AuthoritiesIn(path) => config.with_root_certificates(authorities(path)?),
        Trusted::Any => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        }
    };
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name);
    Ok(StreamOwned::new(connection.map_err(|error| error.to_string())?, socket))
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("no certificate in {}: {error}", path.display());
    let pem = operator_file::read_named(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err(wrong(&"it has none")) } else { Ok(roots) }
}

/// Accepts every certificate. The signature that proves possession of its key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
