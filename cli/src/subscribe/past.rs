//! `fanwire sub --no-follow`: prints the held messages of topics and ends.

use std::collections::BTreeSet;

use fanwire_client::{Client, Event, Message};

use super::{Args, controls, ended, format, say_lost};
use crate::connection::Failure;
use crate::subscribe::output::Output;

/// Prints the held messages topic by topic, until the end, until the count is reached, or until standard output is closed.
pub(super) async fn print(client: &Client, args: &Args) -> Result<(), Failure> {
    let topics: BTreeSet<&String> = args.topics.iter().collect();
    let mut printer = Printer {
        output: Output::new(format(args, topics.len() > 1), controls(args)),
        left: args.count.map_or(u64::MAX, u64::from),
    };
    let mut printed = BTreeSet::new();
    for topic in &args.topics {
        if printed.insert(topic) && !print_topic(client, args, topic, &mut printer).await? {
            return Ok(());
        }
    }
    printer.output.flush().await.map(drop)
}

/// The output, and the number of messages that may still be printed.
struct Printer {
    output: Output,
    left: u64,
}

impl Printer {
    /// Prints a message, and returns whether more may be printed.
    async fn add(&mut self, message: &Message) -> Result<bool, Failure> {
        self.output.add(message);
        self.left -= 1;
        if self.left > 0 && !self.output.is_full() {
            return Ok(true);
        }
        Ok(self.output.flush().await? && self.left > 0)
    }
}

/// Prints what one topic holds; whether there is any use in another.
async fn print_topic(
    client: &Client,
    args: &Args,
    topic: &str,
    printer: &mut Printer,
) -> Result<bool, Failure> {
    let mut history = client.history(topic);
    if let Some(since) = &args.since {
        history = history.since(since.clone());
    }
    if let Some(last) = args.last {
        history = history.limit(last.max(1));
    }
    // The newest few are found from the newest back, and then shown in the order asked for.
    let is_backwards = args.reverse || args.last.is_some();
    let mut events = if is_backwards { history.reverse() } else { history }.stream();
    let mut left = args.last.unwrap_or(u32::MAX);
    let mut newest = Vec::new();
    let mut is_first = !is_backwards;
    while left > 0
        && let Some(event) = events.next().await
    {
        match event {
            Event::Message(message) if is_backwards && !args.reverse => {
                left -= 1;
                newest.push(message);
            }
            Event::Message(message) => {
                left -= u32::from(args.last.is_some());
                if !printer.add(&message).await? {
                    return Ok(false);
                }
            }
            Event::Lost { missed } => {
                printer.output.flush().await?;
                // Forward, the first event concerns the start point.
                say_lost(topic, missed, args.since.as_ref().filter(|_| is_first));
            }
            Event::Ended(error) => {
                printer.output.flush().await?;
                return Err(ended(topic, error));
            }
            _ => {}
        }
        is_first = false;
    }
    while let Some(message) = newest.pop() {
        if !printer.add(&message).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
