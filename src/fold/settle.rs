//! Deadlines: the wheel hints, the records decide, users fall instant by instant.

use super::partition::{GRID_MS, Partition};
use super::record::{NONE, UNARMED};
use crate::model::session::NEVER;
use crate::model::{Cause, Event, Millis, State};

/// Marks a wheel entry that is a user's, not a session's.
const USER: u32 = 1 << 31;

impl Partition {
    /// Settles every deadline up to the observed instant `limit`. The wheel is turned to the next instant of the grid: what
    /// is due by that but not yet waits there, so that one look tells whether anybody could be due in between.
    pub(crate) fn settle(&mut self, limit: Millis, out: &mut Vec<Event>) {
        let target = self.step_of(limit + 1);
        self.settling = Some(target);
        while let Some(entry) = self.pop(target) {
            if entry & USER == 0 {
                self.look_at(entry, limit, out);
            } else {
                let user = entry & !USER;
                self.people.users[user].set_wake(UNARMED);
                self.settle_user(user, limit, out);
            }
        }
        self.settling = None;
        while let Some(user) = self.deferred.pop() {
            if self.people.users[user].sessions > 0 {
                self.arm_user(user);
            }
        }
        self.quiet_until = if self.wheel.has_pending() {
            self.grid() + GRID_MS
        } else {
            self.wheel.next_step().map_or(Millis::MAX, |step| (step * self.wheel_tick).saturating_sub(GRID_MS))
        };
    }

    /// Whether a deadline may be unsettled: anybody's, up to the next instant of the grid.
    pub(crate) fn somebody_may_be_due(&self) -> bool {
        self.wheel.has_pending()
    }

    /// Looks at a session whose wheel entry fired.
    fn look_at(&mut self, at: u32, limit: Millis, out: &mut Vec<Event>) {
        self.people.hot[at].set_wake(UNARMED);
        let deadline = self.deadline(at);
        if deadline <= limit {
            self.settle_user(self.people.cold[at].user, limit, out);
        } else {
            self.arm_by(at, deadline);
        }
    }

    /// Takes an entry that fired. Most sessions have been heard since they were armed: they are armed again where they
    /// stand, with a look at nothing but their hot part.
    fn pop(&mut self, target: u64) -> Option<u32> {
        let (people, policy, wheel_tick) = (&mut self.people, &self.policy, self.wheel_tick);
        self.wheel.pop(target, |entry, span| {
            if entry & USER != 0 {
                return Some(people.users[entry & !USER].wake()).filter(|wake| span.contains(wake));
            }
            if !span.contains(&people.hot[entry].wake()) {
                return None;
            }
            let step = step_of(people.deadline(entry, policy), wheel_tick).max(span.start);
            people.hot[entry].set_wake(step);
            Some(step)
        })
    }

    /// The wheel step at which an observed instant is looked at: not before its grid instant.
    fn step_of(&self, w: Millis) -> u64 {
        step_of(w, self.wheel_tick)
    }

    /// The instant of the grid that was reached last.
    pub(crate) fn grid(&self) -> Millis {
        self.time.w / GRID_MS * GRID_MS
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
    pub(crate) fn next_instant(&self, user: u32, limit: Millis) -> Millis {
        // Whoever the wheel holds behind the step to which it is turned for `limit` has no deadline up to that.
        let step = self.step_of(limit + 1);
        let may_be_due = |at: &u32| {
            let wake = self.people.hot[*at].wake();
            wake <= step || wake == UNARMED
        };
        let sessions = self.people.sessions_of(user).filter(may_be_due).map(|at| self.deadline(at)).min();
        sessions.unwrap_or(NEVER).min(self.will_until(user))
    }

    fn deadline(&self, at: u32) -> Millis {
        self.people.deadline(at, &self.policy)
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
        self.tell_user(user, cause, at_ms, intent_ended, out);
    }

    /// The session that the user's state is: best state, then latest input, then name.
    fn leader(&self, user: u32) -> Option<u32> {
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
        let mut next = self.people.users[user].first;
        while next != NONE {
            if self.people.hot[next].wake() == UNARMED {
                self.arm(next);
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
        let (step, wake) = (self.step_of(deadline), self.people.hot[at].wake());
        self.note_deadline(deadline);
        if step < wake
            && let Some(step) = self.push(wake, step, at, self.people.cold[at].user)
        {
            self.people.hot[at].set_wake(step);
        }
    }

    /// Arms the end of a user's intent anew if it lies before its wheel entry.
    pub(crate) fn arm_will(&mut self, user: u32) {
        let until = self.will_until(user);
        if until == NEVER {
            return;
        }
        let (step, wake) = (self.step_of(until), self.people.users[user].wake());
        self.note_deadline(until);
        if step < wake
            && let Some(step) = self.push(wake, step, user | USER, user)
        {
            self.people.users[user].set_wake(step);
        }
    }

    /// Puts an entry that is at the step `wake`, or nowhere, into the wheel at an earlier one. Within the span that is being
    /// settled only a user who isn't due yet is left: it is armed when the span is done.
    fn push(&mut self, wake: u64, step: u64, entry: u32, user: u32) -> Option<u64> {
        if self.settling.is_some_and(|target| step <= target) {
            self.deferred.push(user);
            return None;
        }
        // The wheel was not turned while it had nothing to say, and slots are told from where it stands.
        self.wheel.skip_to(self.step_of(self.time.w + 1));
        Some(match wake {
            UNARMED => self.wheel.push(step, entry),
            wake => self.wheel.bring_forward(wake, step, entry),
        })
    }

    /// The wheel has to be asked an instant of the grid before a deadline is due.
    fn note_deadline(&mut self, deadline: Millis) {
        self.quiet_until = self.quiet_until.min(deadline.next_multiple_of(GRID_MS) - GRID_MS);
    }
}

/// The wheel step at which an observed instant is looked at: not before its grid instant.
fn step_of(w: Millis, wheel_tick: Millis) -> u64 {
    w.next_multiple_of(GRID_MS) / wheel_tick
}

#[cfg(test)]
mod tests;
