//! The text that `fanwire serve` prints when it has started: its URLs, and two commands to try.
//!
//! The commands work as they are printed. If the broker requires credentials, they show a token, and a third command
//! makes it.

use std::net::SocketAddr;
use std::path::Path;

use fanwire_broker::config::{Config, PusherAppConfig};
use fanwire_broker::token::Algorithm;

use super::pusher;

/// The facts of a listening broker that the text contains.
pub(super) struct Banner {
    /// The address that it listens on.
    pub(super) address: SocketAddr,
    /// Whether it uses TLS.
    pub(super) has_tls: bool,
    /// The number of workers.
    pub(super) workers: usize,
    /// The command that sets the variable `TOKEN` to a token or key; `None` if the broker requires no credentials.
    pub(super) token_command: Option<String>,
    /// The Pusher apps of the configuration.
    pub(super) pusher_apps: Vec<PusherAppConfig>,
}

impl Banner {
    /// Returns the text of the banner.
    pub(super) fn text(&self) -> String {
        let address = reachable(self.address);
        let access = if self.token_command.is_some() {
            "requires a token or key"
        } else if !self.address.ip().is_loopback() {
            "open to every machine that can reach it (--open)"
        } else {
            "open, for this machine only"
        };
        let (scheme, websocket, tls) =
            if self.has_tls { ("https", "wss", "TLS, ") } else { ("http", "ws", "") };
        let url = format!("{scheme}://{address}");
        let (intro, token, admin) = match &self.token_command {
            None => ("Try it, in two terminals:".to_owned(), "", ""),
            Some(command) => (
                format!("Try it, in two terminals, with this line first in each:\n  {command}\nThen:"),
                "-H \"Authorization: Bearer $TOKEN\" ",
                "  (with an admin key)",
            ),
        };
        format!(
            "fanwire {version}, {workers} workers\n\
             \n  listening   {url}  ({tls}{access})\
             \n  WebSocket   {websocket}://{address}/ws\
             \n  start page  {url}/\
             \n  chat        {url}/examples/chat.html\
             \n  console     {url}/console{admin}\
             \n  metrics     {url}/metrics{admin}\
             \n\n{intro}\
             \n  curl -N {token}-H 'Accept: text/event-stream' {url}/topics/chat.lobby\
             \n  curl {token}-H 'Content-Type: text/plain' -d 'hello' {url}/topics/chat.lobby\n\n{pusher}",
            version = env!("CARGO_PKG_VERSION"),
            workers = self.workers,
            pusher = pusher::text(&self.pusher_apps, address, self.has_tls),
        )
    }
}

/// Returns the name by which the operator called this program, such as `target/release/fanwire`, as one word of a shell.
pub(super) fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).map_or("fanwire".to_owned(), |name| quoted(&name))
}

/// Returns the command that sets the variable `TOKEN` to a token or key that `config` accepts; `None` if it requires none.
/// `program` is this program as a shell finds it.
pub(super) fn token_command(config: &Config, program: &str) -> Option<String> {
    let auth = &config.auth;
    let make = |key: &str| {
        let mut command =
            format!("{program} token make {key} --user ann --subscribe 'chat.>' --publish 'chat.>'");
        if let Some(audience) = auth.audience.first() {
            command = format!("{command} --audience {}", quoted(audience));
        }
        if let Some(issuer) = &auth.issuer {
            command = format!("{command} --issuer {}", quoted(issuer));
        }
        command
    };
    let by_secret = |key: String| {
        let algorithm = auth.algorithms.iter().find(|algorithm| is_hmac(**algorithm));
        let algorithm = algorithm.filter(|algorithm| **algorithm != Algorithm::Hs256);
        make(&algorithm.map_or(key.clone(), |algorithm| format!("{key} --algorithm {algorithm}")))
    };
    if let Some(path) = &auth.secret_file {
        Some(format!("TOKEN=$({})", by_secret(format!("--secret-file {}", quoted_path(path)))))
    } else if auth.secret.is_some() {
        let command = by_secret(String::new()).replace("  ", " ");
        Some(format!("TOKEN=$({command})  # FANWIRE_AUTH_SECRET must hold auth.secret"))
    } else if auth.public_key_file.is_some() {
        let command = make("--private-key-file KEY.pem");
        Some(format!("TOKEN=$({command})  # KEY.pem: the private key of auth.public_key_file"))
    } else if auth.jwks_url.is_some() {
        Some("TOKEN=...  # a token of your identity provider that grants chat.>".to_owned())
    } else if !config.keys.is_empty() {
        Some(format!(
            "TOKEN=fwk_...  # an API key, made by: {program} token key NAME --publish '>' --subscribe '>'"
        ))
    } else {
        None
    }
}

fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
}

/// Returns a path as one word of a shell.
fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Returns text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@%+=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Returns an address that clients can connect to: for all addresses of the machine, the loopback address.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.1.2.3:80".parse().unwrap()).to_string(), "10.1.2.3:80");
    }

    #[test]
    fn command_for_a_token_fits_the_configuration() {
        let mut config = Config::default();
        assert_eq!(token_command(&config, "fanwire"), None);
        config.auth.secret_file = Some("/etc/it's/secret".into());
        config.auth.algorithms = vec![Algorithm::Hs512];
        config.auth.audience = vec!["chat".to_owned()];
        config.auth.issuer = Some("https://id.example/".to_owned());
        assert_eq!(
            token_command(&config, "target/release/fanwire").unwrap(),
            "TOKEN=$(target/release/fanwire token make --secret-file '/etc/it'\\''s/secret' --algorithm HS512 --user ann \
             --subscribe 'chat.>' --publish 'chat.>' --audience chat --issuer https://id.example/)"
        );
    }
}
