//! Tests of settings that make sense only together.

use super::super::renamed::RENAMED;
use super::super::settings;
use super::{HistoryRule, check_file_refused, check_refused, load_from};

#[test]
fn durable_topics_need_a_directory_and_something_to_keep() {
    let rule = "[[topic]]\nmatch = 'a'\ndurable = true\n";
    check_file_refused(
        rule,
        "fanwire.toml:3: bad value for 'topic.durable': durable topics need a directory: set data_dir, or use \
         --data-dir",
    );
    check_file_refused(
        &format!("{rule}history = false\n"),
        "fanwire.toml:3: bad value for 'topic.durable': the rule also has history = false, but a durable topic needs \
         a history: remove one of the two",
    );
    let config = load_from(&format!("data_dir = 'd'\n{rule}"), &[], &[]).unwrap();
    assert_eq!(config.topics[0].history, Some(HistoryRule::durable()));
    let config = load_from(&rule.replace("true", "false"), &[], &[]).unwrap();
    assert_eq!(config.topics[0].history, Some(HistoryRule::default()));
}

#[test]
fn hooks_need_a_url_and_a_secret() {
    check_file_refused(
        "[hooks]\ncallouts = ['publish']\n",
        "fanwire.toml:2: bad value for 'hooks.callouts': there is no application to call: set hooks.url, or remove this key",
    );
    check_file_refused(
        "[hooks]\nsecret = 'some-secret-that-is-long'\n",
        "fanwire.toml:2: bad value for 'hooks.secret': there is no hooks.url to call",
    );
    check_file_refused(
        "[hooks]\nurl = 'http://localhost/'\n",
        "fanwire.toml:2: bad value for 'hooks.url': calls are signed, so that your application can verify their sender: set \
         hooks.secret to a secret of its own",
    );
    check_file_refused(
        "[hooks]\nurl = 'localhost/hook'\n",
        "fanwire.toml:2: bad value for 'hooks.url': 'localhost/hook' is not a URL like 'http://localhost:8000/hook.php'",
    );
    check_file_refused(
        "[hooks]\nsecret = 'short'\n",
        "fanwire.toml:2: bad value for 'hooks.secret': the secret is too short: use at least 16 random characters",
    );
    check_file_refused(
        "[hooks]\ncallouts = ['publsh']\n",
        "fanwire.toml:2: bad value for 'hooks.callouts': 'publsh' is not a callout; write 'connect', 'subscribe', 'publish' or \
         'request'",
    );
    check_file_refused(
        "[hooks]\ntimeout = '1m'\n",
        "fanwire.toml:2: bad value for 'hooks.timeout': sessions wait for the answer, so this is too long: write \
         at most '20s'",
    );
    check_file_refused(
        "[hooks]\ncallout_topics = ['a..b']\n",
        "fanwire.toml:2: bad value for 'hooks.callout_topics': 'a..b' is not a pattern: a topic has no empty level: remove the leading, \
         trailing or doubled '.'",
    );
}

#[test]
fn webhook_settings_are_checked() {
    check_file_refused(
        "[webhooks]\nevents = ['join']\n",
        "fanwire.toml:2: bad value for 'webhooks.events': there is no application to call: set hooks.url, or remove this key",
    );
    check_file_refused(
        "[hooks]\nsecret_file = 'f'\n",
        "fanwire.toml:2: bad value for 'hooks.secret_file': there is no hooks.url to call",
    );
    check_file_refused(
        "[hooks]\nurl = 'https://a.example/'\nsecret_file = 'f'\nsecret = 'some-secret-that-is-long'\n",
        "fanwire.toml:3: bad value for 'hooks.secret_file': hooks.secret is set as well: keep one",
    );
    check_file_refused(
        "[hooks]\nurl = 'http://localhost/'\nsecret_file = 'f'\nca_file = 'c'\n",
        "fanwire.toml:4: bad value for 'hooks.ca_file': hooks.url is not https://, so there is no certificate \
         to verify",
    );
    check_file_refused(
        "[hooks]\nurl = 'https://ann:password@a.example/'\n",
        "fanwire.toml:2: bad value for 'hooks.url': the URL must not contain a user or a password: calls are signed \
         with hooks.secret instead",
    );
    check_file_refused(
        "[webhooks]\nevents = ['join', 'disconect']\n",
        "fanwire.toml:2: bad value for 'webhooks.events': 'disconect' is not a webhook event; did you mean 'disconnect'? \
         There are 'disconnect', 'occupied', 'vacated', 'join' and 'leave'",
    );
    check_file_refused(
        "[webhooks]\ntopcis = ['a']\n",
        "fanwire.toml:2: unknown key 'webhooks.topcis'; did you mean 'webhooks.topics'?",
    );
    check_file_refused(
        "[webhooks]\ntopics = ['a..b']\n",
        "fanwire.toml:2: bad value for 'webhooks.topics': 'a..b' is not a pattern: a topic has no empty level: remove the leading, \
         trailing or doubled '.'",
    );
    check_file_refused(
        "[webhooks]\nbatch_events_max = 0\n",
        "fanwire.toml:2: bad value for 'webhooks.batch_events_max': it must be at least 1",
    );
}

#[test]
fn old_name_of_a_key_stops_the_start_and_names_the_new_one() {
    check_file_refused(
        "[hooks]\nurl = 'http://localhost/'\nask = ['publish']\n",
        "fanwire.toml:3: 'hooks.ask' is now 'hooks.callouts': write the new name",
    );
    check_file_refused(
        "[hooks]\ntell_delay = '1s'\n",
        "fanwire.toml:2: 'hooks.tell_delay' is now 'webhooks.delay': write the new name",
    );
    for (old, new) in RENAMED {
        let (section, key) = old.split_once('.').unwrap();
        let text = format!("[{section}]\n{key} = 1\n");
        check_file_refused(&text, &format!("fanwire.toml:2: '{old}' is now '{new}': write the new name"));
        let expected = format!("command line: '{old}' is now '{new}': write the new name");
        check_refused("", &[], &[(old, "1")], &expected);
        let variable = |key: &str| format!("FANWIRE_{}", key.replace('.', "_").to_uppercase());
        let (old, new) = (variable(old), variable(new));
        let expected = format!("environment: '{old}' is now '{new}': write the new name");
        check_refused("", &[(&old, "1")], &[], &expected);
    }
}

#[test]
fn new_names_exist_and_old_names_do_not() {
    for (old, new) in RENAMED {
        assert!(settings::find(new).is_some(), "{new}");
        assert!(settings::find(old).is_none(), "{old}");
    }
}
