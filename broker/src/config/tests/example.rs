//! Tests of `deploy/fanwire.toml`: it lists every key with a comment, and equals the defaults.

use std::path::{Path, PathBuf};

use super::super::settings::SETTINGS;
use super::super::{Config, Overrides, PusherAppConfig, load};
use super::load_from;
use crate::secret::Secret;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/fanwire.toml")
}

#[test]
fn example_file_is_the_default() {
    let config = load(Some(&example()), std::iter::empty(), &Overrides::default()).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn example_file_has_every_key_and_a_sentence_before_each() {
    let text = std::fs::read_to_string(example()).unwrap();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("[[")).collect();
    let mut section = String::new();
    let mut keys = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(
                index > 0 && lines[index - 1].starts_with("# "),
                "line {}: write a comment about {key}",
                index + 1
            );
            keys.push(format!("{section}{key}"));
        }
    }
    let expected: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(keys, expected, "the example lists every key once, in the order of the table of settings");
}

#[test]
fn rules_in_the_example_load_when_uncommented() {
    let text = std::fs::read_to_string(example()).unwrap();
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(uncomment).collect();
    let config = load_from(&text, &[], &[("data_dir", "data")]).unwrap();
    let patterns: Vec<&str> = config.topics.iter().map(|rule| rule.pattern.as_str()).collect();
    assert_eq!(
        patterns,
        ["examples.>", "chat.>", "cursors.*", "orders.>", "lobby.*", "users.{user}.>", "rooms.*"]
    );
    assert_eq!(config.topics[2].history, None);
    assert!(config.topics[3].durable);
    let names: Vec<&str> = config.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["shop"]);
    let app = PusherAppConfig {
        secret: Some(Secret::new("app-secret")),
        prefix: Some("shop".to_owned()),
        ..PusherAppConfig::new("100", "app-key")
    };
    assert_eq!(config.pusher_apps, [app]);
    assert_eq!(
        Config {
            topics: config.topics[..1].to_vec(),
            keys: Vec::new(),
            pusher_apps: Vec::new(),
            data_dir: None,
            ..config
        },
        Config::default()
    );
}
