//! Tests of loading: the order of the sources, and the message of each error.

use std::path::Path;
use std::time::Duration;

use fanwire_core::rules::Access;

use super::load::assemble;
use super::{Config, ConfigError, HistoryRule, Overrides, RateLimit, SlowRule, TopicRule, document, load};

mod example;
mod pusher;
mod sources;
mod together;

const MIB: usize = 1024 * 1024;

/// Loads from the text of a file named `fanwire.toml`, variables and flags.
fn load_from(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let source = document::Source { path: Path::new("fanwire.toml"), text };
    assemble(source, variables.iter().map(pair), &Overrides(flags.iter().map(pair).collect()))
}

fn check_refused(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)], expected: &str) {
    let error = load_from(text, variables, flags).expect_err("the configuration must be refused");
    assert_eq!(error.to_string(), expected, "for {text:?} {variables:?} {flags:?}");
}

fn check_file_refused(text: &str, expected: &str) {
    check_refused(text, &[], &[], expected);
}

#[test]
fn nothing_given_is_the_default() {
    let config = load(None, std::iter::empty(), &Overrides::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
}

#[test]
fn later_sources_override_earlier_ones() {
    let text = "workers = 1\n[limits]\nmessage_bytes_max = '2MiB'\nping_interval = 40\n";
    let environment = [("FANWIRE_WORKERS", "2"), ("FANWIRE_LIMITS_MESSAGE_BYTES_MAX", "3MiB")];
    let config = load_from(text, &environment, &[("workers", "3")]).unwrap();
    assert_eq!(config.workers, 3, "the flag wins over the variable and the file");
    assert_eq!(config.limits.message_bytes_max, 3 * MIB, "the variable wins over the file");
    assert_eq!(config.limits.ping_interval, Duration::from_secs(40), "the file wins over the default");
    assert_eq!(config.limits.ping_timeout, Duration::from_secs(10), "the rest keeps its default");
}

#[test]
fn port_changes_the_port_only() {
    let config = load_from("listen = '0.0.0.0:1'", &[("FANWIRE_PORT", "2")], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:2");
    let config = load_from("", &[], &[("port", "0"), ("listen", "[::1]:9")]).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:0");
    check_refused(
        "",
        &[("FANWIRE_PORT", "70000")],
        &[],
        "environment: bad value for 'FANWIRE_PORT': '70000' is not a port from 0 to 65535",
    );
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_key() {
    check_file_refused(
        "# a comment\nlisten = '127.0.0.1:1'\n\n[limits]\nmesage_bytes_max = 1\n",
        "fanwire.toml:5: unknown key 'limits.mesage_bytes_max'; did you mean 'limits.message_bytes_max'?",
    );
    check_file_refused("lisen = 1", "fanwire.toml:1: unknown key 'lisen'; did you mean 'listen'?");
    check_file_refused(
        "\n[limit]\noutbox_bytes_max = 1",
        "fanwire.toml:3: unknown key 'limit.outbox_bytes_max'; did you mean 'limits.outbox_bytes_max'?",
    );
    check_file_refused(
        "outbox_bytes_max = 1",
        "fanwire.toml:1: unknown key 'outbox_bytes_max'; did you mean 'limits.outbox_bytes_max'?",
    );
    check_file_refused("[topics]", "fanwire.toml:1: unknown key 'topics'; did you mean 'topic'?");
    check_file_refused(
        "[limits.drain_timeouts]\nx = 1",
        "fanwire.toml:1: unknown key 'limits.drain_timeouts'; did you mean 'limits.drain_timeout'?",
    );
}

#[test]
fn unknown_variables_and_flags_name_the_nearest() {
    check_refused(
        "",
        &[("FANWIRE_LIMITS_OUTBOX_BYTE_MAX", "1")],
        &[],
        "environment: unknown key 'FANWIRE_LIMITS_OUTBOX_BYTE_MAX'; did you mean 'FANWIRE_LIMITS_OUTBOX_BYTES_MAX'?",
    );
    check_refused(
        "",
        &[("FANWIRE_DATABASE", "1")],
        &[],
        "environment: unknown key 'FANWIRE_DATABASE': 'fanwire config' prints all keys",
    );
    check_refused("port = 8000", &[], &[], "fanwire.toml:1: unknown key 'port'; did you mean 'listen'?");
    check_refused("", &[], &[("prt", "1")], "command line: unknown key 'prt'; did you mean 'port'?");
    check_refused(
        "",
        &[],
        &[("logformat", "1")],
        "command line: unknown key 'logformat'; did you mean 'log.format'?",
    );
}

#[test]
fn first_mistake_in_the_file_is_the_one_reported() {
    check_file_refused(
        "zzz = 1\naaa = 1\n",
        "fanwire.toml:1: unknown key 'zzz': 'fanwire config' prints all keys",
    );
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let others = [
        ("PATH", "/bin"),
        ("fanwire_listen", "lower case is not a setting"),
        ("FANWIRE_CONFIG", "/etc/fanwire.toml"),
        ("FANWIRE_URL", "ws://localhost:7400"),
        ("FANWIRE_TOKEN", "secret"),
        ("FANWIRE_BIN", "target/debug/fanwire"),
        ("FANWIRE_SERVICE_HOST", "10.0.0.1"),
        ("FANWIRE_SERVICE_PORT_HTTP", "7400"),
        ("FANWIRE_PORT", "tcp://10.0.0.1:7400"),
        ("FANWIRE_PORT_7400_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(load_from("", &others, &[]).unwrap(), Config::default());
}

#[test]
fn syntax_errors_name_the_line() {
    let error = load_from("workers = 1\nopen = = true\n", &[], &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error:?}");
    assert!(error.to_string().starts_with("fanwire.toml:2: not valid TOML: "), "{error}");
    let error = load_from("workers = 1\nworkers = 2\n", &[], &[]).unwrap_err();
    assert!(error.to_string().starts_with("fanwire.toml:2: not valid TOML: "), "{error}");
}

#[test]
fn missing_file_is_named() {
    let error = load(Some(Path::new("no/such.toml")), std::iter::empty(), &Overrides::default()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot read the configuration file no/such.toml: "), "{error}");
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    for (text, expected) in [
        ("listen = 7400", "bad value for 'listen': expected a string, found a whole number"),
        (
            "listen = 'localhost:7400'",
            "bad value for 'listen': 'localhost:7400' is not an address with a port; write it as in \
             '127.0.0.1:7400' or '[::1]:7400'",
        ),
        ("open = 'true'", "bad value for 'open': expected true or false, found a string"),
        ("workers = '2'", "bad value for 'workers': expected a whole number, found a string"),
        ("workers = -2", "bad value for 'workers': '-2' is not a whole number from 0 up"),
        ("workers = 2.5", "bad value for 'workers': expected a whole number, found a number with a fraction"),
        (
            "origins = 'https://a.example'",
            "bad value for 'origins': expected a list of strings such as [\"a\", \"b\"], found a string",
        ),
        ("log = 'debug'", "bad value for 'log': expected the section [log], found a string"),
        ("log.filter = ''", "bad value for 'log.filter': it is empty"),
        (
            "log.format = 'xml'",
            "bad value for 'log.format': 'xml' is not a log format; write 'auto', 'text' or 'json'",
        ),
        (
            "limits.outbox_bytes_max = '4MB'",
            "bad value for 'limits.outbox_bytes_max': '4MB' is not a size; write bytes, or KiB, MiB or GiB as in \
             '64MiB'",
        ),
        (
            "limits.ping_timeout = true",
            "bad value for 'limits.ping_timeout': expected a duration such as \"90s\" or a number of seconds, found \
             true or false",
        ),
    ] {
        check_file_refused(text, &format!("fanwire.toml:1: {expected}"));
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (text, expected) in [
        ("connections_max = 0", "it must be at least 1"),
        ("message_bytes_max = 0", "it must be at least 1"),
        ("message_bytes_max = '2GiB'", "2147483648 bytes is too much; write at most 1073741824 (1GiB)"),
        ("header_bytes_max = '1KiB'", "1024 bytes is too little; write at least 8192 (8KiB)"),
        ("drain_timeout = 0", "it must be longer than zero"),
        ("drain_timeout = '400d'", "it must be at most 365 days"),
    ] {
        let key = text.split_once(' ').unwrap().0;
        let expected = format!("fanwire.toml:2: bad value for 'limits.{key}': {expected}");
        check_file_refused(&format!("[limits]\n{text}"), &expected);
    }
    check_file_refused(
        "history.bytes_max = 0",
        "fanwire.toml:1: bad value for 'history.bytes_max': it must be at least 1",
    );
    check_file_refused(
        "workers = 5000",
        "fanwire.toml:1: bad value for 'workers': 5000 is too many; write at most 1024",
    );
}

#[test]
fn zero_is_allowed_where_it_stands_for_something() {
    let config = load_from("workers = 0\nlimits.connections_per_address_max = 0", &[], &[]).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    let config = load_from("origins = ['https://a.example', 'http://[::1]:8080']", &[], &[]).unwrap();
    assert_eq!(config.origins, ["https://a.example", "http://[::1]:8080"]);
    for origin in
        ["a.example", "https://", "https://a.example/", "https://A.example", "*", "null", "https://a b"]
    {
        let error = load_from(&format!("origins = ['{origin}']"), &[], &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("'{origin}' is not an origin")), "{error}");
    }
}

#[test]
fn queues_must_hold_the_largest_message() {
    check_file_refused(
        "[limits]\nmessage_bytes_max = '2MiB'\noutbox_bytes_max = '1MiB'",
        "fanwire.toml:3: bad value for 'limits.outbox_bytes_max': limits.outbox_bytes_max (1048576 bytes) is less than \
         limits.message_bytes_max (2097152 bytes), but one message must fit into the outbox of a session",
    );
    for (key, word) in [("inbox_bytes_max", "inbox"), ("batch_bytes_max", "batch")] {
        let error = load_from(&format!("limits.{key} = 1"), &[], &[]).unwrap_err().to_string();
        assert!(error.starts_with("fanwire.toml:1: ") && error.contains(word), "{error}");
    }
    // An inbox whose size is not set grows with the largest message.
    let inbox = |text: &str| load_from(text, &[], &[]).unwrap().limits.inbox_bytes_max;
    assert_eq!(inbox(""), 4 << 20);
    assert_eq!(inbox("[limits]\nmessage_bytes_max = '3MiB'"), 12 << 20);
    assert_eq!(inbox("[limits]\nmessage_bytes_max = '3MiB'\ninbox_bytes_max = '5MiB'"), 5 << 20);
}

#[test]
fn a_certificate_needs_its_key() {
    check_file_refused(
        "[tls]\ncertificate = 'a.pem'",
        "fanwire.toml:2: bad value for 'tls.certificate': TLS needs both a certificate and its key, but \
         tls.key is not set",
    );
    let config = load_from("[tls]\ncertificate = 'a.pem'\nkey = 'b.pem'", &[], &[]).unwrap();
    assert_eq!(config.tls.key.as_deref(), Some(Path::new("b.pem")));
}

#[test]
fn conflict_is_blamed_on_the_setting_made_last() {
    let error =
        load_from("limits.outbox_bytes_max = '2MiB'", &[("FANWIRE_LIMITS_MESSAGE_BYTES_MAX", "3MiB")], &[])
            .unwrap_err()
            .to_string();
    assert!(error.starts_with("environment: bad value for 'FANWIRE_LIMITS_MESSAGE_BYTES_MAX': "), "{error}");
}

#[test]
fn topic_rules_keep_their_order() {
    let config = load_from(
        "[[topic]]\nmatch = 'chat.*'\nhistory = { messages = 5, bytes = '1KiB', ttl = '1m' }\n\
         [[topic]]\nmatch = 'chat.>'\nhistory = false\nslow = 'latest'\nrate = 20\n\
         [[topic]]\nmatch = 'news.>'\nhistory = { ttl = '500ms' }\n\
         [[topic]]\nmatch = 'plain'\npublish = 'authenticated'\nsubscribe = 'anyone'\n\
         [[topic]]\nmatch = 'users.{user}.>'\nsubscribe = 'granted'\n",
        &[],
        &[],
    )
    .unwrap();
    let rule = |pattern: &str, history| TopicRule {
        pattern: pattern.to_owned(),
        history,
        slow: SlowRule::Disconnect,
        publish: None,
        subscribe: None,
        rate: None,
        durable: false,
        presence: false,
    };
    let bounds = |messages, bytes, ttl| HistoryRule { messages, bytes, ttl };
    let expected = [
        rule("chat.*", Some(bounds(Some(5), Some(1024), Some(Duration::from_secs(60))))),
        TopicRule {
            slow: SlowRule::Latest,
            rate: Some(RateLimit { per_second: 20, burst: 20 }),
            ..rule("chat.>", None)
        },
        rule("news.>", Some(bounds(None, None, Some(Duration::from_millis(500))))),
        TopicRule {
            publish: Some(Access::Authenticated),
            subscribe: Some(Access::Anyone),
            ..rule("plain", Some(HistoryRule::default()))
        },
        TopicRule {
            subscribe: Some(Access::Granted),
            ..rule("users.{user}.>", Some(bounds(Some(100), None, Some(Duration::from_secs(120)))))
        },
    ];
    assert_eq!(config.topics, expected);
}

#[test]
fn bad_topic_rules_are_refused() {
    for (text, expected) in [
        (
            "topic = 3",
            "1: bad value for 'topic': write each rule under its own [[topic]], found a whole number",
        ),
        (
            "topic = [3]",
            "1: bad value for 'topic': write each rule under its own [[topic]], found a whole number",
        ),
        (
            "[topic]\nmatch = 'a'",
            "1: bad value for 'topic': write each rule under its own [[topic]], found a table",
        ),
        ("\n[[topic]]\nmach = 'a'", "3: unknown key 'topic.mach'; did you mean 'topic.match'?"),
        ("[[topic]]\nmatch = 'a'\nrats = 3", "3: unknown key 'topic.rats'; did you mean 'topic.rate'?"),
        (
            "[[topic]]\nmatch = 'a'\nslow = 'wait'",
            "3: bad value for 'topic.slow': 'wait' is none of \"disconnect\", \"skip\" and \"latest\"",
        ),
        (
            "[[topic]]\nmatch = 'a'\n\n[[topic]]\nhistory = false",
            "4: 'topic.match' is missing: a rule needs the pattern of its topics, as in match = \"chat.>\"",
        ),
        ("[[topic]]\nmatch = 3", "2: bad value for 'topic.match': expected a string, found a whole number"),
        (
            "[[topic]]\nmatch = 'users.u-{user}.>'",
            "2: bad value for 'topic.match': 'users.u-{user}.>' is not a pattern: {user} must be a whole level, as in \
             'users.{user}.>'",
        ),
        (
            "[[topic]]\nmatch = 'a'\npublish = 'none'",
            "3: bad value for 'topic.publish': 'none' is none of \"anyone\", \"authenticated\" and \"granted\"",
        ),
    ] {
        check_file_refused(text, &format!("fanwire.toml:{expected}"));
    }
    let error = load_from("[[topic]]\nmatch = 'a.>.b'", &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("fanwire.toml:2: bad value for 'topic.match': 'a.>.b' is not a pattern: "),
        "{error}"
    );
}

#[test]
fn bad_rates_of_topic_rules_are_refused() {
    for (text, expected) in [
        (
            "[[topic]]\nmatch = 'a'\nrate = 'fast'",
            "3: bad value for 'topic.rate': expected a number per second or { per_second = 100, burst = 500 }, found a \
             string",
        ),
        (
            "[[topic]]\nmatch = 'a'\nrate = { burst = 3 }",
            "3: bad value for 'topic.rate': it needs per_second, as in { per_second = 100, burst = 500 }",
        ),
        (
            "[[topic]]\nmatch = 'a'\nrate = { per_second = 3, bust = 3 }",
            "3: bad value for 'topic.rate': 'bust' is neither per_second nor burst",
        ),
        (
            "[[topic]]\nmatch = 'a'\nrate = { per_second = 0, burst = 3 }",
            "3: bad value for 'topic.rate': per_second is 0; write a number from 1 to 1000000",
        ),
    ] {
        check_file_refused(text, &format!("fanwire.toml:{expected}"));
    }
}

#[test]
fn bad_history_of_topic_rules_is_refused() {
    for (text, expected) in [
        (
            "[[topic]]\nmatch = 'a'\nhistory = true",
            "3: bad value for 'topic.history': expected false or bounds such as { messages = 100, ttl = \"2m\" }, found \
             true",
        ),
        (
            "[[topic]]\nmatch = 'a'\nhistory = {}",
            "3: bad value for 'topic.history': set at least one of messages, bytes and ttl, or write false to keep \
             no history",
        ),
        (
            "[[topic]]\nmatch = 'a'\n[topic.history]\nmessages = 0",
            "4: bad value for 'topic.history.messages': it must be at least 1; write history = false to keep no history",
        ),
        (
            "[[topic]]\nmatch = 'a'\nhistory = { tll = '1m' }",
            "3: unknown key 'topic.history.tll'; did you mean 'topic.history.ttl'?",
        ),
    ] {
        check_file_refused(text, &format!("fanwire.toml:{expected}"));
    }
}
