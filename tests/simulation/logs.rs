//! The simulated PRESENCE_LOG, and what clients and engines publish to it.

use bytes::Bytes;
use presence_engine::model::{Millis, Policy, Profile, partition_of};
use presence_engine::nats::{LogIdentity, LogMessage};
use presence_engine::wire::{self, Tick, subject};
use serde_json::{Map, Value, json};

use crate::random::Random;

pub(crate) const PARTITIONS: u16 = 3;

const TENANTS: [&str; 2] = ["acme", "globex"];
const USERS: [&str; 4] = ["alice", "bob", "carol=40x", "dave"];
const SESSIONS: [&str; 3] = ["laptop", "phone", "tab"];

/// An entry, and a number that no other entry of any log of the run has.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) uid: u64,
    pub(crate) message: LogMessage,
}

/// The stream as it is now.
#[derive(Debug)]
pub(crate) struct Log {
    created: u32,
    first_seq: u64,
    lines: Vec<Line>,
    uids: u64,
    /// How long the servers were away, all in all.
    away_ms: Millis,
    pub(crate) lost_end: bool,
}

/// How long a server is away that loses something.
const AWAY_MS: Millis = 60_000;

impl Log {
    pub(crate) fn new() -> Self {
        Self { created: 1, first_seq: 1, lines: Vec::new(), uids: 0, away_ms: 0, lost_end: false }
    }

    pub(crate) fn identity(&self) -> LogIdentity {
        LogIdentity {
            created: format!("2026-01-01T00:00:0{}Z", self.created),
            first_seq: self.first_seq,
            last_seq: self.last_seq(),
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + self.lines.len() as u64 - 1
    }

    pub(crate) fn append(&mut self, said: &Said) -> u64 {
        self.uids += 1;
        let seq = self.last_seq() + 1;
        let Said { ts_ms, subject, payload, content_type } = said.clone();
        let ts_ms = ts_ms + self.away_ms;
        let message = LogMessage { seq, ts_ms, subject: subject.into(), payload, content_type };
        self.lines.push(Line { uid: self.uids, message });
        seq
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?)
    }

    /// The retention takes what is before `seq`.
    pub(crate) fn cut_before(&mut self, seq: u64) {
        let gone = seq.saturating_sub(self.first_seq).min(self.lines.len() as u64);
        self.lines.drain(..gone as usize);
        self.first_seq += gone;
    }

    /// The power failed before the last `count` entries were on the disk.
    pub(crate) fn lose_end(&mut self, count: usize) {
        self.lines.truncate(self.lines.len() - count.min(self.lines.len()));
        self.lost_end = true;
        self.away_ms += AWAY_MS;
    }

    /// The stream was deleted and made anew.
    pub(crate) fn replace(&mut self) {
        self.created += 1;
        self.first_seq = 1;
        self.lines.clear();
        self.away_ms += AWAY_MS;
    }
}

/// What was published, and when the log took it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) ts_ms: Millis,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    pub(crate) content_type: Option<String>,
}

