//! Deadlines: the wheel hints, the records decide, users fall instant by instant.

use super::partition::{GRID_MS, Partition};
use super::record::{NONE, UNARMED};
use crate::model::session::NEVER;
use crate::model::{Cause, Event, Millis, State};

/// Marks a wheel entry that is a user's, not a session's.
const USER: u32 = 1 << 31;

impl Partition {
    /// Settles every deadline up to the observed instant `limit`.
    pub(crate) fn settle(&mut self, limit: Millis, out: &mut Vec<Event>) {
        let target = self.step_of(limit);
        self.settling = Some(target);
        while let Some(entry) = self.pop(target) {
            if entry & USER == 0 {
                self.look_at(entry, limit, out);
            } else {
                let user = entry & !USER;
                let will = self.people.users[user].will;
                self.people.wills[will].wake = UNARMED;
                self.settle_user(user, limit, out);
            }
        }
        self.settling = None;
        while let Some(user) = self.deferred.pop() {
            if self.people.users[user].sessions > 0 {
                self.arm_user(user);
            }
        }
        self.quiet_until = self.wheel_speaks_at();
    }

    /// When the wheel has something to say first, early rather than late: the begin of its earliest slot that isn't empty.
    fn wheel_speaks_at(&self) -> Millis {
        self.wheel.next_step().map_or(Millis::MAX, |step| step * self.wheel_tick)
    }

    /// Looks at a session whose wheel entry fired. Most fire early, since heartbeats don't touch the wheel.
    fn look_at(&mut self, at: u32, limit: Millis, out: &mut Vec<Event>) {
        self.people.hot[at].set_wake(UNARMED);
        let user = self.people.cold[at].user;
        let deadline = self.deadline(at);
        if deadline <= limit {
            self.settle_user(user, limit, out);
            return;
        }
        self.arm_by(at, deadline);
        let sessions = self.people.sessions_of(user).map(|at| self.people.hot[at].wake());
        let soonest = sessions.chain([self.people.will_wake(user)]).min();
        self.people.users[user].soonest = soonest.unwrap_or(UNARMED);
    }

    fn pop(&mut self, target: u64) -> Option<u32> {
        let people = &self.people;
        self.wheel.pop(target, |entry| {
            if entry & USER == 0 { people.hot[entry].wake() } else { people.will_wake(entry & !USER) }
        })
    }

    /// The wheel step at which an observed instant is looked at: not before its grid instant.
    fn step_of(&self, w: Millis) -> u64 {
        w.next_multiple_of(GRID_MS) / self.wheel_tick
    }

    /// The instant of the grid that was reached last.
    pub(crate) fn grid(&self) -> Millis {
        self.time.w / GRID_MS * GRID_MS
    }

    /// Whether a deadline of `user` up to the observed instant `limit` may be unsettled.
    pub(crate) fn may_be_due(&self, user: u32, limit: Millis) -> bool {
        // As `soonest <= step_of(limit)`, without dividing: this is asked with every signal.
        self.people.users[user].soonest * self.wheel_tick <= limit.next_multiple_of(GRID_MS)
    }

    /// Settles a user's sessions and its intent up to `limit`, instant by instant; arms what remains. The user is gone
    /// afterwards if its last session was forgotten.
    pub(crate) fn settle_user(&mut self, user: u32, limit: Millis, out: &mut Vec<Event>) {
        loop {
            let instant = self.next_instant(user, limit);
            if instant > limit {
                break;
            }
            self.fall(user, instant, out);
            self.forget(user, instant);
            if self.people.users[user].sessions == 0 {
                return;
            }
        }
        self.arm_user(user);
    }

    /// The first instant at which somebody of the user falls or is forgotten, or its intent ends; exact up to `limit`.
    fn next_instant(&self, user: u32, limit: Millis) -> Millis {
        let step = self.step_of(limit);
        // A session that the wheel holds at a later step has no deadline up to `limit`.
        let may_be_due = |at: &u32| {
            let wake = self.people.hot[*at].wake();
            wake <= step || wake == UNARMED
        };
        let sessions = self.people.sessions_of(user).filter(may_be_due).map(|at| self.deadline(at)).min();
        sessions.unwrap_or(NEVER).min(self.will_until(user))
    }

    /// The instant at which a session falls to a lower state, or is forgotten.
    fn deadline(&self, at: u32) -> Millis {
        let hot = &self.people.hot[at];
        let profile = &self.policy.profiles[hot.profile()].1;
        match hot.state() {
            State::Offline => self.people.cold[at].ended + profile.tombstone,
            state => self.people.life(at).deadlines(profile).next_below(state),
        }
    }

