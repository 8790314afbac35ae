//! The answers to the requests of a client, and right after a subscription to a cached channel.
//!
//! Pusher's answers name the channel, and that of a presence channel its members, so they are written here and not by the format.

use std::rc::Rc;

use bytes::Bytes;
use fanwire_core::channels::is_cached;
use fanwire_formats::pusher::{
    ChannelKind, is_client_event, kind_of, write_error, write_members, write_system_event,
};
use fanwire_protocol::{ErrorCode, Member, Message, Reply, ServerFrame, Since, Topic, json};

use super::{Client, Pending, Sent};
use crate::engine::Reading;
use crate::hooks::SentEvent;
use crate::sessions::ReplyWriter;

/// The number of publications that are read at once in search of the last event of a channel.
const CACHE_MESSAGES: usize = 100;

/// Returns the writer of the answers to `client`.
pub(super) fn reply_writer(client: Rc<Client>) -> ReplyWriter {
    Rc::new(move |frame, out| write(&client, frame, out))
}

fn write(client: &Rc<Client>, frame: &ServerFrame, out: &mut Vec<u8>) -> bool {
    match frame {
        ServerFrame::Reply { id, reply } => match (client.end(*id), reply) {
            (Some(Pending::Subscribe { channel, topic, member }), Reply::Subscribed { .. }) => {
                write_succeeded(client, &channel, &topic, member.map(|member| *member), out);
            }
            (Some(Pending::Event(Some(sent))), Reply::Published(_)) => report(client, &sent),
            _ => {}
        },
        ServerFrame::Error { id: Some(id), code, message } => match client.end(*id) {
            Some(Pending::Subscribe { channel, .. }) => write_refused(&channel, *code, message, out),
            Some(Pending::Event(_)) => write_error(message, code_of(*code), out),
            Some(Pending::Silent) | None => {}
        },
        // The reason of a close stands in its frame. Pusher's clients expect no error before it.
        ServerFrame::Error { id: None, .. } | ServerFrame::Closing { .. } => {}
        ServerFrame::Subscribed { pattern, .. } => {
            let Some(topic) = pattern.to_topic() else { return true };
            let channel = channel_of(client, &topic);
            write_succeeded(client, &channel, &topic, None, out);
        }
        ServerFrame::Unsubscribed { pattern, code, reason } => {
            if let Some(topic) = pattern.to_topic() {
                write_refused(&channel_of(client, &topic), *code, reason, out);
            }
        }
        _ => return false,
    }
    true
}

/// Reports an event of the client that was published.
fn report(client: &Client, sent: &Sent) {
    let Some(socket_id) = client.socket_id.get() else { return };
    let (socket_id, user_id) = (&*socket_id.to_string(), sent.user_id.as_deref());
    let (channel, event, data) = (&*sent.channel, &*sent.event, &*sent.data);
    let sent = SentEvent { channel, event, data, socket_id, user_id };
    client.worker.hooks.pusher_webhooks().client_event(&client.app.id, &sent);
}

fn channel_of(client: &Client, topic: &Topic) -> String {
    fanwire_formats::pusher::channel_of(&client.app.prefix, topic).into_owned()
}

/// Appends that a subscription has begun, and the last event of a cached channel.
fn write_succeeded(
    client: &Rc<Client>,
    channel: &str,
    topic: &Topic,
    own: Option<Member>,
    out: &mut Vec<u8>,
) {
    let mut data = Vec::new();
    if kind_of(channel) == ChannelKind::Presence {
        let limit = client.worker.limits.presence_members_max;
        let (mut members, _) = client.worker.engine.members().list(topic, limit).unwrap_or_default();
        // A subscription that reads from the disk first is announced before the session is a member.
        if let Some(own) = own.filter(|own| members.iter().all(|member| member.user != own.user)) {
            members.push(own);
        }
        write_members(&members, &mut data);
    } else {
        data.extend_from_slice(b"{}");
    }
    write_system_event("pusher_internal:subscription_succeeded", Some(channel), &data, out);
    if is_cached(channel) {
        write_cached(client, channel, topic, out);
    }
}

