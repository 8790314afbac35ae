//! Tests of the Pusher apps: their defaults, where secrets come from, and what is refused.

use super::super::{PusherAppConfig, PusherEvent};
use super::{check_file_refused, check_refused, load_from};
use crate::secret::Secret;

const APP: &str = "[[pusher.app]]\nid = '100'\nkey = 'app-key'\n";

#[test]
fn an_app_needs_an_id_a_key_and_a_secret_and_the_rest_has_defaults() {
    let config = load_from(&format!("{APP}secret = 's'"), &[], &[]).unwrap();
    let secret = Some(Secret::new("s"));
    assert_eq!(config.pusher_apps, [PusherAppConfig { secret, ..PusherAppConfig::new("100", "app-key") }]);
    let app = &config.pusher_apps[0];
    let rate = app.client_event_rate.map(|rate| (rate.per_second, rate.burst));
    assert_eq!((app.client_events, rate, app.event_bytes_max), (true, Some((10, 20)), 10 * 1024));
    assert!(load_from("", &[], &[]).unwrap().pusher_apps.is_empty(), "off by default");
    check_file_refused(
        "[[pusher.app]]\nkey = 'k'",
        "fanwire.toml:1: 'pusher.app.id' is missing: a Pusher app needs an id, as in id = \"100\" (PUSHER_APP_ID)",
    );
    check_file_refused(
        "[[pusher.app]]\nid = '1'",
        "fanwire.toml:1: 'pusher.app.key' is missing: a Pusher app needs a key, which clients name (PUSHER_APP_KEY)",
    );
    check_file_refused(
        APP,
        "fanwire.toml:1: bad value for 'pusher.app.secret': the app '100' has no secret to check signatures with: set secret_file, secret, or \
         the variable FANWIRE_PUSHER_APP_SECRET_100",
    );
}

#[test]
fn the_environment_holds_the_secret_of_the_only_app_or_of_one_by_its_id() {
    let only = load_from(APP, &[("FANWIRE_PUSHER_APP_SECRET", "e")], &[]).unwrap();
    assert_eq!(only.pusher_apps[0].secret, Some(Secret::new("e")));
    let two = format!("{APP}secret = 's'\n[[pusher.app]]\nid = 'my-app'\nkey = 'k2'\nprefix = 'two'");
    let config = load_from(&two, &[("FANWIRE_PUSHER_APP_SECRET_MY_APP", "e")], &[]).unwrap();
    assert_eq!(config.pusher_apps[1].secret, Some(Secret::new("e")));
    check_refused(
        &two,
        &[("FANWIRE_PUSHER_APP_SECRET", "e")],
        &[],
        "environment: bad value for 'FANWIRE_PUSHER_APP_SECRET': it does not say which app it is for: write FANWIRE_PUSHER_APP_SECRET_100 or \
         FANWIRE_PUSHER_APP_SECRET_MY_APP",
    );
    check_refused(
        "",
        &[("FANWIRE_PUSHER_APP_SECRET", "e")],
        &[],
        "environment: bad value for 'FANWIRE_PUSHER_APP_SECRET': there is no Pusher app: add [[pusher.app]] with id and key to the file",
    );
}

#[test]
fn two_apps_share_neither_id_nor_key_nor_prefix() {
    let second = |second: &str| format!("{APP}secret = 's'\n[[pusher.app]]\n{second}\nsecret = 's'");
    check_file_refused(
        &second("id = '100'\nkey = 'b'\nprefix = 'b'"),
        "fanwire.toml:5: bad value for 'pusher.app.id': there are two apps with the id '100': give each its own",
    );
    check_file_refused(
        &second("id = '2'\nkey = 'app-key'\nprefix = 'b'"),
        "fanwire.toml:5: bad value for 'pusher.app.key': there are two apps with the key 'app-key': give each its own",
    );
    check_file_refused(
        &second("id = '2'\nkey = 'b'\nprefix = ''"),
        "fanwire.toml:5: bad value for 'pusher.app.prefix': the apps '100' and '2' have the same prefix '', so each would receive the events of \
         the other: give each its own prefix",
    );
}

