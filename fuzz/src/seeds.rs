//! Writes the golden vectors as inputs to start from: `seeds VECTORS CORPUS` fills one folder for each target below
//! CORPUS. It knows which vectors suit which target, and nothing of fuzzing.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    direction: Option<String>,
    json: Option<String>,
    msgpack: Option<String>,
}

const NAMES: [&str; 6] = [
    "orders.*.paid\norders.berlin.paid",
    "chat.>\nchat.a.b",
    "a..b",
    "$sys.>\n$sys.a",
    "*\n$a",
    "räume.größe",
];
const CURSORS: [&str; 9] = [
    "5f3a:17",
    "ffffffffffffffff:18446744073709551615",
    "m.",
    "t.T3WOJ00CAiLIFRWsAg",
    "earliest",
    "10m",
    "99999999999999999999d",
    "2026-11-21T06:40:00Z",
    "2024-02-29T23:59:60.123456+14:00",
];
const BATCHES: [&str; 2] = [
    r#"{"messages":[{"topic":"a","data":"x","key":"k"},{"topic":"b","data_base64":"AAE="}]}"#,
    r#"{"messages":[1]}"#,
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [vectors, corpus] = arguments.as_slice() else { return Err("usage: seeds VECTORS CORPUS".into()) };
    let (vectors, corpus) = (Path::new(vectors), Path::new(corpus));
    for file in ["client.json", "server.json", "invalid.json", "conversions.json"] {
        let read: Vec<Vector> = serde_json::from_str(&fs::read_to_string(vectors.join(file))?)?;
        for (index, vector) in read.into_iter().enumerate() {
            let [json, msgpack] = match vector.direction.as_deref() {
                Some("client") => ["json_client", "msgpack_client"],
                Some("server") => ["json_server", "msgpack_server"],
                _ => ["json_to_msgpack", "msgpack_to_json"],
            };
            let name = format!("{file}-{index}");
            if let Some(text) = vector.json {
                put(&corpus.join(json), &name, text.as_bytes())?;
            }
            if let Some(hex) = vector.msgpack {
                put(&corpus.join(msgpack), &name, &from_hex(&hex)?)?;
            }
        }
    }
    for (target, texts) in [("names", &NAMES[..]), ("cursor", &CURSORS), ("batch", &BATCHES)] {
        for (index, text) in texts.iter().enumerate() {
            put(&corpus.join(target), &format!("seed-{index}"), text.as_bytes())?;
        }
    }
    Ok(())
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn from_hex(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    pairs.collect()
}
