//! Publishes one message and prints where it stands: `publish TOPIC TEXT`. The broker is `FANWIRE_URL`, or the one on
//! this machine.

use fanwire_client::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(topic), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: publish TOPIC TEXT".into());
    };
    let url = std::env::var("FANWIRE_URL").unwrap_or_else(|_| "http://127.0.0.1:7400".to_owned());

    let client = Client::connect(&url).await?;
    let receipt = client.publish(&topic, text).await?;
    println!(
        "{} has it at offset {} of epoch {}",
        receipt.topic, receipt.position.offset, receipt.position.epoch
    );
    client.close().await;
    Ok(())
}
