//! The Pusher Channels protocol over WebSockets: events, and what its clients learn of members.
//!
//! The name of a channel depends on the prefix of the app, so each prefix has a format of its own, which [`format_of`] makes once.
//! This folder owns how channels are topics and how events are payloads. It does not know apps, signatures or sessions.

mod channel;
mod event;

use std::sync::{Mutex, PoisonError};

use fanwire_core::format::{DeliveryMode, Encoder, FORMATS_MAX, Format};
use fanwire_protocol::{Member, Message, Payload, PayloadView, ServerFrame, Topic, json};

pub use channel::{
    CHANNEL_BYTES_MAX, ChannelError, ChannelKind, OF_USER, channel_of, check_channel, kind_of, topic_of,
    topic_of_user, topic_of_watched,
};
pub use event::{CLIENT_EVENT, WATCHLIST_EVENTS, data_of, event_payload, is_client_event, is_of_service};

use crate::websocket::text_message;
use channel::is_watched;
use event::Event;

/// The formats that were made, by prefix. They live as long as the process, because subscribers refer to them; there are as many as
/// prefixes were ever configured.
static FORMATS: Mutex<Vec<(&'static str, &'static Format)>> = Mutex::new(Vec::new());

/// Writes for the apps with one prefix.
struct Pusher {
    prefix: &'static str,
}

/// Returns the format of the apps with this prefix, which has no dot at its end.
pub fn format_of(prefix: &str) -> &'static Format {
    let mut formats = FORMATS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, format)) = formats.iter().find(|(known, _)| *known == prefix) {
        return format;
    }
    let prefix: &'static str = Box::leak(Box::from(prefix));
    let format = Box::leak(Box::new(Format {
        slot: FORMATS_MAX + formats.len(),
        label: "pusher",
        delivery: DeliveryMode::Joined,
        has_frames: true,
        refuses_by_close: false,
        keeps_messagepack: false,
        encoder: Box::leak(Box::new(Pusher { prefix })),
    }));
    formats.push((prefix, format));
    format
}

impl Encoder for Pusher {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        text_message(out, |out| {
            let channel = (!is_watched(&message.topic)).then(|| channel_of(self.prefix, &message.topic));
            write_event(&message.payload, channel.as_deref(), out);
        });
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match frame {
            ServerFrame::Message(message) => {
                text_message(out, |out| write_event(&message.payload, None, out));
            }
            ServerFrame::Join { topic, member } => self.member_event("added", topic, member, out),
            ServerFrame::Leave { topic, member } => self.member_event("removed", topic, member, out),
            ServerFrame::Lagged { topic, missed } => {
                let of = topic
                    .as_ref()
                    .map_or(String::new(), |topic| format!(" of '{}'", channel_of(self.prefix, topic)));
                let message =
                    format!("{missed} events{of} were skipped, because this connection reads too slowly");
                write_error(&message, None, out);
            }
            _ => {}
        }
    }

    fn subscribers(&self, topic: &Topic, count: u64, out: &mut Vec<u8>) {
        let channel = channel_of(self.prefix, topic);
        let data = format!("{{\"subscription_count\":{count}}}");
        write_system_event("pusher_internal:subscription_count", Some(&channel), data.as_bytes(), out);
    }
}

impl Pusher {
    /// Appends the event by which the subscribers of a presence channel learn of a member. Other channels have none.
    fn member_event(&self, change: &str, topic: &Topic, member: &Member, out: &mut Vec<u8>) {
        let channel = channel_of(self.prefix, topic);
        if kind_of(&channel) != ChannelKind::Presence {
            return;
        }
        let mut data = b"{\"user_id\":".to_vec();
        json::write_string(user_id_of(member), &mut data);
        if change == "added" && member.info.is_some() {
            data.extend_from_slice(b",\"user_info\":");
            write_info(member.info.as_ref(), &mut data);
        }
        data.push(b'}');
        write_system_event(&format!("pusher_internal:member_{change}"), Some(&channel), &data, out);
    }
}

/// Appends a message with the event that a payload is.
fn write_event(payload: &Payload, channel: Option<&str>, out: &mut Vec<u8>) {
    let payload = payload.to_json_payload();
    let event = Event::of(&payload);
    out.reserve(payload.len() + 64);
    out.extend_from_slice(b"{\"event\":");
    json::write_string(&event.name, out);
    if let Some(channel) = channel {
        out.extend_from_slice(b",\"channel\":");
        json::write_string(channel, out);
    }
    out.extend_from_slice(b",\"data\":");
    event.write_data(out);
    if let Some(user_id) = event.user_id {
        out.extend_from_slice(b",\"user_id\":");
        out.extend_from_slice(user_id.as_bytes());
    }
    out.push(b'}');
}

/// Appends a message with an event of the service. `data` is JSON, and is sent as a string.
pub fn write_system_event(name: &str, channel: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    text_message(out, |out| {
        out.extend_from_slice(b"{\"event\":");
        json::write_string(name, out);
        if let Some(channel) = channel {
            out.extend_from_slice(b",\"channel\":");
            json::write_string(channel, out);
        }
        out.extend_from_slice(b",\"data\":");
        json::write_string(&String::from_utf8_lossy(data), out);
        out.push(b'}');
    });
}

/// Appends a `pusher:error`. Errors for which Pusher has no code have `null`.
pub fn write_error(message: &str, code: Option<u16>, out: &mut Vec<u8>) {
    let mut data = b"{\"message\":".to_vec();
    json::write_string(message, &mut data);
    data.extend_from_slice(b",\"code\":");
    data.extend_from_slice(code.map_or("null".to_owned(), |code| code.to_string()).as_bytes());
    data.push(b'}');
    write_system_event("pusher:error", None, &data, out);
}

/// Appends the data of `pusher_internal:subscription_succeeded` for a presence channel with these members.
pub fn write_members(members: &[Member], out: &mut Vec<u8>) {
    let list = |out: &mut Vec<u8>, write: &dyn Fn(&Member, &mut Vec<u8>)| {
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(member, out);
        }
    };
    out.extend_from_slice(b"{\"presence\":{\"ids\":[");
    list(out, &|member, out| json::write_string(user_id_of(member), out));
    out.extend_from_slice(b"],\"hash\":{");
    list(out, &|member, out| {
        json::write_string(user_id_of(member), out);
        out.push(b':');
        write_info(member.info.as_ref(), out);
    });
    out.extend_from_slice(format!("}},\"count\":{}}}}}", members.len()).as_bytes());
}

/// Returns the id by which Pusher's clients know a member: that of the user, or for a session without one that of its connection.
pub fn user_id_of(member: &Member) -> &str {
    if member.user.is_empty() { &member.connection } else { &member.user }
}

fn write_info(info: Option<&Payload>, out: &mut Vec<u8>) {
    let Some(info) = info else { return out.extend_from_slice(b"null") };
    let info = info.to_json_payload();
    match info.view() {
        PayloadView::Json(text) => out.extend_from_slice(text.as_bytes()),
        PayloadView::Text(text) => json::write_string(text, out),
        PayloadView::Binary(_) | PayloadView::MessagePack(_) => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests;
