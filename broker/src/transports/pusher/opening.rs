//! Opens connections of the Pusher protocol, or refuses them with the close codes that its clients know.

use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::identity::Identity;
use fanwire_core::session::{Close, CustomClose};
use fanwire_protocol::CloseCode;

use super::Client;
use super::dialect::{Pusher, Refused};
use crate::pusher::{PusherApp, PusherApps};
use crate::sessions::Worker;
use crate::transports::websocket::dialect::Dialect;

/// The beginning of the path at which clients connect; the key follows.
pub(in crate::transports) const PREFIX: &str = "/app/";

/// The versions of the protocol that are spoken.
const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;

/// Returns the dialect of a connection to the app with this key, and the identity of its session. A connection that is refused
/// is closed as soon as the WebSocket is open, because a page learns nothing of the answer to a handshake.
pub(in crate::transports) fn open(
    worker: &Rc<Worker>,
    apps: &PusherApps,
    key: &str,
    query: &str,
) -> (Box<dyn Dialect>, Identity) {
    match admit(apps, key, query) {
        Ok(app) => {
            let identity = app.guest();
            (Box::new(Pusher::new(Client::new(app, worker.clone()))), identity)
        }
        Err(close) => (Box::new(Refused(close)), Identity::Anonymous),
    }
}

fn admit(apps: &PusherApps, key: &str, query: &str) -> Result<Arc<PusherApp>, Close> {
    let Some(app) = apps.by_key(key) else {
        let key: String = key.chars().take(40).collect();
        return Err(refused(4001, format!("there is no app with the key '{key}': check the key")));
    };
    let version = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "protocol");
    let Some((_, version)) = version else {
        return Err(refused(4008, "the parameter 'protocol' is missing: connect with ?protocol=7"));
    };
    match version.parse::<u64>() {
        Ok(version) if VERSIONS.contains(&version) => Ok(app.clone()),
        Ok(_) => Err(refused(4007, "this version of the protocol is not spoken: versions 5 to 7 are")),
        Err(_) => Err(refused(4006, "the parameter 'protocol' must be a number: connect with ?protocol=7")),
    }
}

/// Returns a close after which the client must not come back as it is.
fn refused(number: u16, reason: impl Into<String>) -> Close {
    let custom = Some(CustomClose { number, reconnect: false });
    Close { custom, ..Close::new(CloseCode::Forbidden, reason) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PusherAppConfig;
    use crate::secret::Secret;

    #[test]
    fn a_connection_names_a_known_key_and_a_version_that_is_spoken() {
        let app = PusherApp::new(&PusherAppConfig::new("1", "k"), &Secret::new("s"));
        let apps = PusherApps::new(vec![app]);
        let number = |key: &str, query: &str| admit(&apps, key, query).err().map(|close| close.number());
        for query in ["protocol=7", "protocol=5&client=js", "client=js&protocol=6"] {
            assert_eq!(number("k", query), None, "{query}");
        }
        for (query, expected) in [
            ("", 4008),
            ("protocol=", 4006),
            ("protocol=seven", 4006),
            ("protocol=-7", 4006),
            ("protocol=4", 4007),
            ("protocol=8", 4007),
        ] {
            assert_eq!(number("k", query), Some(expected), "{query}");
        }
        assert_eq!(number("other", "protocol=7"), Some(4001));
        assert_eq!(number("other", ""), Some(4001));
    }
}
