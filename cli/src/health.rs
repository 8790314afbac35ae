//! `fanwire health`: checks whether a running broker is ready, for containers and scripts without `curl`.
//!
//! This file owns one plain HTTP/1.1 request over the standard library's socket, so that the check works in an image
//! that holds nothing but this binary. It does not know what makes a broker ready.

mod tls;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::number;
use crate::terminal::visible;
use tls::Trusted;

/// The maximum length of a status line in bytes.
const STATUS_BYTES_MAX: u64 = 1024;

/// Options of `fanwire health`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check whether a running broker is ready",
    after_help = "Exits with 0 if the answer is 200, and with 1 and one line on standard error otherwise.\n\n\
                  Examples:\n  fanwire health\n  fanwire health --url http://10.0.0.7:7400/healthz --timeout 1\n  \
                  fanwire health --url https://localhost:7400/readyz --insecure"
)]
pub(crate) struct Args {
    /// The URL to request, http:// or https://
    #[arg(long, default_value = "http://127.0.0.1:7400/readyz")]
    url: String,
    /// A file with certificates (PEM) of authorities to trust under TLS, in place of those that browsers trust
    #[arg(long, env = "FANWIRE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Accept any certificate; for a broker on this machine only
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
    /// The time limit of the whole check, in seconds
    #[arg(long, default_value_t = 3, value_parser = number::within(1..=300))]
    timeout: u32,
}

/// Sends one request, and reports by the exit code: 0 if and only if the answer is 200.
pub(crate) fn run(args: Args) -> ExitCode {
    let trusted = match &args.ca_file {
        _ if args.insecure => Trusted::Any,
        Some(path) => Trusted::AuthoritiesIn(path),
        None => Trusted::Public,
    };
    match ask(&args.url, trusted, Instant::now() + Duration::from_secs(args.timeout.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanwire health: {} is not ready: {error}", args.url);
            ExitCode::FAILURE
        }
    }
}

/// The reason why a broker is not ready.
#[derive(Debug)]
enum HealthError {
    Url(&'static str),
    Socket(io::Error),
    TimedOut,
    Status(String),
    Tls(String),
}

impl std::fmt::Display for HealthError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(reason) => formatter.write_str(reason),
            Self::Socket(error) => write!(formatter, "{error}"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::Status(line) => write!(formatter, "it answered '{}'", visible(line)),
            Self::Tls(reason) => formatter.write_str(&visible(reason)),
        }
    }
}

impl From<io::Error> for HealthError {
    fn from(error: io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            let hint = if matches!(tls, rustls::Error::InvalidCertificate(_)) {
                "; name the authorities to trust with --ca-file"
            } else {
                ""
            };
            return Self::Tls(format!("it cannot be trusted: {tls}{hint}"));
        }
        // A socket with a time-out reports it as either kind, depending on the platform.
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Socket(error),
        }
    }
}

fn ask(url: &str, trusted: Trusted<'_>, deadline: Instant) -> Result<(), HealthError> {
    let Target { has_tls, authority, path } = split(url)?;
    let socket = connect(authority, if has_tls { 443 } else { 80 }, deadline)?;
    let is_here = socket.peer_addr()?.ip().is_loopback();
    let patient = Patient { socket, deadline };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    let line = if has_tls {
        if matches!(trusted, Trusted::Any) && !is_here {
            return Err(HealthError::Tls("--insecure is for a broker on this machine".to_owned()));
        }
        let host = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let host = host.map_or(authority, |(host, _)| host);
        exchange(tls::wrap(patient, host, trusted).map_err(HealthError::Tls)?, &request)?
    } else {
        exchange(patient, &request)?
    };
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some("200")) => Ok(()),
        _ => Err(HealthError::Status(line)),
    }
}

/// Sends the request and reads the first line of the answer.
fn exchange(mut stream: impl Read + Write, request: &str) -> Result<String, HealthError> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    status_line(stream)
}

/// A socket whose time-out is set again before each use, so that a peer that sends one byte at a time cannot delay the check
/// beyond its deadline.
struct Patient {
    socket: TcpStream,
    deadline: Instant,
}

