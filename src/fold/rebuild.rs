//! The last resort: a partition from what was told of it, where neither log nor checkpoint reaches back far enough.

use std::sync::Arc;

use super::key::IndexKey;
use super::look::{When, Why};
use super::partition::Partition;
use crate::model::signal::SEQ_MAX;
use crate::model::{
    Address, Cause, Event, EventBody, Intent, Millis, Policy, ReadyEvent, SessionEvent, State, Token, Transport,
    UserEvent, Visibility,
};

impl Partition {
    /// A partition of those whose latest events these are, as of the log time `now`; its position is before the next log's
    /// first entry.
    ///
    /// Which signals were lost nobody knows, so the time is excused: everybody is taken to have been heard just now, as far
    /// as the told state allows. Everything goes on by the same incarnations and ordinals.
    #[must_use]
    pub fn rebuild(number: u16, key: &IndexKey, policy: Arc<Policy>, now: Millis, told: &[Event]) -> Self {
        let mut partition = Self::new(number, key);
        partition.start_at(now);
        partition.set_policy(policy);
        for event in told {
            if let EventBody::Session(session) = &event.body {
                if session.to == State::Offline {
                    // Nobody remembers it, so its next incarnation has to rise above it by this.
                    partition.forgotten = partition.forgotten.max(session.incarnation);
                } else {
                    partition.rebuild_session(session, event.at_ms);
                }
            }
        }
        for event in told {
            if let EventBody::User(user) = &event.body {
                partition.rebuild_user(user, event.at_ms);
            }
        }
        for event in told {
            if let EventBody::Ready(ready) = &event.body {
                partition.rebuild_readiness(ready, event.at_ms);
            }
        }
        partition.hide_whom_nobody_was_told_of(told);
        partition
    }

    /// Somebody is there and was told as offline, although more was told since: who is invisible. It stays so until it says
    /// otherwise, since what is public must not tell it.
    fn hide_whom_nobody_was_told_of(&mut self, told: &[Event]) {
        let last = told.iter().map(|event| event.seq).max();
        for event in told {
            let EventBody::Session(session) = &event.body else { continue };
            let (Ok(tenant), Ok(name)) = (Token::parse(&session.tenant), Token::parse(&session.user)) else { continue };
            let user = self.people.find_user(tenant, name).filter(|_| session.to != State::Offline);
            if let Some(user) = user.filter(|user| self.people.users[*user].state == State::Offline)
                && Some(event.seq) < last
            {
                let now = self.time.w;
                let person = self.people.person_mut(user);
                (person.intent, person.until, person.kept) = (Intent::Invisible, None, now);
            }
        }
    }

    /// What has to be told behind a [`Partition::rebuild`] from `told`, as of its position: users whose last event says
    /// something else than their sessions' do. A commit may end between the two, and the log that would have told the user's
    /// is gone; without it, a user whose last session is offline would be present for ever.
    pub fn reconcile(&mut self, told: &[Event]) -> Vec<Event> {
        let mut out = Vec::new();
        for user in self.people.users_in_order() {
            self.look(user, When { at: self.time.hi, instant: self.time.w }, Why::Rebuilt, &mut out);
            self.arm_user(user);
        }
        for event in told {
            if let EventBody::User(user) = &event.body
                && user.to != State::Offline
                && self.knows_nobody_of(user)
            {
                let gone = UserEvent {
                    ordinal: user.ordinal + 1,
                    cause: Cause::Silent,
                    from: user.to,
                    to: State::Offline,
                    sessions: [0; 4],
                    ..(**user).clone()
                };
                let (partition, generation, seq) = (self.number, self.generation, self.seq);
                let (at_ms, body) = (self.time.hi.max(event.at_ms), EventBody::User(Box::new(gone)));
                out.push(Event { at_ms, partition, generation, seq, k: 0, body });
            }
        }
        super::tell::put_in_order(&mut out);
        out
    }