/// Clients, engines' tickers and operators: they beat, hide, leave, come back, repeat themselves and err.
#[derive(Debug)]
pub(crate) struct World {
    random: Random,
    now_ms: Millis,
    /// Per session, its last (epoch, seq).
    clients: Vec<(u64, u64)>,
    /// What was said lately, to be said again.
    said: Vec<Said>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let clients = vec![(1, 0); TENANTS.len() * USERS.len() * SESSIONS.len()];
        Self { random: Random::new(seed ^ 0x10_6106), now_ms: 1_700_000_000_000, clients, said: Vec::new() }
    }

    /// A story of `count` entries, which begins with a policy.
    pub(crate) fn story(seed: u64, count: usize) -> Vec<Said> {
        let mut world = Self::new(seed);
        let first = world.policy();
        std::iter::once(first)
            .chain(std::iter::repeat_with(|| world.next()).take(count - 1).collect::<Vec<_>>())
            .collect()
    }

    /// Two stories: in the one signals come again, late or in another order; in the other nothing comes in their places but
    /// entries that say nothing. Each client counts its signals and never starts anew.
    pub(crate) fn echoes(seed: u64, count: usize) -> (Vec<Said>, Vec<Said>) {
        let mut world = Self::new(seed);
        world.clients = vec![(1, 0); 4];
        let first = world.say(subject::POLICY.into(), wire::policy::encode(&roomy()), None);
        let (mut with, mut without, mut signals) = (vec![first.clone()], vec![first], Vec::<Said>::new());
        for _ in 1..count {
            world.pass();
            let echoed = (!signals.is_empty() && world.random.chance(350)).then(|| world.random.index(signals.len()));
            let said = match echoed {
                Some(at) => Said { ts_ms: world.now_ms, ..signals[at].clone() },
                None if world.random.chance(300) => world.tick(),
                None => {
                    signals.push(world.counted());
                    signals[signals.len() - 1].clone()
                }
            };
            let tokens: Vec<&str> = said.subject.split('.').collect();
            let silent = format!("presence.v1.log.{}.noise", tokens[3]);
            let silent = Said { ts_ms: said.ts_ms, subject: silent, payload: Bytes::new(), content_type: None };
            without.push(if echoed.is_some() { silent } else { said.clone() });
            with.push(said);
        }
        (with, without)
    }

    /// A heartbeat, disconnect or leave of one of four sessions, with a rising counter.
    fn counted(&mut self) -> Said {
        let at = self.random.index(4);
        let (user, session) = (USERS[at / 2], SESSIONS[at % 2]);
        let (epoch, seq) = &mut self.clients[at];
        *seq += 1;
        let kind = self.random.pick(&["heartbeat", "heartbeat", "heartbeat", "heartbeat", "disconnect", "leave"]);
        let state = self.random.pick(&["active", "idle", "away"]);
        let visibility = self.random.pick(&["visible", "hidden", "frozen"]);
        let mut signal = json!({ "epoch": epoch, "seq": seq, "kind": kind });
        if self.random.chance(300) {
            signal["state"] = json!(state);
        }
        if self.random.chance(300) {
            signal["visibility"] = json!(visibility);
        }
        let subject = subject::log_signal(partition_of("acme", user, PARTITIONS), "acme", user, session);
        self.say(subject, signal.to_string(), None)
    }

    /// What comes next.
    pub(crate) fn next(&mut self) -> Said {
        self.pass();
        match self.random.below(1_000) {
            0..=619 => self.signal(),
            620..=879 => self.tick(),
            880..=939 => self.again(),
            940..=954 => self.policy(),
            955..=979 => self.malformed(),
            _ => {
                let subject =
                    self.random.pick(&["all.news", "0.news", "1.batch.acme.gw", "77.signal.a.b.c", "nonsense"]);
                self.say(format!("presence.v1.log.{subject}"), b"{}".as_slice(), None)
            }
        }
    }

    /// Time passes: mostly a little, sometimes nobody watches, sometimes a clock is set back.
    fn pass(&mut self) {
        let random = &mut self.random;
        match random.below(1_000) {
            0..=99 => {}
            100..=699 => self.now_ms += random.between(1, 300),
            700..=939 => self.now_ms += random.between(300, 1_500),
            940..=964 => self.now_ms += random.between(2_900, 3_001),
            965..=979 => self.now_ms += random.between(3_001, 20_000),
            980..=993 => self.now_ms -= random.between(1, 400),
            _ => self.now_ms -= random.between(2_999, 9_000),
        }
    }

    fn say(&mut self, subject: String, payload: impl Into<Bytes>, content_type: Option<String>) -> Said {
        let said = Said { ts_ms: self.now_ms, subject, payload: payload.into(), content_type };
        if self.said.len() < 8 {
            self.said.push(said.clone());
        } else {
            let at = self.random.index(8);
            self.said[at] = said.clone();
        }
        said
    }

    /// A duplicate or a reordered one.
    fn again(&mut self) -> Said {
        let at = self.random.index(self.said.len());
        Said { ts_ms: self.now_ms, ..self.said[at].clone() }
    }

    fn tick(&mut self) -> Said {
        let failed = if self.random.chance(80) { self.random.between(1, 3) as u32 } else { 0 };
        self.say(subject::TICK.into(), Tick::new(failed).to_json(), None)
    }

    fn policy(&mut self) -> Said {
        let policy = policy(self.random.below(4));
        self.say(subject::POLICY.into(), wire::policy::encode(&policy), None)
    }

    /// Who speaks: few speak often, so that some fall silent.
    fn who(&mut self) -> (usize, String) {
        let at = if self.random.chance(600) { self.random.index(6) } else { self.random.index(self.clients.len()) };
        let (tenant, rest) = (at % TENANTS.len(), at / TENANTS.len());
        let (user, session) = (rest % USERS.len(), rest / USERS.len());
        let (tenant, user, session) = (TENANTS[tenant], USERS[user], SESSIONS[session]);
        (at, subject::log_signal(partition_of(tenant, user, PARTITIONS), tenant, user, session))
    }

    fn malformed(&mut self) -> Said {
        let (_, subject) = self.who();
        match self.random.below(4) {
            0 => self.say(subject, b"{\"kind\":".as_slice(), None),
            1 => self.say(subject, b"\xc1".as_slice(), None),
            2 => self.say(subject::POLICY.into(), b"{\"v\":1}".as_slice(), None),
            _ => {
                let foreign = (partition_of("acme", "alice", PARTITIONS) + 1) % PARTITIONS;
                self.say(subject::log_signal(foreign, "acme", "alice", "tab"), Bytes::new(), None)
            }
        }
    }

    fn signal(&mut self) -> Said {
        let (at, subject) = self.who();
        let random = &mut self.random;
        if random.chance(150) {
            return self.say(subject, Bytes::new(), None);
        }
        let mut signal = Map::new();
        let mut set = |key: &str, value: Value| signal.insert(key.into(), value);
        match random.below(100) {
            0..=69 => {}
            70..=79 => drop(set("kind", json!("update"))),
            80..=89 => drop(set("kind", json!("disconnect"))),
            90..=94 => drop(set("kind", json!("leave"))),
            _ => drop(set("kind", json!("dance"))),
        }
        let (epoch, seq) = &mut self.clients[at];
        if random.chance(40) {
            (*epoch, *seq) = (epoch.saturating_add(random.below(3)).saturating_sub(1), 0);
        }
        *seq += 1;
        match random.below(10) {
            0..=5 => drop((set("epoch", json!(*epoch)), set("seq", json!(*seq)))),
            6 => drop(set("seq", json!(*seq))),
            7 => drop(set("epoch", json!(*epoch))),
            _ => {}
        }
        let fields: [(u64, &str, Value); 11] = [
            (150, "state", json!(random.pick(&["active", "idle", "away"]))),
            (150, "input_age_ms", json!(random.pick(&[0, 500, 1_500, 4_000]))),
            (150, "visibility", json!(random.pick(&["visible", "hidden", "frozen"]))),
            (100, "every_ms", json!(random.pick(&[0, 1_000, 3_000]))),
            (100, "conn", json!(random.pick(&["c1", "c2"]))),
            (80, "intent", json!(random.pick(&["open", "busy", "dnd", "invisible"]))),
            (50, "intent_for_ms", json!(random.between(1, 6_000))),
            (50, "profile", json!(random.pick(&["seed", "web", "nobody"]))),
            (50, "rooms", json!(random.pick(&[&[][..], &["lobby"], &["lobby", "stage"]]))),
            (50, "can", json!(random.pick(&[&[][..], &["audio"], &["audio", "video"]]))),
            (50, "meta", json!({ "mood": random.below(3) })),
        ];
        for (permille, key, value) in fields {
            if random.chance(permille) {
                signal.insert(key.into(), value);
            }
        }
        if random.chance(200) {
            let packed = rmp_serde::to_vec_named(&signal).expect("a map of plain values");
            self.say(subject, packed, Some("application/msgpack".into()))
        } else {
            self.say(subject, Value::Object(signal).to_string(), None)
        }
    }
}

