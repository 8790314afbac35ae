//! Tests of settings that make sense only together.

use super::{HistoryRule, check_file_refused, load_from};

#[test]
fn durable_topics_need_a_directory_and_something_to_keep() {
    let rule = "[[topic]]\nmatch = 'a'\ndurable = true\n";
    check_file_refused(
        rule,
        "fanwire.toml:3: bad value for 'topic.durable': durable topics need a directory to be kept in: set data_dir, or \
         say --data-dir",
    );
    check_file_refused(
        &format!("{rule}history = false\n"),
        "fanwire.toml:3: bad value for 'topic.durable': the rule also says history = false, and what is not kept cannot \
         be durable: delete one of the two",
    );
    let config = load_from(&format!("data_dir = 'd'\n{rule}"), &[], &[]).unwrap();
    assert_eq!(config.topics[0].history, Some(HistoryRule::durable()));
    let config = load_from(&rule.replace("true", "false"), &[], &[]).unwrap();
    assert_eq!(config.topics[0].history, Some(HistoryRule::default()));
}

#[test]
fn hooks_need_somebody_to_call_and_a_secret() {
    check_file_refused(
        "[hooks]\nask = ['publish']\n",
        "fanwire.toml:2: bad value for 'hooks.ask': there is nobody to ask: set hooks.url, or remove this",
    );
    check_file_refused(
        "[hooks]\nsecret = 'some-secret-that-is-long'\n",
        "fanwire.toml:2: bad value for 'hooks.secret': there is no hooks.url to call",
    );
    check_file_refused(
        "[hooks]\nurl = 'http://localhost/'\n",
        "fanwire.toml:2: bad value for 'hooks.url': calls are signed, so that your application can tell them from others: set \
         hooks.secret to a secret of its own",
    );
    check_file_refused(
        "[hooks]\nurl = 'localhost/hook'\n",
        "fanwire.toml:2: bad value for 'hooks.url': 'localhost/hook' is not a URL like 'http://localhost:8000/hook.php'",
    );
    check_file_refused(
        "[hooks]\nsecret = 'short'\n",
        "fanwire.toml:2: bad value for 'hooks.secret': the secret is too short: take at least 16 random characters",
    );
    check_file_refused(
        "[hooks]\nask = ['publsh']\n",
        "fanwire.toml:2: bad value for 'hooks.ask': 'publsh' cannot be asked; write 'connect', 'subscribe', 'publish' or \
         'request'",
    );
    check_file_refused(
        "[hooks]\ntimeout = '1m'\n",
        "fanwire.toml:2: bad value for 'hooks.timeout': that is too long for those who wait: write at most '20s'",
    );
    check_file_refused(
        "[hooks]\nask_about = ['a..b']\n",
        "fanwire.toml:2: bad value for 'hooks.ask_about': 'a..b' is not a pattern: a topic has no empty level: remove the leading, \
         trailing or doubled '.'",
    );
}

#[test]
fn what_is_told_and_by_whom_is_checked() {
    check_file_refused(
        "[hooks]\ntell = ['join']\n",
        "fanwire.toml:2: bad value for 'hooks.tell': there is nobody to tell: set hooks.url, or remove this",
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
        "fanwire.toml:4: bad value for 'hooks.ca_file': there is no https:// in hooks.url whose certificate it could vouch for",
    );
    check_file_refused(
        "[hooks]\nurl = 'https://ann:password@a.example/'\n",
        "fanwire.toml:2: bad value for 'hooks.url': there must be no user or password in it: calls are signed with \
         hooks.secret instead",
    );
    check_file_refused(
        "[hooks]\ntell = ['join', 'disconect']\n",
        "fanwire.toml:2: bad value for 'hooks.tell': 'disconect' cannot be told; did you mean 'disconnect'? There are \
         'disconnect', 'occupied', 'vacated', 'join' and 'leave'",
    );
    check_file_refused(
        "[hooks]\ntell_abuot = ['a']\n",
        "fanwire.toml:2: unknown key 'hooks.tell_abuot'; did you mean 'hooks.tell_about'?",
    );
    check_file_refused(
        "[hooks]\ntell_about = ['a..b']\n",
        "fanwire.toml:2: bad value for 'hooks.tell_about': 'a..b' is not a pattern: a topic has no empty level: remove the leading, \
         trailing or doubled '.'",
    );
    check_file_refused(
        "[hooks]\ntell_batch_events_max = 0\n",
        "fanwire.toml:2: bad value for 'hooks.tell_batch_events_max': it must be at least 1",
    );
}
