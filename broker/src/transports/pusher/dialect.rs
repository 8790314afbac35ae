//! The messages of Pusher's clients: subscriptions with their signatures, sign-in, and the events that clients send.

use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::format::Format;
use fanwire_core::identity::{Grants, Holder};
use fanwire_core::session::{Close, PublishRequest};
use fanwire_formats::pusher::{
    CLIENT_EVENT, ChannelKind, OF_USER, check_channel, event_payload, format_of, kind_of, write_error,
    write_system_event,
};
use fanwire_protocol::{ClientFrame, CloseCode, DecodeError, ErrorCode, Member, Pattern, Request, Topic};
use tungstenite::Message;

use super::answers::{reply_writer, write_refused};
use super::message::{ClientMessage, Subscription, User, member_in};
use super::sign_in::sign_in;
use super::{Client, Pending, Sent, Wrong, send};
use crate::clock;
use crate::config::PusherEvent;
use crate::pusher::SocketId;
use crate::sessions::SessionRuntime;
use crate::telemetry::Transport;
use crate::transports::websocket::dialect::Dialect;

/// The silence after which clients send a ping, in seconds. WebSocket pings, which they do not see, keep the connection open.
const ACTIVITY_TIMEOUT_S: u32 = 120;

/// The longest name of an event, in characters.
const EVENT_NAME_CHARS_MAX: usize = 200;

/// The dialect of one connection.
pub(super) struct Pusher(Rc<Client>);

/// The dialect of a connection that is refused as soon as it is open.
pub(super) struct Refused(pub(super) Close);

impl Dialect for Refused {
    fn read(&self, _message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        Err(self.0.clone())
    }

    fn greet(&self, session: &mut SessionRuntime) {
        session.writer().request_close(self.0.clone());
    }

    fn format(&self) -> &'static Format {
        format_of("")
    }

    fn label(&self) -> Transport {
        Transport::Pusher
    }
}

impl Dialect for Pusher {
    fn read(&self, message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        let refused =
            |message: String| Err(DecodeError::Rejected { id: None, code: ErrorCode::BadFrame, message });
        let Message::Text(text) = message else { return Ok(refused("messages are text".to_owned())) };
        let parsed = ClientMessage::parse(text).and_then(|message| self.unsubscribe(&message));
        Ok(parsed.or_else(refused))
    }

    fn handle(&self, message: &Message, session: &mut SessionRuntime) -> Option<Close> {
        let Message::Text(text) = message else {
            self.wrong("messages of this protocol are JSON in text, and this one is binary".into(), session);
            return None;
        };
        match self.follow(text, session) {
            Ok(close) => close,
            Err(wrong) => {
                self.wrong(wrong, session);
                None
            }
        }
    }

    fn greet(&self, session: &mut SessionRuntime) {
        let socket_id = *self.0.socket_id.get_or_init(|| SocketId::new(session.connection_number()));
        // Operators see the name, and back ends leave out the connection by it.
        let connect = Request::Connect { token: None, name: Some(socket_id.to_string()) };
        let close = session.handle(Ok(ClientFrame { id: None, request: connect }));
        debug_assert!(close.is_none(), "a name is no reason to close");
        session.write_replies_by(reply_writer(self.0.clone()));
        let data = format!("{{\"socket_id\":\"{socket_id}\",\"activity_timeout\":{ACTIVITY_TIMEOUT_S}}}");
        send(session, |out| {
            write_system_event("pusher:connection_established", None, data.as_bytes(), out);
        });
    }

    fn close_number(&self, close: &Close) -> u16 {
        match close.code {
            _ if close.custom.is_some() => close.number(),
            // The client comes back at once.
            CloseCode::GoingAway => 4200,
            CloseCode::TimedOut => 4201,
            // The client comes back after a second.
            CloseCode::TooSlow | CloseCode::RateLimited => 4100,
            CloseCode::Unauthorized | CloseCode::Forbidden => 4003,
            _ => close.number(),
        }
    }

    fn format(&self) -> &'static Format {
        self.0.app.format
    }

    fn label(&self) -> Transport {
        Transport::Pusher
    }
}

/// A subscription that is allowed: its topic, the permit for it if the session itself has none, and the user as which the client is a
/// member of the topic.
type Permitted = (Topic, Option<Arc<Holder>>, Option<User>);