/// A policy under which nobody is refused or forgotten.
fn roomy() -> Policy {
    let mut policy = policy(1);
    policy.limits.sessions_per_user = 64;
    for (_, profile) in &mut policy.profiles {
        profile.tombstone = 1_000_000_000;
    }
    policy
}

/// One of a few policies with short thresholds, so that much falls due.
pub(crate) fn policy(which: u64) -> Policy {
    let mut policy = Policy { reconnect_grace: 500 * which, ..Policy::default() };
    for (_, profile) in &mut policy.profiles {
        let Profile { idle_after, away_after, stale_after, offline_after, .. } = profile.clone();
        let short = |threshold: Millis| threshold / 60 + 37 * which;
        (profile.idle_after, profile.away_after) = (short(idle_after), short(away_after));
        (profile.stale_after, profile.offline_after) = (short(stale_after), short(offline_after));
        (profile.disconnect_grace, profile.leave_linger) = (400, 300 * (which % 2));
        (profile.hidden_after, profile.frozen_offline_after, profile.tombstone) = (450 * (which % 3), 4_000, 5_000);
        if let Some(promise) = &mut profile.promise {
            (promise.slack, promise.cap) = (700, 2_000);
        }
    }
    policy.limits.rejected_events = 2;
    policy.limits.sessions_per_user = 2 + which as u32 % 2;
    policy
}
