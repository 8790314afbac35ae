//! A client on a long and rough journey, under a seed: a broker that keeps the last few messages, breaks connections at every
//! point, forgets, and begins anew. What the client yields is held against everything that was ever published.

use std::cell::RefCell;
use std::collections::HashMap;

use fanwire_client::{Client, Encoding, Event, Payload, Position, Since, Subscription};
use fanwire_protocol::{ClientFrame, Message, Receipt, Reply, Request, ServerFrame, SubscribeOptions, Topic};
use futures_util::future::join_all;

use crate::fake_broker::{FakeBroker, Peer, in_epoch, in_time};
use crate::resuming::eager;

/// How many seeds are tried in one run of the tests.
const SEEDS: u64 = 60;

/// How often each client is cut off.
const CUTS: usize = 12;

/// How many messages the client publishes itself, so many at once.
const OWN: usize = 60;
const OWN_AT_ONCE: usize = 4;

/// The last message of all.
const END: &str = "the end";

/// A topic and its history, told from the outside.
struct World {
    random: fastrand::Rng,
    epoch: u64,
    /// What is held; offsets grow, and leave gaps.
    held: Vec<(Position, String)>,
    floor: u64,
    head: u64,
    /// Everything ever published, in order.
    published: Vec<(Position, String)>,
    keys: HashMap<String, Position>,
    /// The number in `published` of what was the oldest held, or to come next, at each joining.
    joins: Vec<usize>,
    cuts_left: usize,
    /// Whether epochs end too; then what a client published may be gone, and be published again.
    restarts: bool,
    own_done: bool,
}

impl World {
    fn new(seed: u64, restarts: bool) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            epoch: 1,
            held: Vec::new(),
            floor: 0,
            head: 0,
            published: Vec::new(),
            keys: HashMap::new(),
            joins: Vec::new(),
            cuts_left: CUTS,
            restarts,
            own_done: false,
        }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random.usize(..one_in) == 0
    }

    fn publish(&mut self, text: &str) -> Position {
        self.head += self.random.u64(1..4);
        let position = in_epoch(self.epoch, self.head);
        self.held.push((position, text.to_owned()));
        self.published.push((position, text.to_owned()));
        let keep = if self.chance(20) { self.random.usize(0..4) } else { 30 };
        if let Some(too_many) = self.held.len().checked_sub(keep).filter(|count| *count > 0) {
            self.floor = self.held[too_many - 1].0.offset;
            self.held.drain(..too_many);
        }
        position
    }

    fn begin_anew(&mut self) {
        self.epoch += 1;
        (self.head, self.floor) = (0, 0);
        self.held.clear();
        self.keys.clear();
    }

    /// What a subscription is given: whether nothing is missing, and what is held of it.
    fn join(&self, options: &SubscribeOptions) -> (bool, Vec<(Position, String)>) {
        let newest = |count: usize| self.held[self.held.len().saturating_sub(count)..].to_vec();
        match (&options.since, options.last) {
            (Some(Since::Position(from)), _) => {
                let is_known = from.epoch == in_epoch(self.epoch, 0).epoch
                    && (self.floor..=self.head).contains(&from.offset);
                let after = |position: &Position| !is_known || position.offset > from.offset;
                let missed = self.held.iter().filter(|(position, _)| after(position)).cloned().collect();
                (is_known, missed)
            }
            (Some(Since::Earliest), _) => (true, self.held.clone()),
            (Some(other), _) => panic!("unexpected {other:?}"),
            (None, Some(count)) => (true, newest(count as usize)),
            (None, None) => (true, Vec::new()),
        }
    }
}

/// What the broker does with one connection until it is cut.
struct Connection<'a> {
    world: &'a RefCell<World>,
    peer: Peer,
    is_subscribed: bool,
}