impl Pusher {
    pub(super) fn new(client: Client) -> Self {
        Self(Rc::new(client))
    }

    /// Follows a message. Returns how to close the session if the message makes that necessary.
    fn follow(&self, text: &str, session: &mut SessionRuntime) -> Result<Option<Close>, Wrong> {
        let message = ClientMessage::parse(text)?;
        match &*message.event {
            "pusher:ping" => {
                send(session, |out| write_system_event("pusher:pong", None, b"{}", out));
                Ok(None)
            }
            "pusher:pong" => Ok(None),
            "pusher:subscribe" => Ok(self.subscribe(&message.request()?, session)),
            "pusher:unsubscribe" => Ok(session.handle(Ok(self.unsubscribe(&message)?))),
            "pusher:signin" => sign_in(&self.0, &message.request()?, session),
            name if name.starts_with(CLIENT_EVENT) => self.send_event(&message, session),
            name => Err(format!(
                "'{}' is no event that a client sends: there are pusher:subscribe, pusher:unsubscribe, pusher:signin, pusher:ping \
                 and events whose name begins with 'client-'",
                name.chars().take(EVENT_NAME_CHARS_MAX).collect::<String>()
            )
            .into()),
        }
    }

    fn wrong(&self, Wrong { message, code }: Wrong, session: &mut SessionRuntime) {
        let counted = if code.is_some() { ErrorCode::RateLimited } else { ErrorCode::BadFrame };
        session.worker().counters.error(counted);
        send(session, |out| write_error(&message, code, out));
    }

    /// Subscribes to a channel. A refusal is answered on the channel.
    fn subscribe(&self, request: &Subscription, session: &mut SessionRuntime) -> Option<Close> {
        match self.permit(request, session) {
            Ok((topic, permit, user)) => {
                if user.is_some() {
                    // What waits for this worker is older than the list of members that follows.
                    session.deliver_waiting();
                }
                let member = user.map(|User { id, info }| {
                    let connection = format!("{:x}", session.connection_number());
                    Box::new(Member { user: id.to_string(), connection, info })
                });
                let channel = Box::from(request.channel.as_str());
                let id = self.0.begin(Pending::Subscribe { channel, topic: topic.clone(), member });
                session.subscribe_under(id, topic, permit)
            }
            Err(Refusal { code, message }) => {
                session.worker().counters.error(code);
                send(session, |out| write_refused(&request.channel, code, &message, out));
                None
            }
        }
    }

    /// Checks the signature of a subscription.
    fn permit(&self, request: &Subscription, session: &SessionRuntime) -> Result<Permitted, Refusal> {
        let app = &self.0.app;
        let channel = request.channel.as_str();
        let topic = topic_of(&self.0, channel)?;
        let permit = |user: Option<&User>| {
            let grants = Grants { publish: Vec::new(), subscribe: vec![topic.clone().into()] };
            let (user, info) = user.map_or((None, None), |user| (Some(user.id.clone()), user.info.clone()));
            Arc::new(Holder { user, info, grants, ..Holder::default() })
        };
        let check = |channel_data: Option<&str>| {
            let auth = request.auth.as_deref().unwrap_or("");
            app.check_subscription(auth, self.0.socket_id()?, channel, channel_data)
                .map_err(|error| unauthorized(error.to_string()))
        };
        let (permit, user) = match kind_of(channel) {
            ChannelKind::Public => {
                let is_ruled = session.worker().engine.rules().rule_subscribers_of(&topic);
                ((!is_ruled).then(|| permit(None)), None)
            }
            ChannelKind::Private | ChannelKind::Encrypted => {
                check(request.channel_data.as_deref())?;
                (Some(permit(None)), None)
            }
            ChannelKind::Presence => {
                let user = match &request.channel_data {
                    Some(data) => {
                        check(Some(data))?;
                        member_in(data).map_err(bad_request)?
                    }
                    None => {
                        check(None)?;
                        session.signed_in().map(|(id, info)| User { id, info }).ok_or_else(|| {
                            bad_request(
                                "a presence channel needs channel_data with a user_id, or a connection that is signed in"
                                    .to_owned(),
                            )
                        })?
                    }
                };
                (Some(permit(Some(&user))), Some(user))
            }
            ChannelKind::OfUser => {
                let wanted = channel.strip_prefix(OF_USER).unwrap_or_default();
                if session.signed_in().is_none_or(|(id, _)| *id != *wanted) {
                    let message = format!(
                        "'{channel}' is for the user '{wanted}', and this connection is not signed in as that user: send pusher:signin \
                         first"
                    );
                    return Err(unauthorized(message));
                }
                (Some(permit(None)), None)
            }
        };
        Ok((topic, permit, user))
    }

