//! `fanwire token`: makes tokens, inspects tokens, and makes API keys with their hashes.
//!
//! No secret is an argument, because every user of a machine can read arguments. Secrets come from files and variables,
//! tokens to inspect from standard input or a file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanwire_broker::key_hash::KeyHash;
use fanwire_broker::operator_file;
use fanwire_broker::token::{
    Algorithm, Audiences, Claims, FanwireClaims, Seconds, SigningKey, TOKEN_BYTES_MAX, Unverified,
    VerifyingKey,
};

use crate::connection::Failure;
use crate::terminal::{self, visible};

const EXAMPLES: &str = "\
Examples:
  (umask 077; openssl rand -base64 32 > secret)
  fanwire token make --secret-file secret --user ann --subscribe 'chat.>' --publish 'chat.*'
  fanwire token make --private-key-file key.pem --user ann --expires 15m
  fanwire token inspect --secret-file secret < token
  fanwire token key shop --publish 'orders.>'";

/// The variable that contains the secret; `serve` reads the same.
const SECRET_VARIABLE: &str = "FANWIRE_AUTH_SECRET";

/// Make a token, inspect a token, or make an API key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Make(Make),
    Inspect(Inspect),
    Key(Key),
}

/// Make a token and print it.
#[derive(Debug, clap::Args)]
struct Make {
    #[command(flatten)]
    signer: Signer,
    /// The user's id ("sub").
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// A pattern of topics that the token may publish to; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// A pattern of topics that the token may subscribe to; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// The user's public info in presence: JSON.
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
    /// The lifetime of the token: seconds, or with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = fanwire_broker::config::parse_time)]
    expires: Duration,
    /// The audience ("aud"); may be repeated.
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Name the issuer of the token ("iss").
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The name of the key ("kid").
    #[arg(long, value_name = "NAME")]
    key_id: Option<String>,
}

/// The key that signs a token: one of both files, or the secret in FANWIRE_AUTH_SECRET.
#[derive(Debug, clap::Args)]
struct Signer {
    /// A file with the secret that signs the token; without it, FANWIRE_AUTH_SECRET is used.
    #[arg(long, value_name = "FILE", conflicts_with = "private_key_file")]
    secret_file: Option<PathBuf>,
    /// A file with the private key (PEM; RSA, P-256 or Ed25519) that signs the token.
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// The algorithm for a secret: HS256, HS384 or HS512.
    #[arg(long, value_name = "NAME", default_value = "HS256", conflicts_with = "private_key_file")]
    algorithm: Algorithm,
}

/// Print the claims of a token, and check its signature if a key is given.
#[derive(Debug, clap::Args)]
struct Inspect {
    /// A file with the token; without it, the token is read from standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the secret that verifies the signature.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with the public keys (PEM) that verify the signature.
    #[arg(long, value_name = "FILE")]
    public_key_file: Option<PathBuf>,
}

/// Make an API key: print the lines for the configuration, and the key.
#[derive(Debug, clap::Args)]
struct Key {
    /// The name of the key.
    name: String,
    /// A pattern of topics that the key may publish to; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// A pattern of topics that the key may subscribe to; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// Permit the administrator's paths, such as /metrics.
    #[arg(long)]
    admin: bool,
}

/// Runs the subcommand, and reports by the exit code.
pub(crate) fn run(args: Args) -> ExitCode {
    let outcome = match args.command {
        Command::Make(make) => make.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Key(key) => key.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fanwire token: {failure}");
            ExitCode::FAILURE
        }
    }
}

impl Make {
    fn run(self) -> Result<(), Failure> {
        check_patterns(self.publish.iter().chain(&self.subscribe))?;
        let key = self.signer.key()?;
        let now = unix_seconds();
        let info = self.info.map(serde_json::value::RawValue::from_string).transpose();
        let info = info.map_err(|error| Failure::new(format!("--info is not JSON: {error}")))?;
        let grants = FanwireClaims { publish: self.publish, subscribe: self.subscribe, info };
        let has_grants = !grants.publish.is_empty() || !grants.subscribe.is_empty() || grants.info.is_some();
        let claims = Claims {
            sub: self.user,
            exp: Some(Seconds::new(now + self.expires.as_secs().max(1))),
            nbf: None,
            iat: Some(Seconds::new(now)),
            aud: (!self.audience.is_empty()).then_some(Audiences::Several(self.audience)),
            iss: self.issuer,
            fanwire: has_grants.then_some(grants),
        };
        let token =
            key.sign(&claims, self.key_id.as_deref()).map_err(|error| Failure::new(error.to_string()))?;
        if token.len() > TOKEN_BYTES_MAX {
            let message = format!(
                "the token has {} bytes, and a broker accepts at most {TOKEN_BYTES_MAX}",
                token.len()
            );
            return Err(Failure::new(message));
        }
        println!("{token}");
        Ok(())
    }
}

