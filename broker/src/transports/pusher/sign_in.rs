//! Sign-in: a connection becomes that of a user, who watches others and is watched.

use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::identity::{Grants, Holder};
use fanwire_core::publication::Publish;
use fanwire_core::session::Close;
use fanwire_formats::pusher::{OF_USER, WATCHLIST_EVENTS, check_channel, event_payload, write_system_event};
use fanwire_protocol::json;

use super::message::{SignIn, User, user_in};
use super::{Client, Pending, Wrong, send};
use crate::engine::ReceiptTo;
use crate::sessions::SessionRuntime;

/// The maximum number of users that one user watches.
const WATCHLIST_MAX: usize = 100;

/// Signs the client in. Returns how to close the session if that makes it necessary.
pub(super) fn sign_in(
    client: &Rc<Client>,
    request: &SignIn,
    session: &mut SessionRuntime,
) -> Result<Option<Close>, Wrong> {
    let socket_id = client.socket_id().map_err(|refusal| refusal.message)?;
    client
        .app
        .check_sign_in(&request.auth, socket_id, &request.user_data)
        .map_err(|error| Wrong { message: error.to_string(), code: Some(4009) })?;
    let (User { id, info }, mut watched) = user_in(&request.user_data)?;
    check_channel(&format!("{OF_USER}{id}")).map_err(|error| error.to_string())?;
    session.sign_in(id.clone(), info).map_err(|refusal| refusal.message)?;
    let mut data = b"{\"user_data\":".to_vec();
    json::write_string(&request.user_data, &mut data);
    data.push(b'}');
    send(session, |out| write_system_event("pusher:signin_success", None, &data, out));
    if client.user.set(id.clone()).is_ok() && client.app.online.enter(&id) {
        announce(client, "online", &id);
    }
    if watched.is_empty() {
        return Ok(None);
    }
    let is_too_long = watched.len() > WATCHLIST_MAX;
    watched.truncate(WATCHLIST_MAX);
    let close = watch(client, &watched, session);
    if is_too_long {
        let message = format!("a user watches at most {WATCHLIST_MAX} users: only the first are watched");
        return Err(Wrong { message, code: Some(4302) });
    }
    Ok(close)
}

/// Has the client learn of the users that it watches: which are online now, and each change from now on.
fn watch(client: &Rc<Client>, watched: &[String], session: &mut SessionRuntime) -> Option<Close> {
    let mut close = None;
    for user in watched {
        let Ok(topic) = client.app.topic_of_watched(user) else { continue };
        let grants = Grants { publish: Vec::new(), subscribe: vec![topic.clone().into()] };
        let permit = Arc::new(Holder { grants, ..Holder::default() });
        let id = client.begin(Pending::Silent);
        close = close.or(session.subscribe_under(id, topic, Some(permit)));
    }
    let (online, offline): (Vec<&str>, Vec<&str>) =
        watched.iter().map(String::as_str).partition(|user| client.app.online.contains(user));
    let lists: Vec<String> = [("online", online), ("offline", offline)]
        .into_iter()
        .filter(|(_, users)| !users.is_empty())
        .map(|(name, users)| list(name, &users))
        .collect();
    let data = format!("{{\"events\":[{}]}}", lists.join(","));
    send(session, |out| write_system_event(WATCHLIST_EVENTS, None, data.as_bytes(), out));
    close
}

fn list(name: &str, users: &[&str]) -> String {
    let mut out = format!("{{\"name\":\"{name}\",\"user_ids\":[").into_bytes();
    for (index, user) in users.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(user, &mut out);
    }
    out.extend_from_slice(b"]}");
    String::from_utf8_lossy(&out).into_owned()
}

/// Announces to the clients that watch a user that it is online or not.
fn announce(client: &Client, name: &str, user: &str) {
    let Ok(topic) = client.app.topic_of_watched(user) else { return };
    let data = format!("{{\"events\":[{}]}}", list(name, &[user]));
    let Ok(payload) = event_payload(WATCHLIST_EVENTS, &data, None) else { return };
    let publish = Publish { topic, payload, key: None, from: None, except: None };
    let (receipt_to, _receipt) = ReceiptTo::waiter();
    if let Err(refusal) = client.worker.engine.publish(publish, receipt_to) {
        tracing::debug!(%refusal, user, "a change of a watched user is not announced");
    }
}

/// A client that ends may have been the last connection of its user.
impl Drop for Client {
    fn drop(&mut self) {
        if let Some(user) = self.user.get()
            && self.app.online.leave(user)
        {
            announce(self, "offline", user);
        }
    }
}
