//! `fanwire sub`: prints messages as they are published.

mod output;
mod past;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use fanwire_client::{Client, Error, Event, Message, Since, Status, StatusWatch, Subscription};
use futures_core::Stream;

use crate::connection::{Connection, Failure};
use crate::number;
use crate::terminal::visible;
use output::{Controls, Format, Output};

const EXAMPLES: &str = "\
Examples:
  fanwire sub chat.lobby                          every new message
  fanwire sub 'chat.*' 'orders.>'                 several topics and patterns
  fanwire sub --since earliest chat.lobby         all held messages first
  fanwire sub --since 10m chat.lobby              the last ten minutes first
  fanwire sub --since 2026-11-21T06:40:00Z a.b    from that moment on
  fanwire sub --since 5f3a:17 chat.lobby          after a position
  fanwire sub --last 10 --json chat.lobby | jq    the newest ten first, as JSON
  fanwire sub --count 1 jobs.done && make report  wait for one message
  fanwire sub --no-follow --since 1h chat.lobby   print the last hour and end
  fanwire sub --no-follow --reverse chat.lobby    all held, the newest first

'*' stands for one level of a topic, '>' for all levels that follow; quote them. With several topics or a pattern, a \
line begins with its topic and a tab. --since, --last and --no-follow need plain topics.

The broker is http://127.0.0.1:7400 unless --url or FANWIRE_URL names another. The token is read from --token-file \
or FANWIRE_TOKEN. After a broken connection the client reconnects and resumes. Standard error reports this, and \
missed messages.

On a terminal, control characters in messages are printed as escapes such as \\u{1b}; a pipe or file receives them \
unchanged.";

/// Print messages as they are published
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Topics (chat.lobby) or patterns ('chat.*', 'orders.>')
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Begin here: 'earliest', an age (90s, 10m, 2h, 7d), a moment (RFC 3339), a position EPOCH:OFFSET, or a cursor
    #[arg(long, value_name = "WHERE", value_parser = since, conflicts_with = "last")]
    since: Option<Since>,
    /// Begin with the newest N messages of each topic
    #[arg(long, value_name = "N", value_parser = number::within(0..=u32::MAX))]
    last: Option<u32>,
    /// Print each message as one JSON object: topic, data or data_base64, offset, epoch, ts
    #[arg(long, short)]
    json: bool,
    /// Print control characters of messages to a terminal unchanged
    #[arg(long)]
    raw: bool,
    /// Stop after N messages
    #[arg(long, short, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    count: Option<u32>,
    /// Print the held messages, topic by topic, and end
    #[arg(long)]
    no_follow: bool,
    /// Print the newest message first, beginning with the newest or at --since
    #[arg(long, requires = "no_follow")]
    reverse: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn run(args: Args) -> ExitCode {
    let has_token = args.connection.has_token();
    crate::connection::run("sub", has_token, follow(args))
}

fn since(text: &str) -> Result<Since, String> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
    Since::from_text(text, now_ms).map_err(|error| error.to_string())
}