    fn unsubscribe(&self, message: &ClientMessage<'_>) -> Result<ClientFrame, String> {
        let Subscription { channel, .. } = message.request()?;
        let topic = topic_of(&self.0, &channel).map_err(|refusal| refusal.message)?;
        let id = Some(self.0.begin(Pending::Silent));
        Ok(ClientFrame { id, request: Request::Unsubscribe { pattern: Pattern::from(topic) } })
    }

    /// Publishes the event of a client to the other subscribers of its channel.
    fn send_event(
        &self,
        message: &ClientMessage<'_>,
        session: &mut SessionRuntime,
    ) -> Result<Option<Close>, Wrong> {
        let (client, app) = (&self.0, &self.0.app);
        let channel = message.channel().ok_or("the event has no 'channel'")?;
        if !app.client_events {
            return Err(
                "the app does not allow client events: client_events = true in its [[pusher.app]] does"
                    .into(),
            );
        }
        let kind = kind_of(channel);
        if !matches!(kind, ChannelKind::Private | ChannelKind::Presence) {
            return Err("client events are possible on private and presence channels only".into());
        }
        let topic = topic_of(client, channel).map_err(|refusal| refusal.message)?;
        if !session.is_subscribed(&topic) {
            return Err(format!(
                "the client is not subscribed to '{channel}': subscribe before sending events"
            )
            .into());
        }
        if message.event.chars().count() > EVENT_NAME_CHARS_MAX {
            return Err(format!("the name of an event has at most {EVENT_NAME_CHARS_MAX} characters").into());
        }
        let data = message.event_data()?;
        if data.len() > app.event_bytes_max {
            return Err(format!(
                "The data content of this event exceeds the allowed maximum ({} bytes): send less, or raise event_bytes_max",
                app.event_bytes_max
            )
            .into());
        }
        self.take_of_rate()?;
        let user = (kind == ChannelKind::Presence).then(|| session.member_of(&topic)).flatten();
        let payload =
            event_payload(&message.event, &data, user.as_deref()).map_err(|error| error.to_string())?;
        let grants = Grants { publish: vec![topic.clone().into()], subscribe: Vec::new() };
        let request = PublishRequest { topic, payload, key: None, echo: false };
        let is_reported = session.worker().hooks.pusher_webhooks().report(&app.id, PusherEvent::ClientEvent);
        let sent = is_reported.then(|| {
            let (event, data) = (message.event.clone().into_owned(), data.into_owned());
            Box::new(Sent { channel: channel.to_owned(), event, data, user_id: user.clone() })
        });
        let id = client.begin(Pending::Event(sent));
        Ok(session.publish_under(id, request, Holder { user, grants, ..Holder::default() }))
    }

    fn take_of_rate(&self) -> Result<(), Wrong> {
        let Some(rate) = self.0.app.client_event_rate else { return Ok(()) };
        let mut meter = self.0.meter.get();
        let taken = meter.take(rate, clock::monotonic_us());
        self.0.meter.set(meter);
        taken.map_err(|_| Wrong {
            message: format!(
                "the connection may send {} client events a second and has sent more: this event is dropped",
                rate.per_second
            ),
            code: Some(4301),
        })
    }
}

/// Checks the name of a channel and returns its topic.
fn topic_of(client: &Client, channel: &str) -> Result<Topic, Refusal> {
    check_channel(channel)
        .and_then(|()| client.app.topic_of(channel))
        .map_err(|error| Refusal { code: ErrorCode::BadTopic, message: error.to_string() })
}

fn unauthorized(message: String) -> Refusal {
    Refusal { code: ErrorCode::Unauthorized, message }
}

fn bad_request(message: String) -> Refusal {
    Refusal { code: ErrorCode::BadFrame, message }
}
