//! What is told of a session: what it is now, compared with what was told of it.

use presence_engine::model::{Cause, EventBody, Millis, NextState, SessionEvent, Signal, State};

use super::fall::profile_of;
use super::session::{Session, by_signal};
use super::sky::{Sky, When};

/// Tenant and user.
pub(super) type Key = (String, String);
/// What the entry at hand tells, before it is put in order.
pub(super) type Desk = Vec<(Millis, EventBody)>;

/// Why a user is looked at.
#[derive(Clone, Copy)]
pub(super) enum Why<'a> {
    Time,
    Policy,
    Signal(Heard<'a>),
}

/// The signal that acted just now.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) name: &'a str,
    pub(super) signal: &'a Signal,
    pub(super) joined: bool,
    /// What it would be called if the session rises by it.
    pub(super) up: Option<Cause>,
    /// Whether the session's confidence was enough to be ready, before.
    pub(super) was_sure: bool,
    /// When it was last seen and its last input, before.
    pub(super) before: (Millis, Millis),
}

impl Why<'_> {
    /// The cause of another band.
    pub(super) fn crossing(self, before: u8, now: u8) -> Cause {
        match self {
            Self::Policy => Cause::Policy,
            Self::Time | Self::Signal(_) if now > before => Cause::Fading,
            Self::Time | Self::Signal(_) => Cause::Refreshed,
        }
    }
}

impl Session {
    /// Tells what is to be told now. The cause, if it is another state.
    pub(super) fn look(
        &mut self,
        (key, name): (&Key, &str),
        (sky, desk): (&Sky, &mut Desk),
        when: When,
        why: Why<'_>,
    ) -> Option<Cause> {
        if !self.is_live() {
            return None;
        }
        let (state, reason) = self.state_at(when.instant, sky);
        let (from, band) = (self.state, self.band(when.instant, sky));
        let cause = if state != from {
            match why {
                Why::Policy => Cause::Policy,
                Why::Signal(heard) if heard.joined => Cause::Joined,
                Why::Signal(heard) => by_signal(heard.signal, from, state, reason, heard.up),
                Why::Time => reason,
            }
        } else if state == State::Offline {
            // What brought it was so old that it has gone again.
            self.enter(state, when.instant, sky);
            return None;
        } else if band != self.told.band {
            why.crossing(self.told.band, band)
        } else if when.instant >= self.due(sky)? {
            Cause::Updated
        } else {
            return None;
        };
        self.enter(state, when.instant, sky);
        self.told.instant = when.instant;
        self.told.band = band;
        self.told.facts = Some(self.shown());
        self.tell((key, name), (sky, desk), (when, from, cause));
        (state != from).then_some(cause)
    }

    /// When facts that differ from what was told are due, if they do. A leave that lingers closes nothing yet.
    pub(super) fn due(&self, sky: &Sky) -> Option<Millis> {
        let mut shown = self.shown();
        if let Some(told) = self.told.facts.as_ref().filter(|_| self.leaving.is_some()) {
            shown.transport = told.transport;
        }
        let differs = self.is_live() && self.told.facts.as_ref() != Some(&shown);
        differs.then_some(self.told.instant + sky.policy.update_every)
    }

    fn enter(&mut self, state: State, instant: Millis, sky: &Sky) {
        let flaps = profile_of(&self.facts, &sky.policy).anti_flap > 0;
        if flaps && self.state == State::Active && state != State::Active {
            self.left_active = Some(sky.own(self, instant));
        }
        self.state = state;
        if state == State::Offline {
            self.excuse_by(None, instant, sky);
            self.gone = Some((instant, self.leaving.is_some()));
        }
    }

    fn tell(&mut self, (key, name): (&Key, &str), (sky, desk): (&Sky, &mut Desk), told: (When, State, Cause)) {
        let (when, from, cause) = told;
        self.ordinal += 1;
        self.at = self.at.max(when.at);
        self.told.permille = self.certainty(when.instant, sky).permille;
        let excused = sky.excused(self, when.instant);
        let facts = self.facts.clone();
        let event = SessionEvent {
            tenant: key.0.as_str().into(),
            user: key.1.as_str().into(),
            session: name.into(),
            incarnation: self.incarnation,
            ordinal: self.ordinal,
            cause,
            from,
            to: self.state,
            last_seen_ms: sky.told(self.seen + excused),
            last_input_ms: sky.told(self.input + excused),
            transport: self.shown().transport,
            visibility: facts.visibility,
            can: facts.can,
            rooms: facts.rooms,
            meta: facts.meta,
            profile: facts.profile,
            every_ms: facts.every_ms,
            epoch: self.epoch,
            seq_client: self.seq,
            conn: facts.conn,
            confidence: self.certainty(when.instant, sky),
            next: self.next(when.instant, sky).map(|(at, to)| NextState { to, at_ms: sky.expected(at) }),
        };
        if sky.policy.session_events {
            desk.push((self.at, EventBody::Session(Box::new(event))));
        }
    }
}
