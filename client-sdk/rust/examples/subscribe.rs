//! Prints what is published: `subscribe TOPIC_OR_PATTERN`. The broker is `FANWIRE_URL`, or the one on this machine. Stop
//! and start the broker meanwhile to see what the client says.

use fanwire_client::{Client, Encoding, Event, Status};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let topic = std::env::args().nth(1).ok_or("usage: subscribe TOPIC_OR_PATTERN")?;
    let url = std::env::var("FANWIRE_URL").unwrap_or_else(|_| "http://127.0.0.1:7400".to_owned());

    let client = Client::builder().encoding(Encoding::MessagePack).connect(&url).await?;
    let mut status = client.watch_status();
    let mut messages = client.subscribe(&topic).await?;
    loop {
        tokio::select! {
            event = messages.next() => match event {
                Some(Event::Message(message)) => {
                    println!("{}: {}", message.topic, String::from_utf8_lossy(&message.payload.to_bare()));
                }
                Some(Event::Lost { missed }) => eprintln!("missed something ({missed:?} messages)"),
                Some(Event::Ended(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Ok(()),
            },
            Some(Status::Reconnecting { attempt, cause, .. }) = status.changed() => {
                eprintln!("attempt {attempt} to reconnect: {cause}");
            }
        }
    }
}
