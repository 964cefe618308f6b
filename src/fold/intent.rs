//! The person's intent: what a session says for it, there or not.

use super::act::{Before, Evidence, Held};
use super::look::Heard;
use super::partition::Partition;
use super::record::NONE;
use crate::model::policy::DURATION_MS_MAX;
use crate::model::{Event, Intent, Kind, Signal};

impl Partition {
    /// What somebody says who isn't there: only the person's intent counts.
    pub(crate) fn speak(&mut self, at: u32, signal: &Signal, held: Held, out: &mut Vec<Event>) {
        let user = self.people.cold[at].user;
        self.will(at, signal, held);
        if signal.kind == Kind::Update && self.people.intent(user).0 != Intent::Open {
            let now = self.time.w;
            self.people.person_mut(user).kept = now;
        }
        let (evidence, before) = (Evidence::default(), Before { was_sure: false, ..self.before(at) });
        self.look_after(user, Heard { session: at, signal, evidence, before }, out);
    }

    /// Takes over the person's intent if it is another than this session said last.
    pub(crate) fn will(&mut self, at: u32, signal: &Signal, held: Held) {
        let Some(intent) = signal.intent.filter(|_| matches!(signal.kind, Kind::Heartbeat | Kind::Update)) else {
            return;
        };
        if self.people.facts_of(at).and_then(|facts| facts.said) == Some(intent) {
            return;
        }
        self.people.facts_mut(at).said = Some(intent);
        let user = self.people.cold[at].user;
        if intent == Intent::Open && self.people.users[user].person == NONE {
            return;
        }
        let said = self.time.w.saturating_sub(held.age);
        let until = signal.intent_for_ms.map(|lasts| said + lasts.min(DURATION_MS_MAX));
        let person = self.people.person_mut(user);
        (person.intent, person.until) = (intent, until.filter(|_| intent != Intent::Open));
    }
}