    fn knows_nobody_of(&self, told: &UserEvent) -> bool {
        match (Token::parse(&told.tenant), Token::parse(&told.user)) {
            (Ok(tenant), Ok(user)) => self.people.find_user(tenant, user).is_none(),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    fn rebuild_session(&mut self, told: &SessionEvent, at_ms: Millis) {
        let (Ok(tenant), Ok(user), Ok(session)) =
            (Token::parse(&told.tenant), Token::parse(&told.user), Token::parse(&told.session))
        else {
            return;
        };
        let mut buffer = String::new();
        let address = Address::join(&mut buffer, tenant, user, session);
        let sought = self.people.sought(address);
        if self.people.find(address, &sought).is_some() {
            return;
        }
        let at = self.people.add(address, &sought);
        let index = self.policy.profile_index(&told.profile).unwrap_or_else(|| self.policy.default_index());
        let now = self.time.w;
        let hot = &mut self.people.hot[at];
        hot.set_profile(index);
        hot.set_state(told.to);
        hot.set_visibility(told.visibility);
        hot.set_seq(told.seq_client);
        hot.set_reported(false);
        let profile = &self.policy.profiles[index].1;
        let age = |threshold: Millis| now.saturating_sub(threshold);
        let (seen, input) = match told.to {
            State::Active => (now, now),
            State::Idle => (now, age(profile.idle_after)),
            State::Away => (now, told.last_input_ms.min(now)),
            State::Stale | State::Offline => (age(profile.stale_after), told.last_input_ms.min(now)),
        };
        hot.set_seen(seen);
        hot.set_input(input);
        self.people.set_every_ms(at, told.every_ms);
        self.people.set_epoch(at, told.epoch.filter(|epoch| *epoch <= SEQ_MAX));
        let cold = self.people.cold_mut(at);
        (cold.ordinal, cold.incarnation, cold.told_at) = (told.ordinal, told.incarnation.into(), at_ms.into());
        let hidden = told.visibility != Visibility::Visible;
        let hidden_since = if told.to == State::Away { age(profile.hidden_after) } else { now };
        let facts = self.people.facts_mut(at);
        facts.out_of_sight = hidden.then_some(hidden_since);
        facts.frozen = if told.visibility == Visibility::Frozen { now } else { 0 };
        facts.closed = (told.transport == Transport::Closed).then_some(now);
        facts.conn.clone_from(&told.conn);
        facts.can.clone_from(&told.can);
        facts.rooms.clone_from(&told.rooms);
        facts.meta.clone_from(&told.meta);
        let (band, sure) = (self.band(at, now), self.is_sure(at, now));
        let permille = self.certainty(at, now).permille;
        let cold = self.people.cold_mut(at);
        (cold.band, cold.told_w, cold.permille) = (band, now.into(), permille);
        self.people.hot[at].set_sure(sure);
        self.arm(at);
    }

    fn rebuild_user(&mut self, told: &UserEvent, at_ms: Millis) {
        let (Ok(tenant), Ok(name)) = (Token::parse(&told.tenant), Token::parse(&told.user)) else {
            return;
        };
        let Some(at) = self.people.find_user(tenant, name) else {
            self.forgotten = self.forgotten.max(told.incarnation);
            return;
        };
        let now = self.time.w;
        let user = self.people.user_mut(at);
        user.ordinal = told.ordinal;
        (user.incarnation, user.told_at, user.told_w) = (told.incarnation.into(), at_ms.into(), now.into());
        user.state = told.to;
        user.counts = told.sessions.map(|count| u8::try_from(count).unwrap_or(u8::MAX));
        if told.to != State::Offline {
            let band = self.leader(at).map_or(0, |best| self.people.cold[best].band);
            self.people.user_mut(at).band = band;
        }
        if told.intent != Intent::Open {
            let person = self.people.person_mut(at);
            (person.intent, person.until, person.kept) = (told.intent, told.intent_until_ms, now);
            person.told = (person.intent, person.until);
        }
        self.arm_user(at);
    }

    fn rebuild_readiness(&mut self, told: &ReadyEvent, at_ms: Millis) {
        let (Ok(tenant), Ok(name)) = (Token::parse(&told.tenant), Token::parse(&told.user)) else {
            return;
        };
        let Some(at) = self.people.find_user(tenant, name) else { return };
        let user = self.people.user_mut(at);
        if user.incarnation.get() == told.incarnation {
            user.told_at = user.told_at.get().max(at_ms).into();
            let person = self.people.person_mut(at);
            person.ready = told.to.to_vec();
            person.ready_ordinal = told.ordinal;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Body, Entry};
    use crate::model::{Kind, Signal};

    #[test]
    fn a_session_that_was_told_offline_comes_back_in_a_higher_incarnation() {
        let beat = Signal::default();
        let leave = Signal { kind: Kind::Leave, ..Signal::default() };
        let signals = [("acme.alice.phone", &beat), ("acme.alice.tab", &beat), ("acme.alice.tab", &leave)];
        let (mut partition, mut told) = (Partition::new(0, &IndexKey::new(1, 2)), Vec::new());
        for (seq, (address, signal)) in (1..).zip(signals) {
            let body = Body::Signal(Address::parse(address).unwrap(), signal);
            partition.apply(&Entry { seq, ts: 100_000, body }, &mut told);
        }
        let [_phone, _user, _came, left] = &told[..] else { panic!("{told:?}") };
        let latest = [told[0].clone(), told[1].clone(), left.clone()];

        let mut rebuilt = Partition::rebuild(0, &IndexKey::new(1, 2), Arc::default(), 100_000, &latest);
        let mut again = Vec::new();
        rebuilt.apply(
            &Entry { seq: 1, ts: 100_000, body: Body::Signal(Address::parse("acme.alice.tab").unwrap(), &beat) },
            &mut again,
        );
        let EventBody::Session(session) = &again[0].body else { panic!("{again:?}") };
        assert_eq!((session.incarnation, session.ordinal), (100_001, 1));
    }
}