impl Patient {
    fn left(&self) -> io::Result<Option<Duration>> {
        remaining(self.deadline).map(Some).map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
struct Target<'u> {
    has_tls: bool,
    authority: &'u str,
    path: &'u str,
}

/// Splits `http://host[:port][/path]` or `https://…` into its parts.
fn split(url: &str) -> Result<Target<'_>, HealthError> {
    if url.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(HealthError::Url("a URL has no white space and no control characters"));
    }
    let (has_tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(HealthError::Url("the URL must begin with http:// or https://")),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.is_empty() {
        return Err(HealthError::Url("the URL names no host"));
    }
    Ok(Target { has_tls, authority, path })
}

/// Tries every address of the host in turn and reports the last failure.
fn connect(authority: &str, port_default: u16, deadline: Instant) -> Result<TcpStream, HealthError> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let target = if has_port { authority.to_owned() } else { format!("{authority}:{port_default}") };
    let mut failure = HealthError::Url("the host has no address");
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, remaining(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

/// Reads the first line of the answer.
fn status_line(stream: impl Read) -> Result<String, HealthError> {
    let mut reader = BufReader::new(stream.take(STATUS_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        let read = reader.fill_buf()?;
        let end = read.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(read.len(), |at| at + 1);
        line.extend_from_slice(&read[..taken]);
        reader.consume(taken);
        if end.is_some() || taken == 0 {
            let text = String::from_utf8_lossy(&line);
            return Ok(text.trim_end().chars().filter(|letter| !letter.is_control()).collect());
        }
    }
}

/// Returns the time left. It is never zero, because for a socket a zero time-out means no time-out.
fn remaining(deadline: Instant) -> Result<Duration, HealthError> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(HealthError::TimedOut),
        left => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Serves one connection: reads the request head, sends `answer`, and keeps the socket open until the asker is done.
    fn check(answer: &'static str, timeout: Duration) -> (String, Result<(), String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the request ended early: {head}");
            }
            stream.write_all(answer.as_bytes()).unwrap();
            // An error here is the asker's reset, which ends the wait as well as its close does.
            let _ = io::copy(&mut reader, &mut io::sink());
            head
        });
        let outcome = ask(&url, Trusted::Public, Instant::now() + timeout).map_err(|error| error.to_string());
        (server.join().unwrap(), outcome)
    }

    #[test]
    fn ready_broker_is_ready() {
        let (head, outcome) = check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Duration::from_secs(10));
        assert_eq!(outcome, Ok(()));
        assert!(head.starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
    }

    #[test]
    fn every_other_answer_is_not_ready() {
        for (answer, expected) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "it answered 'HTTP/1.1 503 Service Unavailable'"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "it answered 'HTTP/1.1 2000 OK'"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "it answered 'SSH-2.0-OpenSSH_9.2'"),
        ] {
            let (_, outcome) = check(answer, Duration::from_secs(10));
            assert_eq!(outcome, Err(expected.to_owned()));
        }
    }

    #[test]
    fn silent_broker_is_not_ready() {
        let (_, outcome) = check("", Duration::from_millis(50));
        assert_eq!(outcome, Err("no answer in time".to_owned()));
    }

    #[test]
    fn endless_status_line_is_cut_off() {
        let endless = Box::leak("x".repeat(4096).into_boxed_str());
        let (_, outcome) = check(endless, Duration::from_secs(10));
        assert_eq!(outcome.unwrap_err().len(), STATUS_BYTES_MAX as usize + "it answered ''".len());
    }

    #[test]
    fn absent_broker_is_not_ready() {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let outcome =
            ask(&format!("http://{unused}"), Trusted::Public, Instant::now() + Duration::from_secs(10));
        assert!(matches!(outcome, Err(HealthError::Socket(_))), "{outcome:?}");
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, expected) in [
            ("http://localhost", Some((false, "localhost", "/"))),
            ("http://[::1]:7400/readyz?x=1", Some((false, "[::1]:7400", "/readyz?x=1"))),
            ("https://localhost", Some((true, "localhost", "/"))),
            ("ftp://localhost", None),
            ("http:///readyz", None),
            ("http://localhost/\r\nX: y", None),
        ] {
            let expected = expected.map(|(has_tls, authority, path)| Target { has_tls, authority, path });
            assert_eq!(split(url).ok(), expected, "{url}");
        }
    }
}
