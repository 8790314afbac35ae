//! What is decided for topics one by one, and that patterns are never allowed more than their topics.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;
use crate::channels::Channels;
use crate::identity::{Grants, Holder};
use crate::rules::TopicPolicy;

fn rule(pattern: &str, publish: Option<Access>, subscribe: Option<Access>) -> Rule {
    Rule { pattern: pattern.parse().unwrap(), policy: TopicPolicy::DEFAULT, publish, subscribe }
}

fn holder(user: Option<&str>, publish: &[&str], subscribe: &[&str]) -> Identity {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Identity::holder(Holder {
        user: user.map(Into::into),
        grants: Grants { publish: patterns(publish), subscribe: patterns(subscribe) },
        ..Holder::default()
    })
}

fn may(rules: &Rules, identity: &Identity, action: Action, pattern: &str) -> bool {
    decide(rules, identity, action, &pattern.parse().unwrap()).is_ok()
}

#[test]
fn nobody_publishes_to_the_brokers_own_topics() {
    let rules = Rules::default();
    let granted = holder(Some("ann"), &["$sys.stats", "$sys.>", ">"], &[]);
    for identity in [&Identity::Anonymous, &granted] {
        let refusal = decide(&rules, identity, Action::Publish, &"$sys.stats".parse().unwrap()).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Forbidden);
        assert!(may(&rules, identity, Action::Subscribe, "$sys.stats"));
    }
}

#[test]
fn without_a_rule_the_word_for_all_others_holds() {
    let ann = Identity::user_named("ann");
    let bob = holder(Some("bob"), &["a"], &["b"]);
    for (unruled, anonymous, known) in
        [(Access::Anyone, true, true), (Access::Authenticated, false, true), (Access::Granted, false, false)]
    {
        let rules = Rules::new(Vec::new(), unruled);
        for action in Action::ALL {
            for asked in ["a", "b", "c.*", ">"] {
                assert_eq!(may(&rules, &Identity::Anonymous, action, asked), anonymous);
                assert_eq!(may(&rules, &ann, action, asked), known);
            }
            assert_eq!(may(&rules, &bob, action, "a"), known || action == Action::Publish);
            assert_eq!(may(&rules, &bob, action, "b"), known || action != Action::Publish);
        }
    }
}

#[test]
fn the_first_rule_decides_and_a_grant_adds_to_it() {
    use Access::{Anyone, Authenticated, Granted};
    let rules = Rules::new(
        vec![
            rule("chat.staff", Some(Granted), Some(Granted)),
            rule("chat.*", Some(Authenticated), Some(Anyone)),
            rule("chat.>", None, None),
        ],
        Granted,
    );
    let ann = Identity::user_named("ann");
    let boss = holder(Some("boss"), &["chat.staff"], &["chat.staff"]);
    let check = |identity: &Identity, action, pattern: &str, expected| {
        assert_eq!(may(&rules, identity, action, pattern), expected, "{action:?} {pattern}");
    };
    for action in [Action::Subscribe, Action::ReadHistory, Action::ReadPresence] {
        check(&Identity::Anonymous, action, "chat.lobby", true);
        check(&Identity::Anonymous, action, "chat.staff", false);
        // The pattern would bring what is said among the staff.
        check(&ann, action, "chat.*", false);
        check(&boss, action, "chat.*", true);
        check(&boss, action, "chat.>", false);
    }
    check(&Identity::Anonymous, Action::Publish, "chat.lobby", false);
    check(&ann, Action::Publish, "chat.lobby", true);
    check(&ann, Action::Publish, "chat.staff", false);
    check(&boss, Action::Publish, "chat.staff", true);
    check(&ann, Action::Publish, "chat.a.b", false);
    check(&ann, Action::Subscribe, "news", false);
}

