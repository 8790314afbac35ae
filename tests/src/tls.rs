//! Certificates made for a test, and clients that trust exactly one of them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Http, PATIENCE, Wire};

/// A self-signed certificate for `localhost` and 127.0.0.1 in two files, which go when it is dropped.
pub struct Certificate {
    directory: PathBuf,
    own: CertificateDer<'static>,
}

impl Certificate {
    /// A certificate that is valid now.
    pub fn new() -> Self {
        Self::between(2020, 2090)
    }

    /// A certificate that is valid from the beginning of one year to that of another.
    pub fn between(from: i32, to: i32) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("fanwire-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let mut certificate = Self { directory, own: CertificateDer::from(Vec::new()) };
        certificate.renew(from, to);
        certificate
    }

    /// Writes another certificate, with another key, into the same files.
    pub fn renew(&mut self, from: i32, to: i32) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("the names are names");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        std::fs::write(self.key_path(), key.serialize_pem()).expect("a file can be written");
        std::fs::write(self.path(), certificate.pem()).expect("a file can be written");
        self.own = certificate.der().clone();
    }

    /// The file of the certificate.
    pub fn path(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// The file of the key.
    pub fn key_path(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// The settings that make a broker show it.
    pub fn settings(&self) -> [String; 2] {
        let setting = |name: &str, path: &Path| format!("tls.{name}={}", path.display());
        [setting("certificate", &self.path()), setting("key", &self.key_path())]
    }

    /// Connects under TLS, trusting this certificate and no other, and offering these protocols.
    ///
    /// # Errors
    /// If the hand-shake fails.
    pub fn try_connect(&self, address: SocketAddr, protocols: &[&str]) -> std::io::Result<Http> {
        self.shake_hands(TcpStream::connect(address)?, protocols)
    }

    /// Connects and sends `prologue` in the clear, then goes on under TLS for HTTP/1.1.
    pub fn connect_after(&self, address: SocketAddr, prologue: &[u8]) -> Http {
        let mut socket = TcpStream::connect(address).expect("a server listens");
        socket.write_all(prologue).expect("a few bytes can be written");
        self.connect_over(socket)
    }

    /// Goes on under TLS for HTTP/1.1 on a connection that has been made.
    pub fn connect_over(&self, socket: TcpStream) -> Http {
        self.shake_hands(socket, &["http/1.1"]).expect("the TLS hand-shake succeeds")
    }

    fn shake_hands(&self, mut socket: TcpStream, protocols: &[&str]) -> std::io::Result<Http> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).expect("a certificate of ours");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("the settings fit");
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Http::over(Wire::Tls(Box::new(StreamOwned::new(connection, socket)))))
    }

    /// Connects under TLS for HTTP/1.1.
    pub fn connect(&self, address: SocketAddr) -> Http {
        self.try_connect(address, &["http/1.1"]).expect("the TLS hand-shake succeeds")
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // A file that is left behind does no harm.
        let _left_behind = std::fs::remove_dir_all(&self.directory);
    }
}
