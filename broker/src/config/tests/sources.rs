//! Every setting, from every source.

use super::super::settings::SETTINGS;
use super::{Config, load_from};

/// Returns the value that a test sets each key to, as text. The file and the flags must give the same configuration.
fn text_of(key: &str) -> &'static str {
    match key {
        "listen" => "127.0.0.2:1",
        "open" => "true",
        "origins" => "https://a.example,https://b.example:8443",
        "auth.algorithms" => "HS256,EdDSA",
        "auth.audience" => "chat,shop",
        "auth.anonymous" | "auth.allow_endless" => "true",
        "auth.jwks_url" => "https://id.example/keys",
        _ if key.starts_with("auth.") => "some-text",
        "hooks.url" => "https://127.0.0.1:8000/hook.php",
        "hooks.secret" => "a-secret-of-some-length",
        "hooks.callouts" => "connect,publish",
        "hooks.callout_topics" | "webhooks.topics" => "chat.>",
        "webhooks.events" => "join,leave",
        "hooks.timeout" => "3s",
        "log.filter" => "debug",
        "data_dir" => "/var/lib/fanwire",
        "tls.certificate" | "tls.key" | "hooks.secret_file" | "hooks.ca_file" => "some.pem",
        "proxy.trusted" => "127.0.0.1,10.0.0.0/8",
        "proxy.protocol" => "v1v2",
        "log.format" => "json",
        "limits.message_bytes_max" => "9999",
        _ if key.ends_with("bytes_max") => "8MiB",
        _ if key.ends_with("timeout") || key.ends_with("grace") || key.ends_with("interval") => "3m",
        _ => "7",
    }
}

/// Settings that require credentials; and a certificate is nothing without its key.
fn base_of(key: &str) -> Vec<(&'static str, &'static str)> {
    match key {
        "auth.jwks_ca_file" => [("FANWIRE_AUTH_JWKS_URL", "https://id.example/keys")].to_vec(),
        "hooks.url" => [("FANWIRE_HOOKS_SECRET", "a-secret-of-some-length")].to_vec(),
        "hooks.secret" | "hooks.secret_file" => [("FANWIRE_HOOKS_URL", "http://127.0.0.1:1/")].to_vec(),
        "hooks.callouts" | "webhooks.events" | "hooks.ca_file" => [
            ("FANWIRE_HOOKS_URL", "https://127.0.0.1:1/"),
            ("FANWIRE_HOOKS_SECRET", "a-secret-of-some-length"),
        ]
        .to_vec(),
        "tls.certificate" => [("FANWIRE_TLS_KEY", "other.pem")].to_vec(),
        "tls.key" => [("FANWIRE_TLS_CERTIFICATE", "other.pem")].to_vec(),
        _ if key.starts_with("auth.") && !key.ends_with("_file") => {
            [("FANWIRE_AUTH_PUBLIC_KEY_FILE", "key.pem")].to_vec()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_setting_can_be_made_in_every_source() {
    for setting in SETTINGS {
        let (key, text) = (setting.key, text_of(setting.key));
        let variable = format!("FANWIRE_{}", key.replace('.', "_").to_uppercase());
        let base = base_of(key);
        let from_file_or = |toml: &str, flag: Option<(&str, &str)>, variable: Option<(&str, &str)>| {
            let variables: Vec<(&str, &str)> = base.iter().copied().chain(variable).collect();
            load_from(toml, &variables, flag.as_slice())
        };
        let from_flag = if setting.is_secret() {
            let error = from_file_or("", Some((key, text)), None).unwrap_err().to_string();
            assert!(error.contains("every user") && !error.contains(text), "{error}");
            from_file_or("", None, Some((&variable, text))).unwrap()
        } else {
            from_file_or("", Some((key, text)), None).unwrap()
        };
        let toml = match (key, text.parse::<u64>()) {
            (_, Ok(_)) => format!("{key} = {text}"),
            _ if text == "true" => format!("{key} = {text}"),
            (
                "origins"
                | "auth.algorithms"
                | "auth.audience"
                | "proxy.trusted"
                | "hooks.callouts"
                | "hooks.callout_topics"
                | "webhooks.events"
                | "webhooks.topics",
                _,
            ) => {
                format!("{key} = ['{}']", text.replace(',', "', '"))
            }
            _ => format!("{key} = '{text}'"),
        };
        assert_ne!(from_flag, Config::default(), "{key} must change something");
        assert_eq!(from_file_or("", None, Some((&variable, text))).unwrap(), from_flag, "{variable}");
        assert_eq!(from_file_or(&toml, None, None).unwrap(), from_flag, "{toml}");
    }
}

#[test]
fn variables_of_the_subcommands_do_not_stop_the_start() {
    let mut checked = 0;
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let quoted = text.split('"').filter(|text| text.starts_with("FANWIRE_"));
            for name in
                quoted.filter(|text| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
            {
                let loaded = load_from("", &[(name, "a-secret-or-a-file-or-a-token-of-a-subcommand")], &[]);
                assert!(loaded.is_ok(), "{name}: {loaded:?}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 5, "{checked}");
}