#[test]
fn values_of_an_app_that_cannot_be_are_refused_with_a_remedy() {
    let app = |line: &str| format!("{APP}secret = 's'\n{line}");
    check_file_refused(
        &app("prefx = 'a'"),
        "fanwire.toml:5: unknown key 'pusher.app.prefx'; did you mean 'pusher.app.prefix'?",
    );
    check_file_refused(
        &app("prefix = 'a.'"),
        "fanwire.toml:5: bad value for 'pusher.app.prefix': 'a.' is not the beginning of a topic: write at most 64 bytes without wildcards and \
         without a dot at the end, as in \"shop\"",
    );
    check_file_refused(
        &app("event_bytes_max = '2MiB'"),
        "fanwire.toml:1: bad value for 'pusher.app.event_bytes_max': 2097152 bytes is more than limits.message_bytes_max (1048576 bytes) allows \
         for one message",
    );
    check_file_refused(
        &app("secret_file = 'x'"),
        "fanwire.toml:1: bad value for 'pusher.app.secret_file': the app has a secret as well: keep one of the two",
    );
    check_file_refused(
        "[[pusher.app]]\nid = 'a/b'",
        "fanwire.toml:2: bad value for 'pusher.app.id': 'a/b' is not accepted: write at most 100 letters, digits, '-', '_' and '.'",
    );
    check_file_refused(
        "[pusher]\nenabled = true",
        "fanwire.toml:2: unknown key 'pusher.enabled': 'fanwire config' prints all keys",
    );
}

#[test]
fn where_credentials_are_required_the_prefix_is_written_out() {
    let auth = "[auth]\nsecret = '0123456789abcdef0123456789abcdef'\n";
    check_file_refused(
        &format!("{auth}{APP}secret = 's'"),
        "fanwire.toml:3: bad value for 'pusher.app.prefix': the holders of the key of app '100' may use every topic below the prefix that no rule \
         restricts, and this broker requires credentials: write prefix = \"100\" to open the topics below '100.' only, or prefix \
         = \"\" to open all",
    );
    for prefix in ["", "shop"] {
        let config = load_from(&format!("{auth}{APP}secret = 's'\nprefix = '{prefix}'"), &[], &[]).unwrap();
        assert_eq!(config.pusher_apps[0].prefix.as_deref(), Some(prefix));
    }
}

#[test]
fn webhooks_name_a_url_and_the_events_it_receives() {
    let app = |webhooks: &str| format!("{APP}secret = 's'\nwebhooks = [{webhooks}]");
    let good = "{ url = 'https://app.example/p', events = ['channel_occupied', 'member_added'] }";
    let config = load_from(&app(good), &[], &[]).unwrap();
    let webhook = &config.pusher_apps[0].webhooks[0];
    assert_eq!(webhook.events, [PusherEvent::ChannelOccupied, PusherEvent::MemberAdded]);
    check_file_refused(
        &app("{ events = [] }"),
        "fanwire.toml:5: 'pusher.app.webhooks.url' is missing: a webhook needs the URL that receives its events",
    );
    check_file_refused(
        &app("{ url = 'https://a.example', events = ['channel_ocupied'] }"),
        "fanwire.toml:5: bad value for 'pusher.app.webhooks.events': 'channel_ocupied' is not an event of Pusher's webhooks; did \
         you mean 'channel_occupied'? There are 'channel_occupied', 'channel_vacated', 'member_added', 'member_removed', \
         'client_event', 'cache_miss', 'subscription_count'",
    );
    check_file_refused(
        &app("{ url = 'https://a.example', events = ['subscription_count'] }"),
        "fanwire.toml:1: bad value for 'pusher.app.webhooks': the event 'subscription_count' needs subscription_count = true in \
         the app",
    );
}