impl Signer {
    fn key(&self) -> Result<SigningKey, Failure> {
        if let Some(path) = &self.private_key_file {
            return SigningKey::from_pem(&read(path)?)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())));
        }
        let (place, secret) = match &self.secret_file {
            Some(path) => (path.display().to_string(), read_secret(path)?),
            None => {
                (SECRET_VARIABLE.to_owned(), std::env::var(SECRET_VARIABLE).unwrap_or_default().into_bytes())
            }
        };
        if secret.is_empty() && self.secret_file.is_none() {
            let message = "there is no key to sign with: name a --secret-file or --private-key-file, or set FANWIRE_AUTH_SECRET";
            return Err(Failure::new(message));
        }
        let key = SigningKey::secret(self.algorithm, secret.trim_ascii_end());
        key.map_err(|error| Failure::new(format!("{place}: {error}")))
    }
}

impl Inspect {
    fn run(self) -> Result<(), Failure> {
        let token = match &self.token_file {
            Some(path) => String::from_utf8_lossy(&read(path)?).into_owned(),
            None => read_stdin()?,
        };
        if token.trim().is_empty() {
            let message = "there is no token: write it to standard input, or name a --token-file";
            return Err(Failure::new(message));
        }
        let refused = |error: fanwire_broker::token::TokenError| Failure::new(error.to_string());
        let unverified = Unverified::parse(token.trim()).map_err(refused)?;
        let mut keys = Vec::new();
        if let Some(path) = &self.secret_file {
            let secret = read_secret(path)?;
            let key = VerifyingKey::secret(secret.trim_ascii_end());
            keys.push(key.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?);
        }
        if let Some(path) = &self.public_key_file {
            let read = VerifyingKey::from_pem(&read(path)?);
            keys.extend(read.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?);
        }
        let claims = unverified.claims().map_err(refused)?;
        // Line ends between the fields stay; every other control character is in a string of the token.
        let json = serde_json::to_string_pretty(&claims).unwrap_or_default();
        json.lines().for_each(|line| println!("{}", escaped(line)));
        eprintln!("algorithm  {}", unverified.algorithm());
        if let Some(key_id) = unverified.key_id() {
            eprintln!("key        {}", visible(key_id));
        }
        eprintln!("time       {}", describe_end(&claims));
        if keys.is_empty() {
            eprintln!("signature  not checked: name a --secret-file or --public-key-file");
            return Ok(());
        }
        unverified.verify(&keys).map_err(refused)?;
        eprintln!("signature  good");
        Ok(())
    }
}

/// Returns a line of JSON without control characters.
fn escaped(line: &str) -> String {
    let mut json = line.as_bytes().to_vec();
    terminal::escape_json(&mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn describe_end(claims: &Claims) -> String {
    let now_ms = unix_seconds() * 1000;
    match claims.exp.map(Seconds::to_ms) {
        None => "does not expire".to_owned(),
        Some(None) => "'exp' is not a valid time".to_owned(),
        Some(Some(end_ms)) if end_ms <= now_ms => format!("expired {} s ago", (now_ms - end_ms) / 1000),
        Some(Some(end_ms)) => format!("expires in {} s", (end_ms - now_ms) / 1000),
    }
}

impl Key {
    fn run(self) -> Result<(), Failure> {
        check_patterns(self.publish.iter().chain(&self.subscribe))?;
        let (key, hash) =
            KeyHash::generate().ok_or_else(|| Failure::new("the system provides no random bytes"))?;
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let list = |patterns: &[String]| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| quoted(pattern)).collect();
            format!("[{}]", patterns.join(", "))
        };
        println!(
            "# For the configuration of the broker:\n[[key]]\nname = {}\nhash = \"{hash}\"",
            quoted(&self.name)
        );
        println!("publish = {}\nsubscribe = {}", list(&self.publish), list(&self.subscribe));
        if self.admin {
            println!("admin = true");
        }
        println!(
            "\n# For the client, as 'Authorization: Bearer KEY'; the key is printed only here:\n# {}",
            key.reveal()
        );
        Ok(())
    }
}

/// Checks the patterns of grants, because a broker would refuse a token with a bad pattern.
fn check_patterns<'p>(patterns: impl Iterator<Item = &'p String>) -> Result<(), Failure> {
    for pattern in patterns {
        fanwire_protocol::Pattern::new(pattern)
            .map_err(|error| Failure::new(format!("'{pattern}' is not a pattern: {error}")))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    operator_file::read_named(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Reads a file with a secret. If there is none, the error says how to make one.
fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    read(path).map_err(|failure| match path.try_exists() {
        Ok(false) => Failure::new(format!(
            "{failure}; make a secret for the broker with: openssl rand -base64 32 > {}",
            path.display()
        )),
        _ => failure,
    })
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let bytes_max = 4 * TOKEN_BYTES_MAX as u64;
    let read = std::io::stdin().take(bytes_max).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("cannot read the token from standard input: {error}")))?;
    Ok(text)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