async fn follow(args: Args) -> Result<(), Failure> {
    let client = args.connection.open("sub").await?;
    if args.no_follow {
        past::print(&client, &args).await?;
        client.close().await;
        return Ok(());
    }
    let mut sources = Sources::open(&client, &args).await?;
    let several = sources.subscriptions.len() > 1 || sources.subscriptions[0].pattern().is_wild();
    let format = format(&args, several);
    if std::io::stderr().is_terminal() {
        eprintln!("fanwire sub: following {}; Ctrl-C ends it", args.topics.join(" "));
    }
    tokio::select! {
        outcome = print(&mut sources, Output::new(format, controls(&args)), &args) => outcome?,
        () = say_status(client.watch_status()) => {}
        // If the signal cannot be handled, Ctrl-C ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
    client.close().await;
    Ok(())
}

/// Returns the form of messages of several topics, or of one.
fn format(args: &Args, several: bool) -> Format {
    match (args.json, several) {
        (true, _) => Format::Json,
        (false, true) => Format::TopicAndPayload,
        (false, false) => Format::Payload,
    }
}

/// Returns whether control characters are printed unchanged.
fn controls(args: &Args) -> Controls {
    if args.raw || !std::io::stdout().is_terminal() { Controls::Raw } else { Controls::Visible }
}

/// Prints until the subscriptions end, the count is reached, or standard output is closed.
async fn print(sources: &mut Sources, mut output: Output, args: &Args) -> Result<(), Failure> {
    let mut left = args.count.map_or(u64::MAX, u64::from);
    let since = args.since.as_ref();
    let mut begun = BTreeSet::new();
    loop {
        let mut event = sources.next().await;
        // Messages that have arrived are written together; waiting for more never delays them.
        loop {
            match event {
                Some((pattern, Event::Message(message))) => {
                    if since.is_some() {
                        begun.insert(pattern);
                    }
                    output.add(&message);
                    left -= 1;
                }
                Some((pattern, Event::Lost { missed })) => {
                    // Only the first event of a subscription concerns its start point.
                    let is_first = begun.insert(pattern.clone());
                    say_lost(&pattern, missed, since.filter(|_| is_first));
                }
                Some((pattern, Event::Ended(error))) => {
                    output.flush().await?;
                    return Err(ended(&pattern, error));
                }
                Some(_) => {}
                None => {
                    output.flush().await?;
                    return Ok(());
                }
            }
            if left == 0 || output.is_full() {
                break;
            }
            match sources.now().await {
                Poll::Ready(next) => event = next,
                Poll::Pending => break,
            }
        }
        if !output.flush().await? || left == 0 {
            return Ok(());
        }
    }
}

fn ended(pattern: &str, error: Error) -> Failure {
    match error {
        Error::Rejected { .. } => Failure::new(format!("'{pattern}' ended: {error}")),
        other => other.into(),
    }
}

/// Prints that messages were missed, or may have been.
fn say_lost(pattern: &str, missed: Option<u64>, start: Option<&Since>) {
    eprintln!("fanwire sub: {}", lost(&visible(pattern), missed, start));
}

/// Returns the text for missed messages. `start` is the start point of the subscription, if no message has arrived since.
fn lost(pattern: &str, missed: Option<u64>, start: Option<&Since>) -> String {
    match (missed, start) {
        (Some(count), _) => format!("{count} messages of '{pattern}' were missed"),
        // A broker that is younger than the moment cannot know what was before it.
        (None, Some(Since::Time(_))) => {
            format!("'{pattern}' begins later than --since asks for: the broker holds nothing older")
        }
        (None, _) => format!("messages of '{pattern}' may have been missed"),
    }
}

/// Prints when the connection breaks and when it is restored. Does not end.
async fn say_status(mut status: StatusWatch) {
    let mut connected = true;
    while let Some(now) = status.changed().await {
        match now {
            Status::Reconnecting { cause, .. } if connected => {
                connected = false;
                eprintln!("fanwire sub: {}; reconnecting", Failure::new(cause));
            }
            Status::Connected { .. } => {
                connected = true;
                eprintln!("fanwire sub: connected again");
            }
            _ => {}
        }
    }
    // The subscriptions report the end, after the messages that arrived before it.
    std::future::pending().await
}

/// All subscriptions as one stream.
struct Sources {
    subscriptions: Vec<Subscription>,
    /// The index of the subscription that is polled first, so that a busy topic does not starve the others.
    first: usize,
}

impl Sources {
    async fn open(client: &Client, args: &Args) -> Result<Self, Failure> {
        let mut subscriptions: Vec<Subscription> = Vec::new();
        for topic in &args.topics {
            if subscriptions.iter().any(|subscription| subscription.pattern().as_str() == topic) {
                continue;
            }
            let mut subscribe = client.subscribe(topic);
            if let Some(since) = &args.since {
                subscribe = subscribe.since(since.clone());
            }
            if let Some(count) = args.last {
                subscribe = subscribe.last(count);
            }
            subscriptions.push(subscribe.await?);
        }
        Ok(Self { subscriptions, first: 0 })
    }

    /// Returns the next event and its pattern; `None` once a subscription has ended.
    async fn next(&mut self) -> Option<(String, Event)> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Returns the next event if it has already arrived.
    async fn now(&mut self) -> Poll<Option<(String, Event)>> {
        std::future::poll_fn(|context| Poll::Ready(self.poll_next(context))).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(String, Event)>> {
        let count = self.subscriptions.len();
        for turn in 0..count {
            let index = (self.first + turn) % count;
            while let Poll::Ready(event) = Pin::new(&mut self.subscriptions[index]).poll_next(context) {
                self.first = (index + 1) % count;
                let Some(event) = event else { return Poll::Ready(None) };
                if let Event::Message(message) = &event
                    && self.is_anothers(index, message)
                {
                    continue;
                }
                return Poll::Ready(Some((self.subscriptions[index].pattern().to_string(), event)));
            }
        }
        Poll::Pending
    }

    /// Returns whether an earlier subscription receives the same message, which is then printed once.
    fn is_anothers(&self, index: usize, message: &Message) -> bool {
        self.subscriptions[..index].iter().any(|other| other.pattern().matches(&message.topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_that_is_younger_than_the_start_point_is_no_alarm() {
        let text = lost("a", None, Some(&Since::Time(5)));
        assert!(text.contains("begins later than --since") && !text.contains("missed"), "{text}");
        assert!(lost("a", None, Some(&Since::Earliest)).contains("may have been missed"));
        assert!(lost("a", None, None).contains("may have been missed"));
        assert!(lost("a", Some(3), Some(&Since::Time(5))).contains("3 messages of 'a' were missed"));
    }

    #[test]
    fn start_points_are_read() {
        assert_eq!(since("earliest"), Ok(Since::Earliest));
        assert!(matches!(since("5f3a:17"), Ok(Since::Cursor(_))));
        assert_eq!(since("2026-11-21T06:40:00Z"), Ok(Since::Time(1_795_243_200_000)));
        let (Ok(Since::Time(hour)), Ok(Since::Time(now))) = (since("1h"), since("0s")) else {
            panic!("moments")
        };
        assert!((3_600_000..3_660_000).contains(&(now - hour)), "{hour} {now}");
        for text in ["", "17", "latest", "5f3a:x"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