#[test]
fn topics_of_a_user_are_that_users_alone() {
    let rules = Rules::new(
        vec![rule("users.{user}.>", Some(Access::Anyone), Some(Access::Authenticated))],
        Access::Anyone,
    );
    let ann = Identity::user_named("ann");
    let support = holder(Some("bob"), &[], &["users.ann.>"]);
    let back_end = holder(None, &["users.>"], &[]);
    let check = |identity: &Identity, action, pattern: &str, expected| {
        assert_eq!(may(&rules, identity, action, pattern), expected, "{action:?} {pattern}");
    };
    for action in Action::ALL {
        for pattern in ["users.ann.inbox", "users.ann.*", "users.ann.>"] {
            check(&ann, action, pattern, true);
            check(&Identity::user_named("bob"), action, pattern, false);
            check(&Identity::Anonymous, action, pattern, false);
            check(&support, action, pattern, action != Action::Publish);
            check(&back_end, action, pattern, action == Action::Publish);
        }
        for pattern in ["users.>", "users.*.>", "*.*.inbox", ">", "*.*.*"] {
            check(&ann, action, pattern, false);
        }
        // What it shares with the rule is Ann's own, and the rest is left to anyone.
        check(&ann, action, "*.ann.inbox", true);
    }
}

#[test]
fn an_id_with_wildcards_dots_or_white_space_opens_no_door() {
    let rules = Rules::new(
        vec![rule("users.{user}.>", Some(Access::Authenticated), Some(Access::Authenticated))],
        Access::Granted,
    );
    let asked = ["users.*.>", "users.>", "users.a.>", "users.*.b", "users.a.b", "users.a.b.c", ">"];
    for user in ["*", ">", "a.b", ".", "", "a b", "a\t", "*.>", "users.a", "{user}", "\u{a0}"] {
        for action in Action::ALL {
            for pattern in asked {
                assert!(!may(&rules, &Identity::user_named(user), action, pattern), "{user:?}: {pattern}");
            }
        }
    }
}

#[test]
fn a_refusal_says_who_must_do_what() {
    let rules = Rules::new(Vec::new(), Access::Granted);
    let asked: Pattern = "chat.>".parse().unwrap();
    let refusal = decide(&rules, &Identity::Anonymous, Action::Subscribe, &asked).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Unauthorized);
    let refusal = decide(&rules, &Identity::user_named("ann"), Action::Subscribe, &asked).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Forbidden);
    assert!(refusal.message.contains("'subscribe'") && refusal.message.contains("'chat.>'"), "{refusal}");
}

fn name(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::collection::vec(prop::sample::select(levels), 1..4), any::<bool>()).prop_map(
        |(mut levels, has_tail)| {
            if has_tail {
                let last = levels.len() - 1;
                levels[last] = ">";
            }
            levels.join(".")
        },
    )
}

