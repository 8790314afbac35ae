//! `fanwire pub`: publishes an argument, standard input, or each line of standard input.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Poll;

use fanwire_client::{Client, Cursor, Error, Payload, Receipt};

use crate::connection::{Connection, Failure};
use crate::{stdin, terminal};

/// The maximum number of lines that are sent and have no receipt.
const UNDER_WAY_MAX: usize = 256;

/// The maximum number of bytes of these lines. It is half of the client's own limit, so that no line waits in the client,
/// where another could overtake it.
const UNDER_WAY_BYTES_MAX: usize = 4 << 20;

const EXAMPLES: &str = "\
Examples:
  fanwire pub chat.lobby 'Hello!'                 text
  fanwire pub --json orders.paid '{\"id\":17}'      a JSON value
  date | fanwire pub clock                        the output of a program
  fanwire pub --binary cam.front < frame.jpg      a file, byte for byte
  tail -f app.log | fanwire pub --lines logs.app  each line as it arrives
  fanwire pub --key order-17 orders.paid done     once, even if repeated

The broker is http://127.0.0.1:7400 unless --url or FANWIRE_URL names another. The token is read from --token-file \
or FANWIRE_TOKEN.

On a terminal the receipt is printed: the topic and the position, from which 'fanwire sub --since' resumes. The last \
line end of standard input is not published.";

/// Publish to a topic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topic, for example chat.lobby
    topic: String,
    /// The payload; without it or with '-', standard input is published
    data: Option<String>,
    /// Publish each line of standard input as it arrives
    #[arg(long, short, conflicts_with = "key")]
    lines: bool,
    /// The payload is JSON; it is checked first
    #[arg(long, short)]
    json: bool,
    /// The payload is binary, byte for byte
    #[arg(long, short, conflicts_with = "json")]
    binary: bool,
    /// An idempotency key: a second publish with the same key within five minutes has no effect
    #[arg(long, short)]
    key: Option<String>,
    /// Print no receipt for a publication
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The kind of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Json,
    Binary,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn run(args: Args) -> ExitCode {
    let has_token = args.connection.has_token();
    crate::connection::run("pub", has_token, publish(args))
}

async fn publish(args: Args) -> Result<(), Failure> {
    let kind = match (args.json, args.binary) {
        (true, _) => Kind::Json,
        (_, true) => Kind::Binary,
        _ => Kind::Text,
    };
    let given = args.data.as_deref().filter(|data| *data != "-");
    if args.lines {
        if given.is_some() {
            return Err(Failure::new("--lines reads standard input: remove DATA"));
        }
        return publish_lines(&args, kind).await;
    }
    // A bad payload is reported before the connection is made.
    let payload = match given {
        Some(data) => payload(kind, data.as_bytes().to_vec())?,
        None => {
            hint_at_terminal();
            let input = stdin::read_all().await.map_err(|error| unreadable(&error))?;
            let end = if kind == Kind::Text { stdin::without_line_end(&input).len() } else { input.len() };
            payload(kind, input[..end].to_vec())?
        }
    };
    let client = args.connection.open("pub").await?;
    let mut publish = client.publish(&args.topic, payload);
    if let Some(key) = &args.key {
        publish = publish.key(key);
    }
    let receipt = publish.await?;
    if !args.quiet {
        let note =
            if receipt.duplicate && args.key.is_some() { " (published before with this key)" } else { "" };
        say(&format!("{} {}{note}", receipt.topic, Cursor::one(receipt.position)));
    }
    client.close().await;
    Ok(())
}