/// Appends that a subscription is refused, or has ended. Pusher's clients pass this to the channel.
pub(super) fn write_refused(channel: &str, code: ErrorCode, message: &str, out: &mut Vec<u8>) {
    let (kind, status) = match code {
        ErrorCode::Unauthorized | ErrorCode::TokenExpired => ("AuthError", 401),
        ErrorCode::Forbidden => ("AuthError", 403),
        ErrorCode::LimitExceeded => ("LimitReached", 4100),
        ErrorCode::RateLimited => ("LimitReached", 429),
        ErrorCode::Unavailable | ErrorCode::Internal => ("Unavailable", 503),
        _ => ("InvalidChannel", 400),
    };
    let mut data = format!("{{\"type\":\"{kind}\",\"error\":").into_bytes();
    json::write_string(message, &mut data);
    data.extend_from_slice(format!(",\"status\":{status}}}").as_bytes());
    write_system_event("pusher:subscription_error", Some(channel), &data, out);
}

/// Returns Pusher's code for an error, if it has one.
fn code_of(code: ErrorCode) -> Option<u16> {
    (code == ErrorCode::RateLimited).then_some(4301)
}

/// Appends the last event of a channel, or that there is none.
fn write_cached(client: &Rc<Client>, channel: &str, topic: &Topic, out: &mut Vec<u8>) {
    let engine = &client.worker.engine;
    let bytes_max = client.worker.limits.outbox_bytes_max / 2;
    let mut until = None;
    while engine.keeps_history(topic) {
        let reading = Reading::Backward { until, limit: CACHE_MESSAGES };
        let Some(history) = engine.history(topic, &reading, bytes_max) else {
            return read_cached(client, channel, topic);
        };
        let mut messages = history.page.publications.iter().map(|publication| &publication.message);
        match last_event(messages.clone()) {
            Some(message) => return client.app.format.encoder.message(message, out),
            None if !history.page.more => break,
            None => {
                let oldest = messages.next_back().and_then(|message| message.position);
                let Some(oldest) = oldest else { break };
                until = Some(Since::Position(oldest.bound_before()));
            }
        }
    }
    write_miss(client, channel, out);
}

/// Reads the last event of a channel from the disk, and sends it when it is there.
fn read_cached(client: &Rc<Client>, channel: &str, topic: &Topic) {
    let Some(socket_id) = client.socket_id.get() else { return };
    let Some(handle) = client.worker.registry.session(socket_id.connection) else { return };
    let (client, channel, topic) = (client.clone(), channel.to_owned(), topic.clone());
    // The task ends with the read, which is bounded in time; a session that has ended meanwhile takes nothing.
    tokio::task::spawn_local(async move {
        let bytes_max = client.worker.limits.outbox_bytes_max / 2;
        let reading = Reading::Backward { until: None, limit: CACHE_MESSAGES };
        let mut out = Vec::new();
        match client.worker.engine.read_history(&topic, reading, bytes_max).await {
            Ok(history) => {
                let messages = history.page.publications.iter().map(|publication| &publication.message);
                match last_event(messages) {
                    Some(message) => client.app.format.encoder.message(message, &mut out),
                    None => write_miss(&client, &channel, &mut out),
                }
            }
            Err(refusal) => write_error(&refusal.message, None, &mut out),
        }
        if !handle.writer().is_closing() {
            handle.writer().push_own(Bytes::from(out));
            handle.writer().flush(&client.worker.counters);
        }
    });
}

/// Returns the newest message that is no event of a client; `messages` begins with the newest.
fn last_event<'m>(mut messages: impl Iterator<Item = &'m Message>) -> Option<&'m Message> {
    messages.find(|message| !is_client_event(&message.payload))
}

fn write_miss(client: &Client, channel: &str, out: &mut Vec<u8>) {
    client.worker.hooks.pusher_webhooks().cache_miss(&client.app.id, channel);
    write_system_event("pusher:cache_miss", Some(channel), b"{}", out);
}