fn access() -> impl Strategy<Value = Option<Access>> {
    prop_oneof![
        Just(None),
        Just(Some(Access::Anyone)),
        Just(Some(Access::Authenticated)),
        Just(Some(Access::Granted))
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let one = (name(&["a", "b", "*", "{user}"]), access(), access())
        .prop_map(|(pattern, publish, subscribe)| rule(&pattern, publish, subscribe));
    (prop::collection::vec(one, 0..4), access())
        .prop_map(|(rules, unruled)| Rules::new(rules, unruled.unwrap_or_default()))
}

fn identity() -> impl Strategy<Value = Identity> {
    let grants = || prop::collection::vec(name(&["a", "b", "*"]), 0..3);
    let user = prop::sample::select(&[None, Some("a"), Some("b"), Some("*")][..]);
    let known = (user, grants(), grants()).prop_map(|(user, publish, subscribe)| {
        let [publish, subscribe] =
            [&publish, &subscribe].map(|patterns| patterns.iter().map(String::as_str).collect::<Vec<_>>());
        holder(user, &publish, &subscribe)
    });
    prop_oneof![1 => Just(Identity::Anonymous), 4 => known]
}

/// Every topic of up to four levels of three names, one of which no rule and no grant mentions.
fn topics() -> Vec<Pattern> {
    let levels = ["a", "b", "c"];
    let mut names: Vec<String> = levels.map(String::from).into();
    let mut begin = 0;
    for _ in 1..4 {
        let end = names.len();
        for index in begin..end {
            names.extend(levels.map(|level| format!("{}.{level}", names[index])));
        }
        begin = end;
    }
    names.iter().map(|name| name.parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn a_pattern_is_allowed_no_more_than_each_of_its_topics(
        rules in rules(),
        identity in identity(),
        asked in name(&["a", "b", "*"]),
    ) {
        let asked: Pattern = asked.parse().unwrap();
        for action in Action::ALL {
            if decide(&rules, &identity, action, &asked).is_err() {
                continue;
            }
            for topic in topics().iter().filter(|topic| asked.contains(topic)) {
                let decided = decide(&rules, &identity, action, topic);
                assert_eq!(decided, Ok(()), "{action:?} {topic} of {asked}");
            }
        }
    }

    /// The same question asked in the plainest way: find the first rule, then look who may.
    #[test]
    fn a_topic_is_decided_as_its_first_rule_says(rules in rules(), identity in identity()) {
        for asked in topics() {
            let topic = asked.to_topic().unwrap();
            for action in Action::ALL {
                let first = rules.iter().find(|rule| rule.pattern.every_user().matches(&topic));
                let access = first.and_then(|rule| {
                    if action == Action::Publish { rule.publish } else { rule.subscribe }
                });
                let own = first.is_none_or(|rule| {
                    let written = rule.pattern.clone();
                    !written.names_user()
                        || identity.user().is_some_and(|user| written.is_owned_by(user, &asked))
                });
                let by_rule = own
                    && match access.unwrap_or(rules.unruled()) {
                        Access::Anyone => true,
                        Access::Authenticated => identity != Identity::Anonymous,
                        Access::Granted => false,
                    };
                let grants = identity.grants().map(|grants| {
                    if action == Action::Publish { &grants.publish } else { &grants.subscribe }
                });
                let by_grant = grants.is_some_and(|all| all.iter().any(|granted| granted.matches(&topic)));
                let decided = decide(&rules, &identity, action, &asked).is_ok();
                assert_eq!(decided, by_rule || by_grant, "{action:?} {asked}");
            }
        }
    }
}

#[test]
fn private_channels_of_a_pusher_app_need_a_grant_unless_a_rule_says_otherwise() {
    let rule = |pattern: &str, subscribe| Rule {
        pattern: pattern.parse().unwrap(),
        policy: TopicPolicy::DEFAULT,
        publish: None,
        subscribe,
    };
    let rules = vec![rule("private-open", Some(Access::Anyone)), rule("private-ruled", None)];
    let rules = Rules::new(rules, Access::Anyone).with_channels(Channels::new([""]));
    let guest = Identity::holder(Holder { is_guest: true, ..Holder::default() });
    let may = |identity: &Identity, action, pattern: &str| {
        decide(&rules, identity, action, &pattern.parse().unwrap()).is_ok()
    };
    for identity in [&Identity::Anonymous, &guest] {
        for pattern in ["private-a", "presence-a", ">", "*", "private-ruled"] {
            assert!(!may(identity, Action::Subscribe, pattern), "{pattern}");
            assert!(!may(identity, Action::Publish, pattern), "{pattern}");
            let refused = decide(&rules, identity, Action::Publish, &pattern.parse().unwrap()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Forbidden, "a token would not help: {}", refused.message);
        }
        for pattern in ["a", "private-open", "a.private-b", "cache-a"] {
            assert!(may(identity, Action::Subscribe, pattern), "{pattern}");
        }
    }
    let granted = |subscribe: &str| {
        let grants = Grants { publish: Vec::new(), subscribe: vec![subscribe.parse().unwrap()] };
        Identity::holder(Holder { grants, ..Holder::default() })
    };
    assert!(may(&granted("private-a"), Action::Subscribe, "private-a"));
    assert!(!may(&granted("private-a"), Action::Subscribe, "private-b"));
}

#[test]
fn topics_of_users_are_open_to_a_grant_of_exactly_one_of_them() {
    let rules = Rules::new(Vec::new(), Access::Anyone);
    let granted = |subscribe: &[&str]| {
        let subscribe = subscribe.iter().map(|pattern| pattern.parse().unwrap()).collect();
        Identity::holder(Holder { grants: Grants { publish: Vec::new(), subscribe }, ..Holder::default() })
    };
    let may = |identity: &Identity, pattern: &str| {
        [Action::Subscribe, Action::ReadHistory, Action::ReadPresence]
            .iter()
            .any(|action| decide(&rules, identity, *action, &pattern.parse().unwrap()).is_ok())
    };
    let own = "$pusher.1.user.7";
    for pattern in [own, "$pusher.>", "$pusher.*.user.7"] {
        assert!(!may(&Identity::Anonymous, pattern), "{pattern}");
        assert!(!may(&granted(&["$pusher.>"]), pattern), "{pattern}");
    }
    assert!(may(&granted(&[own]), own));
    assert!(!may(&granted(&["$pusher.1.user.8"]), own));
}
