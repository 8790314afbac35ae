//! The part of the banner about Pusher apps: a line for pages and a block for Laravel's `.env`, to be pasted.

use std::net::SocketAddr;

use fanwire_broker::config::PusherAppConfig;

/// Returns the text for a broker with these apps at this address; empty without apps. It never contains a secret.
pub(super) fn text(apps: &[PusherAppConfig], address: SocketAddr, has_tls: bool) -> String {
    let Some(first) = apps.first() else { return String::new() };
    let (host, port) = (address.ip(), address.port());
    let scheme = if has_tls { "https" } else { "http" };
    let keys: Vec<String> = apps.iter().map(|app| format!("{} (key {})", app.id, app.key)).collect();
    let (id, key) = (&first.id, &first.key);
    format!(
        "Pusher apps: {}\n\
         \n  new Pusher('{key}', {{ wsHost: '{host}', wsPort: {port}, wssPort: {port}, forceTLS: {has_tls}, \
         enabledTransports: ['ws', 'wss'], cluster: '' }})\n\
         \n  BROADCAST_CONNECTION=reverb\
         \n  REVERB_APP_ID={id}\
         \n  REVERB_APP_KEY={key}\
         \n  REVERB_APP_SECRET=...\
         \n  REVERB_HOST={host}\
         \n  REVERB_PORT={port}\
         \n  REVERB_SCHEME={scheme}\n\n",
        keys.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_paste_name_the_first_app_and_no_secret() {
        let address = "127.0.0.1:7400".parse().unwrap();
        assert_eq!(text(&[], address, false), "");
        let apps = [PusherAppConfig::new("100", "app-key"), PusherAppConfig::new("2", "other")];
        let text = text(&apps, address, false);
        assert!(text.starts_with("Pusher apps: 100 (key app-key), 2 (key other)\n"), "{text}");
        let line = "new Pusher('app-key', { wsHost: '127.0.0.1', wsPort: 7400, wssPort: 7400, forceTLS: false, enabledTransports: \
                    ['ws', 'wss'], cluster: '' })";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("\n  REVERB_APP_ID=100\n  REVERB_APP_KEY=app-key\n  REVERB_APP_SECRET=...\n"),
            "{text}"
        );
    }
}
