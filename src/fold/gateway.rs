//! Gateways, and what their silence excuses: it is their own, not that of the sessions behind them.

use std::collections::BTreeMap;

use super::act::Held;
use super::ahead::{AHEAD, Ahead};
use super::entry::BatchItem;
use super::partition::{GRID_MS, Partition};
use super::sought::Sought;
use crate::model::session::NEVER;
use crate::model::{Address, EngineEvent, EngineWhat, Event, EventBody, Millis, Policy, Said, Token};

/// So much of a gateway's silence a session is given between two of its life signs.
pub(crate) const EXCUSE_MAX: Millis = 60_000;

/// The gateways that a partition knows. One whose silence has given all that it can is forgotten: whoever refers to it has
/// been given all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gateways {
    pub(crate) known: BTreeMap<u32, Gateway>,
    /// Their numbers, by tenant and name.
    numbers: BTreeMap<Box<str>, u32>,
    /// The number of the next that comes.
    pub(crate) next: u32,
    /// Before this instant nobody falls silent whose silence was not told.
    alarm: Millis,
}

/// A gateway. All in observed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) tenant: Box<str>,
    pub(crate) name: Box<str>,
    /// Its latest batch.
    pub(crate) latest: Millis,
    /// From this instant on its silence counts, if nothing comes before.
    pub(crate) from: Millis,
    /// All its silence that counted before `from`, and what of it belongs to the one that lasts.
    pub(crate) silence: Millis,
    pub(crate) lasting: Millis,
    /// Whether it was told that it is silent.
    pub(crate) is_told: bool,
}

/// Whose silence excuses a session, and how long that had been at its latest life sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excuse {
    pub(crate) gateway: u32,
    pub(crate) before: Millis,
}

impl Excuse {
    /// Most gateways that a partition can tell apart in its life: two and twenty bits are left beside an instant.
    pub(crate) const GATEWAYS_MAX: u32 = (1 << 22) - 1;

    /// As it is kept with a session: 0 is none.
    #[inline]
    pub(crate) fn pack(excuse: Option<Self>) -> u64 {
        excuse.map_or(0, |Self { gateway, before }| before << 22 | u64::from(gateway + 1))
    }

    pub(crate) fn unpack(packed: u64) -> Option<Self> {
        let gateway = (packed & u64::from(Self::GATEWAYS_MAX)) as u32;
        gateway.checked_sub(1).map(|gateway| Self { gateway, before: packed >> 22 })
    }
}

impl Gateway {
    fn silence_at(&self, w: Millis) -> Millis {
        self.silence + w.saturating_sub(self.from)
    }

    fn lasting_at(&self, w: Millis) -> Millis {
        self.lasting + w.saturating_sub(self.from)
    }
}

impl Gateways {
    fn find(&self, key: &str, w: Millis) -> Option<u32> {
        self.numbers.get(key).copied().filter(|number| self.known[number].lasting_at(w) < EXCUSE_MAX)
    }

    /// Adds a gateway under the number that it has.
    pub(crate) fn insert(&mut self, number: u32, gateway: Gateway) {
        self.numbers.insert(key(&gateway.tenant, &gateway.name), number);
        if !gateway.is_told {
            self.alarm = self.alarm.min(gateway.from);
        }
        self.known.insert(number, gateway);
    }

    fn forget_those_who_gave_all(&mut self, w: Millis) {
        self.known.retain(|_, gateway| gateway.lasting_at(w) < EXCUSE_MAX);
        self.numbers.retain(|_, number| self.known.contains_key(number));
    }

    /// Whether it is known, and has been silent for longer than it may.
    pub(crate) fn is_silent(&self, tenant: Token<'_>, name: Token<'_>, w: Millis) -> bool {
        let found = self.find(&key(tenant.as_str(), name.as_str()), w);
        found.is_some_and(|number| self.known[&number].lasting_at(w) > 0)
    }

    /// A batch is its gateway's life sign. Returns the excuse of those who are heard by it; `None` if it can't be known.
    pub(crate) fn hear(&mut self, tenant: Token<'_>, name: Token<'_>, w: Millis, policy: &Policy) -> Option<Excuse> {
        let number = match self.find(&key(tenant.as_str(), name.as_str()), w) {
            Some(number) => number,
            None => {
                self.forget_those_who_gave_all(w);
                if self.known.len() >= policy.limits.gateways as usize || self.next >= Excuse::GATEWAYS_MAX {
                    return None;
                }
                let (tenant, name) = (tenant.as_str().into(), name.as_str().into());
                let number = self.next;
                self.next += 1;
                self.insert(
                    number,
                    Gateway { tenant, name, latest: w, from: w, silence: 0, lasting: 0, is_told: false },
                );
                number
            }
        };
        let gateway = self.known.get_mut(&number).expect("it was found or made");
        gateway.silence = gateway.silence_at(w);
        (gateway.latest, gateway.lasting, gateway.from) = (w, 0, w + policy.blind_after);
        gateway.is_told = false;
        self.alarm = self.alarm.min(gateway.from);
        Some(Excuse { gateway: number, before: gateway.silence })
    }

    /// Another policy is in force: what was silence by the old one stays it.
    pub(crate) fn rule(&mut self, w: Millis, policy: &Policy) {
        for gateway in self.known.values_mut() {
            (gateway.silence, gateway.lasting) = (gateway.silence_at(w), gateway.lasting_at(w));
            gateway.from = w.max(gateway.latest + policy.blind_after);
        }
        self.alarm = self.next_silence();
    }

    /// The first instant at which somebody falls silent of whom it was not told.
    fn next_silence(&self) -> Millis {
        self.known.values().filter(|gateway| !gateway.is_told).map(|gateway| gateway.from).min().unwrap_or(NEVER)
    }

