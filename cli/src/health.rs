//! `fanwire health`: asks a running broker whether it is ready, for containers and scripts that have no `curl`.
//!
//! This file owns one plain HTTP/1.1 request over the standard library's socket, so that the check works in an image
//! that holds nothing but this binary. It does not know what makes a broker ready.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest status line that is read; what is longer is no answer of a broker.
const STATUS_BYTES_MAX: u64 = 1024;

/// Options of `fanwire health`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Ask a running broker whether it is ready",
    after_help = "Exits with 0 if the answer is 200, and with 1 and one line on standard error otherwise.\n\n\
                  Examples:\n  fanwire health\n  fanwire health --url http://10.0.0.7:7400/healthz --timeout 1"
)]
pub(crate) struct Args {
    /// The address to ask; only http:// is spoken
    #[arg(long, default_value = "http://127.0.0.1:7400/readyz")]
    url: String,
    /// Seconds the whole check may take
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

/// Asks once, and reports by the exit code: 0 if and only if the answer is 200.
pub(crate) fn run(args: Args) -> ExitCode {
    match ask(&args.url, Instant::now() + Duration::from_secs(args.timeout)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanwire: {} is not ready: {error}", args.url);
            ExitCode::FAILURE
        }
    }
}

/// Why a broker does not count as ready.
#[derive(Debug)]
enum HealthError {
    Url(&'static str),
    Socket(io::Error),
    TimedOut,
    Status(String),
}

impl std::fmt::Display for HealthError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(reason) => formatter.write_str(reason),
            Self::Socket(error) => write!(formatter, "{error}"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::Status(line) => write!(formatter, "it answered '{line}'"),
        }
    }
}

impl From<io::Error> for HealthError {
    fn from(error: io::Error) -> Self {
        // A socket with a time-out reports it as either kind, depending on the platform.
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Socket(error),
        }
    }
}

fn ask(url: &str, deadline: Instant) -> Result<(), HealthError> {
    let (authority, path) = split(url)?;
    let mut stream = connect(authority, deadline)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let line = status_line(stream, deadline)?;
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some("200")) => Ok(()),
        _ => Err(HealthError::Status(line)),
    }
}

/// Splits `http://host[:port][/path]` into the authority and the path.
fn split(url: &str) -> Result<(&str, &str), HealthError> {
    if url.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(HealthError::Url("a URL has no white space and no control characters"));
    }
    let rest = url.strip_prefix("http://").ok_or(HealthError::Url("the URL must begin with http://"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.is_empty() {
        return Err(HealthError::Url("the URL names no host"));
    }
    Ok((authority, path))
}

/// Tries every address of the host in turn and reports the last failure.
fn connect(authority: &str, deadline: Instant) -> Result<TcpStream, HealthError> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let target = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let mut failure = HealthError::Url("the host has no address");
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, remaining(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

/// Reads the first line of the answer. The time-out is set anew before every read, so that a peer that sends one byte
/// at a time cannot hold the check up beyond its deadline.
fn status_line(stream: TcpStream, deadline: Instant) -> Result<String, HealthError> {
    let mut reader = BufReader::new(stream.try_clone()?.take(STATUS_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
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

/// The time left, which is never zero because a socket takes a zero time-out for none at all.
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
        let outcome = ask(&url, Instant::now() + timeout).map_err(|error| error.to_string());
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
        let outcome = ask(&format!("http://{unused}"), Instant::now() + Duration::from_secs(10));
        assert!(matches!(outcome, Err(HealthError::Socket(_))), "{outcome:?}");
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, expected) in [
            ("http://localhost", Some(("localhost", "/"))),
            ("http://[::1]:7400/readyz?x=1", Some(("[::1]:7400", "/readyz?x=1"))),
            ("https://localhost", None),
            ("http:///readyz", None),
            ("http://localhost/\r\nX: y", None),
        ] {
            assert_eq!(split(url).ok(), expected, "{url}");
        }
    }
}