impl Connection<'_> {
    /// Serves until the connection is to be cut, or the client has gone for good.
    async fn serve(mut self) -> bool {
        loop {
            if self.world.borrow_mut().chance(25) && self.take_cut() {
                self.peer.cut();
                return true;
            }
            let publishes = self.world.borrow_mut().chance(12);
            if publishes {
                self.publish_of_others().await;
            }
            let patience = self.world.borrow_mut().random.usize(1..20);
            let heard = tokio::select! {
                biased;
                frame = self.peer.try_read() => Some(frame),
                () = turns(patience) => None,
            };
            let goes_on = match heard {
                Some(None) => return false,
                Some(Some(frame)) => self.answer(frame).await,
                None => true,
            };
            if !goes_on {
                self.peer.cut();
                return true;
            }
        }
    }

    fn take_cut(&self) -> bool {
        let mut world = self.world.borrow_mut();
        let may = world.cuts_left > 0;
        world.cuts_left -= usize::from(may);
        may
    }

    async fn publish_of_others(&mut self) {
        let message = {
            let mut world = self.world.borrow_mut();
            if world.published.last().is_some_and(|(_, text)| text == END) {
                return;
            }
            let is_over = world.own_done && world.cuts_left == 0 && self.is_subscribed;
            let text = if is_over { END.to_owned() } else { format!("other {}", world.published.len()) };
            (world.publish(&text), text)
        };
        self.send(message).await;
    }

    async fn send(&mut self, (position, text): (Position, String)) {
        if self.is_subscribed {
            let (topic, payload) = ("a".parse().unwrap(), Payload::text(text));
            let message = Message { topic, payload, position: Some(position), ts: Some(1), from: None };
            self.peer.say(&ServerFrame::Message(message)).await;
        }
    }

    /// Answers one request; `false` if the connection breaks somewhere in the middle.
    async fn answer(&mut self, ClientFrame { id, request }: ClientFrame) -> bool {
        let breaks = |this: &Self| this.world.borrow_mut().chance(12) && this.take_cut();
        match request {
            Request::Subscribe { pattern, options } => {
                if breaks(self) {
                    return false;
                }
                let (head, (recovered, missed)) = {
                    let mut world = self.world.borrow_mut();
                    let oldest = world.published.len() - world.held.len();
                    world.joins.push(oldest);
                    (in_epoch(world.epoch, world.head), world.join(&options))
                };
                let reply = Reply::Subscribed { pattern, position: Some(head), recovered };
                self.peer.reply(id.unwrap(), reply).await;
                self.is_subscribed = true;
                // Right here nothing of what was promised has arrived yet.
                let is_first = self.world.borrow().joins.len() == 1;
                if is_first && self.world.borrow_mut().chance(2) && self.take_cut() {
                    return false;
                }
                for message in missed {
                    if breaks(self) {
                        return false;
                    }
                    self.send(message).await;
                }
            }
            Request::Publish { payload, key, .. } => {
                // Sometimes it breaks before anything happened, sometimes when only the receipt is missing.
                if breaks(self) {
                    return false;
                }
                let key = key.expect("a key of the client's making");
                let known = self.world.borrow().keys.get(&key).copied();
                let position = match known {
                    Some(position) => position,
                    None => {
                        let text = String::from_utf8(payload.to_bare().into_owned()).unwrap();
                        let position = self.world.borrow_mut().publish(&text);
                        self.world.borrow_mut().keys.insert(key, position);
                        self.send((position, text)).await;
                        position
                    }
                };
                if breaks(self) {
                    return false;
                }
                let topic: Topic = "a".parse().unwrap();
                let receipt = Receipt { topic, position, duplicate: known.is_some() };
                self.peer.reply(id.unwrap(), Reply::Published(receipt)).await;
            }
            // The reader has heard the end.
            Request::Unsubscribe { .. } => self.is_subscribed = false,
            other => panic!("unexpected {other:?}"),
        }
        true
    }
}

/// Lets all other tasks run this many times.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

async fn run_broker(broker: &FakeBroker, world: &RefCell<World>) {
    loop {
        let peer = broker.accept().await;
        if !(Connection { world, peer, is_subscribed: false }).serve().await {
            return;
        }
        // What others do while the client is away.
        let mut world = world.borrow_mut();
        if world.restarts && world.chance(4) {
            world.begin_anew();
        }
        for _ in 0..world.random.usize(0..10) {
            let text = format!("other {}", world.published.len());
            world.publish(&text);
        }
    }
}

