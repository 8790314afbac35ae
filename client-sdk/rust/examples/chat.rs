//! A chat in the terminal: `chat ROOM NAME`. What is typed goes to everyone in the room; what was said before comes
//! first. The broker is `FANWIRE_URL`, or the one on this machine.

use fanwire_client::{Client, Event};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(room), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: chat ROOM NAME".into());
    };
    let url = std::env::var("FANWIRE_URL").unwrap_or_else(|_| "http://127.0.0.1:7400".to_owned());
    let topic = format!("chat.{room}");

    let client = Client::connect(&url).await?;
    let mut messages = client.subscribe(&topic).last(20).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    // The terminal shows what was typed already, so there is no need to hear it back.
                    client.publish(&topic, format!("{name}: {line}")).echo(false).await?;
                }
                None => break,
            },
            event = messages.next() => match event {
                Some(Event::Message(message)) => println!("{}", String::from_utf8_lossy(&message.payload.to_bare())),
                Some(Event::Lost { .. }) => println!("(something was said that did not get here)"),
                Some(Event::Ended(error)) => return Err(error.into()),
                Some(_) => {}
                None => break,
            },
        }
    }
    client.close().await;
    Ok(())
}