    /// The instant of the grid at which somebody may fall silent of whom it was not told; `None`: nobody.
    pub(crate) fn next_alarm(&self) -> Option<Millis> {
        (!self.known.is_empty() && self.alarm != NEVER).then(|| self.alarm.next_multiple_of(GRID_MS))
    }

    /// Those whose silence begins to count by `limit`, once: their latest life sign, and when it does.
    fn fall_silent(&mut self, limit: Millis) -> Vec<(Millis, Millis)> {
        if limit < self.alarm {
            return Vec::new();
        }
        let falls = self.known.values_mut().filter(|gateway| !gateway.is_told && gateway.from <= limit);
        let silent = falls.map(|gateway| {
            gateway.is_told = true;
            (gateway.latest, gateway.from)
        });
        let silent = silent.collect();
        self.alarm = self.next_silence();
        silent
    }

    /// `E`: how much of an instant's ages is excused.
    pub(crate) fn excused(&self, excuse: Option<Excuse>, w: Millis) -> Millis {
        let Some(Excuse { gateway, before }) = excuse else { return 0 };
        let silence = self.known.get(&gateway).map(|gateway| gateway.silence_at(w).saturating_sub(before));
        silence.map_or(EXCUSE_MAX, |silence| silence.min(EXCUSE_MAX))
    }

    /// The first instant `t` with `t - E(t) >= deadline`, if the gateway isn't heard again.
    pub(crate) fn reached(&self, excuse: Option<Excuse>, deadline: Millis) -> Millis {
        if deadline == NEVER {
            return NEVER;
        }
        let Some(Excuse { gateway, before }) = excuse else { return deadline };
        let Some(Gateway { from, silence, .. }) = self.known.get(&gateway) else { return deadline + EXCUSE_MAX };
        let excused = silence.saturating_sub(before).min(EXCUSE_MAX);
        if deadline + excused <= *from { deadline + excused } else { deadline + EXCUSE_MAX }
    }
}

impl Partition {
    /// Tells whose silence begins to count by the observed instant `limit`.
    pub(crate) fn tell_silent_gateways(&mut self, limit: Millis, out: &mut Vec<Event>) {
        for (latest, from) in self.gateways.fall_silent(limit) {
            let (from_ms, to_ms) = (self.time.told(latest), self.time.told(from));
            let what = EngineWhat::GatewaySilent;
            self.tell(to_ms, EventBody::Engine(EngineEvent { what, from_ms, to_ms }), out);
        }
    }

    /// Sees to it that the grid's instants are settled at which a gateway may fall silent.
    pub(crate) fn wake_for_gateways(&mut self) {
        if self.gateways.alarm != NEVER {
            self.quiet_until = self.quiet_until.min(self.gateways.alarm.next_multiple_of(GRID_MS));
        }
    }

    /// Takes what a gateway held. Any batch is its life sign, and ends what its silence excuses.
    pub(crate) fn unpack(&mut self, gateway: (Token<'_>, Token<'_>), items: &[BatchItem<'_>], out: &mut Vec<Event>) {
        let (tenant, name) = gateway;
        if self.gateways.is_silent(tenant, name, self.time.w) {
            self.settle(self.time.w, out);
        }
        let excuse = self.gateways.hear(tenant, name, self.time.w, &self.policy);
        self.wake_for_gateways();
        let mut ahead = Ahead::default();
        for group in items.chunks(AHEAD) {
            let address = |at: usize| match &group[at] {
                BatchItem::Signal(address, ..) => Some((&self.people, *address)),
                BatchItem::Rejected(_) => None,
            };
            let sought = ahead.look_among(group.len(), address);
            for (item, sought) in group.iter().zip(sought) {
                match item {
                    BatchItem::Signal(address, said, age) => {
                        let held = Held { age: (*age).min(self.policy.limits.batch_age), excuse };
                        self.take_held((*address, sought), said, held, out);
                    }
                    BatchItem::Rejected(reason) => {
                        let subject = format!("presence.v1.log.{}.batch.{tenant}.{name}", self.number);
                        self.reject(subject.into(), reason.clone(), out);
                    }
                }
            }
        }
    }

    fn take_held(&mut self, from: (Address<'_>, &Sought), said: &Said, held: Held, out: &mut Vec<Event>) {
        if let Said::Beat(beat) = said
            && !self.somebody_may_be_due()
            && self.renew(from, *beat, held, self.time.w)
        {
            return;
        }
        self.take(from, &said.signal(), held, out);
    }

    /// An excuse ends at an observed instant with another, or with none: what was excused stays so, by moving every instant.
    pub(crate) fn excuse_by(&mut self, at: u32, excuse: Option<Excuse>, instant: Millis) {
        if excuse.is_none() && !self.people.hot[at].excused() {
            return;
        }
        let by = self.excused(at, instant);
        let hot = &mut self.people.hot[at];
        hot.set_seen(hot.seen() + by);
        hot.set_input(hot.input() + by);
        if by > 0
            && let Some(facts) = self.people.facts_of_mut(at)
        {
            let kept = [&mut facts.closed, &mut facts.leaving, &mut facts.left_active, &mut facts.out_of_sight];
            // What never was stays so, whether there is a record of it or not.
            let since = [&mut facts.frozen, &mut facts.raised].into_iter().filter(|at| **at > 0);
            kept.into_iter().flatten().chain(since).for_each(|at| *at += by);
        }
        self.people.set_excuse(at, excuse);
    }
}

fn key(tenant: &str, name: &str) -> Box<str> {
    format!("{tenant}.{name}").into()
}