/// Publishes each line in order, with many lines in progress. A line that cannot be published stops this, after the lines
/// before it are published.
async fn publish_lines(args: &Args, kind: Kind) -> Result<(), Failure> {
    let client = args.connection.open("pub").await?;
    hint_at_terminal();
    let mut lines = stdin::lines();
    let mut pipeline = Pipeline::default();
    let mut count = 0u64;
    let mut end: Option<Result<(), Failure>> = None;
    while end.is_none() || !pipeline.under_way.is_empty() {
        tokio::select! {
            line = lines.recv(), if end.is_none() && pipeline.has_room() => match line {
                Some(line) => {
                    let line = line.map_err(|error| unreadable(&error)).and_then(|line| payload(kind, line));
                    match line {
                        Ok(payload) => pipeline.begin(&client, &args.topic, payload).await?,
                        Err(failure) => end = Some(Err(Failure::new(format!("line {}: {failure}", count + 1)))),
                    }
                    count += 1;
                }
                None => end = Some(Ok(())),
            },
            outcome = pipeline.settle(), if !pipeline.under_way.is_empty() => outcome?,
        }
    }
    end.unwrap_or(Ok(()))?;
    if let Some(receipt) = pipeline.last.filter(|_| !args.quiet) {
        say(&format!("{} {} ({count} published)", receipt.topic, Cursor::one(receipt.position)));
    }
    client.close().await;
    Ok(())
}

/// The publishes in progress, oldest first.
#[derive(Default)]
struct Pipeline {
    under_way: VecDeque<(usize, Publishing)>,
    bytes: usize,
    last: Option<Receipt>,
}

type Publishing = Pin<Box<dyn Future<Output = Result<Receipt, Error>> + Send>>;

impl Pipeline {
    fn has_room(&self) -> bool {
        self.under_way.len() < UNDER_WAY_MAX && self.bytes < UNDER_WAY_BYTES_MAX
    }

    /// Starts a publish by polling it once, so that lines are published in their order.
    async fn begin(&mut self, client: &Client, topic: &str, payload: Payload) -> Result<(), Failure> {
        let bytes = payload.len();
        let mut publish = client.publish(topic, payload).into_future();
        match std::future::poll_fn(|context| Poll::Ready(publish.as_mut().poll(context))).await {
            Poll::Ready(receipt) => self.last = Some(receipt?),
            Poll::Pending => {
                self.bytes += bytes;
                self.under_way.push_back((bytes, publish));
            }
        }
        Ok(())
    }

    /// Waits for the receipt of the oldest publish. Cancel-safe.
    async fn settle(&mut self) -> Result<(), Failure> {
        let Some((bytes, oldest)) = self.under_way.front_mut() else { return Ok(()) };
        let receipt = oldest.await;
        self.bytes -= *bytes;
        self.under_way.pop_front();
        self.last = Some(receipt?);
        Ok(())
    }
}

fn payload(kind: Kind, bytes: Vec<u8>) -> Result<Payload, Failure> {
    if kind == Kind::Binary {
        return Ok(Payload::binary(bytes));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::new("the payload is not UTF-8 text; use --binary to publish it byte for byte")
    })?;
    match kind {
        Kind::Json => Payload::from_json(text.trim()).map_err(|error| Failure::new(error.to_string())),
        _ => Ok(Payload::text(text)),
    }
}

/// Prints that standard input is read, for a user who gave no DATA on a terminal.
fn hint_at_terminal() {
    if std::io::stdin().is_terminal() {
        eprintln!("fanwire pub: reading the payload from the terminal; Ctrl-D ends it");
    }
}

/// Prints a receipt if standard output is a terminal.
fn say(line: &str) {
    let mut output = std::io::stdout();
    if output.is_terminal() {
        // An error here means that the terminal is gone.
        let _ = writeln!(output, "{}", terminal::visible(line));
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use fanwire_client::PayloadView;

    use super::*;

    #[test]
    fn payload_has_the_requested_kind() {
        let view = |kind, bytes: &[u8]| payload(kind, bytes.to_vec()).unwrap();
        assert_eq!(view(Kind::Text, b"{}").view(), PayloadView::Text("{}"));
        assert_eq!(view(Kind::Json, b" {\"a\":1}\n").view(), PayloadView::Json("{\"a\":1}"));
        assert_eq!(view(Kind::Json, b"\"text\"").view(), PayloadView::Text("text"));
        assert_eq!(view(Kind::Binary, b"\xff\n").view(), PayloadView::Binary(b"\xff\n"));
    }

    #[test]
    fn bad_payload_is_refused_with_a_remedy() {
        let refusal = |kind, bytes: &[u8]| payload(kind, bytes.to_vec()).unwrap_err().to_string();
        assert!(refusal(Kind::Text, b"\xff").contains("--binary"));
        assert!(refusal(Kind::Json, b"{oops").contains("not valid JSON"));
    }
}
