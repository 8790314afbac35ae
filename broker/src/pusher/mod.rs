//! Pusher apps: who may connect, what their signatures allow, and where their channels are topics.
//!
//! This module owns the apps and their signatures. It knows neither sessions nor HTTP; the transport and the REST API ask it.

mod online;
mod signature;
mod socket_id;

use std::sync::Arc;

use arc_swap::ArcSwap;
use fanwire_core::format::Format;
use fanwire_core::identity::{GrantHolder, Holder, Identity};
use fanwire_core::rate::Rate;
use fanwire_formats::pusher::{ChannelError, format_of, topic_of, topic_of_watched};
use fanwire_protocol::Topic;
use ring::hmac;

use crate::config::PusherAppConfig;
use crate::secret::{self, Secret};

use online::OnlineUsers;
pub(crate) use signature::RestSignatureError;
pub(crate) use socket_id::SocketId;

/// A Pusher app with its secret.
pub(crate) struct PusherApp {
    /// The id, which stands in the paths of the REST API.
    pub(crate) id: Box<str>,
    /// The public key, by which clients name the app.
    pub(crate) key: Box<str>,
    /// The levels before a channel in the name of its topic, without a dot at the end.
    pub(crate) prefix: Box<str>,
    /// The format in which its clients are written to.
    pub(crate) format: &'static Format,
    /// Whether clients may send events.
    pub(crate) client_events: bool,
    /// The rate of these for each connection.
    pub(crate) client_event_rate: Option<Rate>,
    /// The maximum size of the data of an event, in bytes.
    pub(crate) event_bytes_max: usize,
    /// The users that are signed in. A reload keeps them.
    pub(crate) online: Arc<OnlineUsers>,
    /// The secret. A reload changes it for open connections too.
    secret: Arc<ArcSwap<hmac::Key>>,
}

impl PusherApp {
    /// The app that `config` describes, with its secret.
    pub(crate) fn new(config: &PusherAppConfig, secret: &Secret) -> Self {
        let prefix = config.prefix.as_deref().unwrap_or_default();
        let rate =
            |limit: crate::config::RateLimit| Rate { per_second: limit.per_second, burst: limit.burst };
        Self {
            id: Box::from(config.id.as_str()),
            key: Box::from(config.key.as_str()),
            prefix: Box::from(prefix),
            format: format_of(prefix),
            client_events: config.client_events,
            client_event_rate: config.client_event_rate.map(rate),
            event_bytes_max: config.event_bytes_max,
            online: Arc::default(),
            secret: Arc::new(ArcSwap::from_pointee(hmac::Key::new(
                hmac::HMAC_SHA256,
                secret.reveal().as_bytes(),
            ))),
        }
    }

    /// Returns the topic of a channel.
    ///
    /// # Errors
    /// If the topic would be too long.
    pub(crate) fn topic_of(&self, channel: &str) -> Result<Topic, ChannelError> {
        topic_of(&self.id, &self.prefix, channel)
    }

    /// Returns the topic by which the clients that watch a user learn whether it is online.
    ///
    /// # Errors
    /// If the topic would be too long.
    pub(crate) fn topic_of_watched(&self, user: &str) -> Result<Topic, ChannelError> {
        topic_of_watched(&self.id, user)
    }

    /// Returns how the topics of all channels of the app begin.
    pub(crate) fn topic_prefix(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("{}.", self.prefix) }
    }

    /// Returns the identity of a client that has named the key: it may do what anonymous clients may.
    pub(crate) fn guest(&self) -> Identity {
        let voucher = Some(voucher_of(&self.id, &self.key));
        Identity::holder(Holder { is_guest: true, voucher, ..Holder::default() })
    }
}

/// Returns a number for an app, by which its sessions are found to rest on an app that is gone.
pub(crate) fn voucher_of(id: &str, key: &str) -> GrantHolder {
    let name = format!("pusher:{id}:{key}");
    GrantHolder { key: secret::number_for(name.as_bytes()), terms: 0 }
}

/// All apps of a configuration.
#[derive(Default)]
pub(crate) struct PusherApps(Vec<Arc<PusherApp>>);

impl PusherApps {
    /// These apps, each with an id and a key of its own.
    pub(crate) fn new(apps: Vec<PusherApp>) -> Self {
        Self(apps.into_iter().map(Arc::new).collect())
    }

    /// Returns the app with this key.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Arc<PusherApp>> {
        self.0.iter().find(|app| *app.key == *key)
    }

    /// Returns the app with this id.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<PusherApp>> {
        self.0.iter().find(|app| *app.id == *id)
    }

    /// Returns whether there is no app, and so no Pusher protocol.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The apps that all workers share. They may be replaced while the broker runs.
#[derive(Default)]
pub(crate) struct SharedPusherApps(ArcSwap<PusherApps>);

impl SharedPusherApps {
    /// Shares `apps` between the workers.
    pub(crate) fn new(apps: Vec<PusherApp>) -> Self {
        Self(ArcSwap::from_pointee(PusherApps::new(apps)))
    }

    /// Returns the apps as they are now.
    pub(crate) fn current(&self) -> Arc<PusherApps> {
        self.0.load_full()
    }

    /// Replaces the apps for all further connections and requests. The users of an app that stays remain signed in, and its open
    /// connections use its new secret.
    pub(crate) fn change(&self, apps: Vec<PusherApp>) {
        let current = self.current();
        let kept = apps.into_iter().map(|mut app| {
            if let Some(before) = current.by_id(&app.id) {
                before.secret.store(app.secret.load_full());
                (app.secret, app.online) = (before.secret.clone(), before.online.clone());
            }
            app
        });
        self.0.store(Arc::new(PusherApps::new(kept.collect())));
    }
}
