//! What one session answers to its frames.

use fanwire_protocol::{Payload, SubscribeOptions};

use super::*;
use crate::format::testing::PLAIN;
use crate::limits::SessionLimits;
use crate::rules::Rules;
use crate::subscribers::{SessionKey, Subscribers};

const LIMITS: SessionLimits =
    SessionLimits { message_bytes_max: 10, subscriptions_max: 2, history_limit_max: 5, ping_interval_s: 25 };

fn terms(rules: &Rules) -> Terms<'_> {
    Terms { limits: &LIMITS, rules, has_authentication: false }
}

fn session() -> Session {
    Session::new(0xbeef, Identity::Anonymous)
}

fn handle(session: &mut Session, id: Option<u32>, request: Request) -> Effect {
    session.handle(Ok(ClientFrame { id, request }), terms(&Rules::default()))
}

fn subscribe(pattern: &str, options: SubscribeOptions) -> Request {
    Request::Subscribe { pattern: pattern.parse().unwrap(), options }
}

fn check_error(effect: Effect, id: Option<u32>, code: ErrorCode) {
    match effect {
        Effect::Send(ServerFrame::Error { id: got_id, code: got, message }) => {
            assert_eq!((got_id, got), (id, code));
            assert!(!message.is_empty());
        }
        other => panic!("expected {code}, got {other:?}"),
    }
}

#[test]
fn a_request_without_id_gets_errors_only() {
    let mut session = session();
    assert_eq!(handle(&mut session, None, Request::Ping), Effect::Nothing);
    let pong = Effect::Send(ServerFrame::Reply { id: 1, reply: Reply::Pong });
    assert_eq!(handle(&mut session, Some(1), Request::Ping), pong);
    let leave = Request::Unsubscribe { pattern: "a".parse().unwrap() };
    check_error(handle(&mut session, None, leave), None, ErrorCode::NotSubscribed);
}

#[test]
fn subscribing_twice_changes_nothing() {
    let mut session = session();
    let pattern: Pattern = "a".parse().unwrap();
    let first = handle(&mut session, Some(1), subscribe("a", SubscribeOptions::default()));
    let expected =
        Effect::Subscribe { id: Some(1), pattern: pattern.clone(), start: Start::Now, permit: None };
    assert_eq!(first, expected);
    let key = Subscribers::default().join(&pattern, SessionKey(0), &PLAIN, 0);
    session.subscribed(pattern.clone(), key);
    let again = handle(&mut session, Some(2), subscribe("a", SubscribeOptions::default()));
    assert_eq!(again, Effect::ConfirmSubscription { id: 2, pattern });
}

#[test]
fn limits_refuse_with_their_own_codes() {
    let mut session = session();
    let mut subscribers = Subscribers::default();
    for name in ["a", "b"] {
        let pattern: Pattern = name.parse().unwrap();
        let key = subscribers.join(&pattern, SessionKey(0), &PLAIN, 0);
        session.subscribed(pattern, key);
    }
    let third = handle(&mut session, Some(3), subscribe("c", SubscribeOptions::default()));
    check_error(third, Some(3), ErrorCode::LimitExceeded);
    let publish = |payload| Request::Publish { topic: "a".parse().unwrap(), payload, key: None, echo: true };
    let rules = Rules::default();
    for (payload, expected) in [("12345678901", Some(ErrorCode::TooLarge)), ("1234567890", None)] {
        let effect = handle(&mut session, None, publish(Payload::text(payload)));
        let Effect::Publish { publish, .. } = effect else { panic!("the pipeline decides, not {effect:?}") };
        let checked = check_publish(session.identity(), &publish.topic, publish.payload.len(), terms(&rules));
        assert_eq!(checked.err().map(|refusal| refusal.code), expected);
    }
    let history =
        Request::History { topic: "a".parse().unwrap(), since: None, limit: Some(99), reverse: false };
    assert!(matches!(handle(&mut session, Some(4), history), Effect::History { limit: 5, .. }));
}

#[test]
fn patterns_cannot_resume() {
    let since = SubscribeOptions { since: Some(Since::Earliest), ..SubscribeOptions::default() };
    check_error(handle(&mut session(), Some(1), subscribe("a.*", since)), Some(1), ErrorCode::BadTopic);
}

#[test]
fn what_the_broker_is_not_set_up_for_is_said() {
    let refresh = Request::Refresh { token: "t".to_owned() };
    check_error(handle(&mut session(), Some(1), refresh), Some(1), ErrorCode::Unavailable);
}

#[test]
fn questions_to_the_application_are_bounded() {
    let call = |data: &str| Request::Call { method: "m".to_owned(), data: Payload::text(data) };
    let passed_on = handle(&mut session(), Some(1), call("0123456789"));
    assert!(matches!(passed_on, Effect::Call { id: Some(1), .. }));
    check_error(handle(&mut session(), Some(1), call("0123456789a")), Some(1), ErrorCode::TooLarge);
}

#[test]
fn an_unreadable_frame_ends_the_session_and_a_rejected_one_does_not() {
    let mut session = session();
    let effect = session.handle(Err(DecodeError::Unreadable("no JSON".to_owned())), terms(&Rules::default()));
    assert!(matches!(
        effect,
        Effect::Fail(ServerFrame::Error { .. }, Close { code: CloseCode::BadFrame, .. })
    ));
    let rejected =
        DecodeError::Rejected { id: Some(7), code: ErrorCode::BadTopic, message: "bad topic".to_owned() };
    check_error(session.handle(Err(rejected), terms(&Rules::default())), Some(7), ErrorCode::BadTopic);
}