/// Reads to the end: what was heard, and `None` for each loss that was told.
async fn follow(mut events: Subscription) -> Vec<Option<(Position, String)>> {
    let mut heard = Vec::new();
    loop {
        match in_time(events.next()).await.expect("the stream goes on") {
            Event::Message(message) => {
                let text = String::from_utf8(message.payload.to_bare().into_owned()).unwrap();
                assert_eq!(events.position(), message.position);
                let is_over = text == END;
                heard.push(Some((message.position.unwrap(), text)));
                if is_over {
                    return heard;
                }
            }
            Event::Lost { missed: None } => heard.push(None),
            other => panic!("{other:?}"),
        }
    }
}

/// Holds what was heard against all there was: nothing twice, nothing out of order, and nothing missing untold.
fn check_heard(heard: &[Option<(Position, String)>], published: &[(Position, String)], promised: Vec<usize>) {
    let numbers: HashMap<_, _> =
        published.iter().enumerate().map(|(number, message)| (message, number)).collect();
    // What may come next. A subscription to all that is held begins with the oldest at one of its joinings.
    let mut expected: Option<Vec<usize>> = Some(promised);
    let mut last = None;
    for event in heard {
        let Some(message) = event else {
            expected = None;
            continue;
        };
        let found = numbers.get(message).copied();
        let found = found.unwrap_or_else(|| panic!("{message:?} was never published"));
        assert!(last.is_none_or(|last| last < found), "{message:?} came again");
        if let Some(expected) = expected {
            assert!(
                expected.contains(&found),
                "{message:?} is number {found}, not {expected:?}, and no loss is told"
            );
        }
        (expected, last) = (Some(vec![found + 1]), Some(found));
    }
    assert_eq!(last, Some(published.len() - 1), "the end came last");
}

async fn journey(seed: u64, restarts: bool) {
    let world = RefCell::new(World::new(seed, restarts));
    // Nothing is published before the subscription begins, or something is, which it then begins with.
    let begins_late = world.borrow_mut().chance(2);
    if begins_late {
        (0..5).for_each(|number| _ = world.borrow_mut().publish(&format!("before {number}")));
    }
    let broker = FakeBroker::start().await;
    let encoding = if world.borrow_mut().chance(2) { Encoding::Json } else { Encoding::MessagePack };
    let connecting = Client::builder().encoding(encoding).reconnect(eager()).connect(&broker.url);
    let travel = async {
        let client = connecting.await.unwrap();
        let events = client.subscribe("a").since(Since::Earliest).await.unwrap();
        // From here on the client knows what it was promised; no later joining may begin anywhere else untold.
        let promised = world.borrow().joins.clone();
        let publish = async {
            for batch in 0..OWN / OWN_AT_ONCE {
                let texts = (0..OWN_AT_ONCE).map(|number| format!("own {}", batch * OWN_AT_ONCE + number));
                let publishes = texts.map(|text| client.publish("a", &text).into_future());
                for receipt in in_time(join_all(publishes)).await {
                    assert!(receipt.is_ok(), "{receipt:?}");
                }
            }
            let mut world = world.borrow_mut();
            (world.own_done, world.cuts_left) = (true, 0);
        };
        let (heard, ()) = tokio::join!(follow(events), publish);
        client.close().await;
        (heard, promised)
    };
    let ((heard, promised), ()) = tokio::join!(travel, run_broker(&broker, &world));
    let world = world.into_inner();
    check_heard(&heard, &world.published, promised);
    if restarts {
        return;
    }
    for number in 0..OWN {
        let text = format!("own {number}");
        let times = world.published.iter().filter(|(_, published)| *published == text).count();
        assert_eq!(times, 1, "{text} was published {times} times");
    }
}

fn run(restarts: bool) {
    let given = std::env::var("FANWIRE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        println!("FANWIRE_SEED={seed}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(journey(seed, restarts));
    }
}

#[test]
fn nothing_is_lost_untold_or_doubled_however_often_the_connection_breaks() {
    run(false);
}

#[test]
fn nothing_is_lost_untold_when_the_topic_begins_anew_too() {
    run(true);
}