    fn will_until(&self, user: u32) -> Millis {
        match self.people.users[user].will {
            NONE => NEVER,
            will => self.people.wills[will].until.unwrap_or(NEVER),
        }
    }

    /// What falls at one instant: of several deadlines only the result is told.
    fn fall(&mut self, user: u32, instant: Millis, out: &mut Vec<Event>) {
        let at_ms = self.time.told(instant);
        let leader = self.leader(user);
        let mut cause = Cause::Intent;
        let mut next = self.people.users[user].first;
        while next != NONE {
            let at = next;
            next = self.people.cold[at].next;
            if self.people.hot[at].state() != State::Offline && self.deadline(at) == instant {
                let profile = &self.policy.profiles[self.people.hot[at].profile()].1;
                let (to, why) = self.people.life(at).deadlines(profile).state_at(instant);
                if Some(at) == leader {
                    cause = why;
                }
                self.turn(at, to, why, (at_ms, instant), out);
            }
        }
        let intent_ended = self.will_until(user) == instant;
        if intent_ended {
            let will = std::mem::replace(&mut self.people.users[user].will, NONE);
            self.people.wills.remove(will);
        }
        self.tell_user(user, cause, (at_ms, instant), intent_ended, out);
    }

    /// The session that the user's state is: best state, then latest input, then name.
    pub(crate) fn leader(&self, user: u32) -> Option<u32> {
        let present = self.people.sessions_of(user).filter(|at| self.people.hot[*at].state() != State::Offline);
        present.min_by(|a, b| {
            let rank = |at: &u32| (self.people.hot[*at].state(), std::cmp::Reverse(self.people.hot[*at].input()));
            rank(a).cmp(&rank(b)).then_with(|| self.people.session_name(*a).cmp(self.people.session_name(*b)))
        })
    }

    /// Forgets the user's sessions that were remembered up to `instant`.
    fn forget(&mut self, user: u32, instant: Millis) {
        let mut next = self.people.users[user].first;
        while next != NONE {
            let at = next;
            next = self.people.cold[at].next;
            if self.people.hot[at].state() == State::Offline && self.deadline(at) <= instant {
                let forgotten = self.people.remove(at);
                self.forgotten = self.forgotten.max(forgotten);
            }
        }
    }

    /// Puts those of a user into the wheel who are not there. Whoever is there stays: falling moves deadlines only later.
    fn arm_user(&mut self, user: u32) {
        self.people.users[user].soonest = UNARMED;
        let mut next = self.people.users[user].first;
        while next != NONE {
            let wake = self.people.hot[next].wake();
            if wake == UNARMED {
                self.arm(next);
            } else {
                self.note_soonest(user, wake);
            }
            next = self.people.cold[next].next;
        }
        self.arm_will(user);
    }

    /// Arms one session anew if its deadline lies before its wheel entry.
    pub(crate) fn arm(&mut self, at: u32) {
        self.arm_by(at, self.deadline(at));
    }

    /// As [`Partition::arm`], with its deadline at hand.
    pub(crate) fn arm_by(&mut self, at: u32, deadline: Millis) {
        let step = self.step_of(deadline);
        let user = self.people.cold[at].user;
        if step < self.people.hot[at].wake() {
            match self.push(step, at, user) {
                Some(step) => self.people.hot[at].set_wake(step),
                None => return,
            }
        }
        self.note_soonest(user, self.people.hot[at].wake());
    }

    /// Arms the end of a user's intent anew if it lies before its wheel entry.
    pub(crate) fn arm_will(&mut self, user: u32) {
        let will = self.people.users[user].will;
        if will == NONE || self.people.wills[will].until.is_none() {
            return;
        }
        let step = self.step_of(self.will_until(user));
        if step < self.people.wills[will].wake {
            match self.push(step, user | USER, user) {
                Some(step) => self.people.wills[will].wake = step,
                None => return,
            }
        }
        self.note_soonest(user, self.people.wills[will].wake);
    }

    /// Puts an entry into the wheel. Within the span that is being settled only a user who isn't due yet is left: it is
    /// armed when the span is done.
    fn push(&mut self, step: u64, entry: u32, user: u32) -> Option<u64> {
        if self.settling.is_some_and(|target| step <= target) {
            self.deferred.push(user);
            return None;
        }
        // The wheel was not turned while it had nothing to say, and slots are told from where it stands.
        self.wheel.skip_to(self.grid() / self.wheel_tick);
        let step = self.wheel.push(step, entry);
        self.quiet_until = self.wheel_speaks_at();
        Some(step)
    }

    fn note_soonest(&mut self, user: u32, step: u64) {
        let soonest = &mut self.people.users[user].soonest;
        *soonest = step.min(*soonest);
    }
}
