//! Deadlines: the wheel hints, the records decide, users fall instant by instant.

use std::ops::Range;

use super::look::{When, Why};
use super::outlook::soonest_of_plain;
use super::partition::{GRID_MS, Partition};
use super::record::{NONE, UNARMED};
use super::wheel::{Owner, TimingWheel};
use crate::model::session::NEVER;
use crate::model::{Event, Intent, Millis, State};

/// Marks a wheel entry that is a user's, not a session's.
const USER: u32 = 1 << 31;

impl Partition {
    /// Settles every deadline up to the observed instant `limit`. The wheel is turned to the next instant of the grid: what
    /// is due by that but not yet waits there, so that one look tells whether anybody could be due in between.
    pub(crate) fn settle(&mut self, limit: Millis, out: &mut Vec<Event>) {
        self.tell_silent_gateways(limit, out);
        let target = self.step_of(limit + 1);
        self.settling = Some(target);
        while let Some(entry) = self.pop(target) {
            if entry & USER == 0 {
                self.look_at(entry, limit, out);
            } else {
                let user = entry & !USER;
                self.people.person_unnoted(user).wake = UNARMED;
                self.settle_user(user, limit, out);
            }
        }
        self.settling = None;
        while let Some(user) = self.deferred.pop() {
            if self.people.users[user].tenant != NONE {
                self.arm_user(user);
            }
        }
        self.quiet_until = if self.wheel.has_pending() {
            self.grid() + GRID_MS
        } else {
            self.wheel.next_step().map_or(Millis::MAX, |step| (step * self.wheel_tick).saturating_sub(GRID_MS))
        };
        self.wake_for_gateways();
    }

    /// Whether a deadline may be unsettled: anybody's, up to the next instant of the grid. Within one entry, behind an item of a
    /// batch, the wheel may not have been asked yet for what that brought about.
    pub(crate) fn somebody_may_be_due(&self) -> bool {
        self.wheel.has_pending() || self.time.w >= self.quiet_until
    }

    /// Looks at a session whose wheel entry fired.
    fn look_at(&mut self, at: u32, limit: Millis, out: &mut Vec<Event>) {
        self.people.hot[at].set_wake(UNARMED);
        if self.deadline(at) <= limit {
            self.settle_user(self.people.cold[at].user, limit, out);
        } else {
            self.arm(at);
        }
    }

    /// Takes an entry that fired. Most sessions have been heard since they were armed: they are armed again where they stand.
    fn pop(&mut self, target: u64) -> Option<u32> {
        // The wheel asks for the deadlines of those that it finds, which the whole partition knows.
        let mut wheel = std::mem::replace(&mut self.wheel, TimingWheel::hollow());
        let entry = wheel.pop(target, self);
        self.wheel = wheel;
        entry
    }

    /// The wheel step at which an observed instant is looked at: not before its grid instant.
    fn step_of(&self, w: Millis) -> u64 {
        step_of(w, self.wheel_tick)
    }

    /// The instant of the grid that was reached last.
    pub(crate) fn grid(&self) -> Millis {
        self.time.w / GRID_MS * GRID_MS
    }

    /// Settles all that is due of a user up to `limit`, instant by instant; arms what remains. The user is gone afterwards if
    /// it has neither sessions nor an intent.
    pub(crate) fn settle_user(&mut self, user: u32, limit: Millis, out: &mut Vec<Event>) {
        loop {
            let instant = self.next_instant(user, limit);
            if instant > limit {
                break;
            }
            let when = When { at: self.time.told(instant), instant };
            self.look(user, when, Why::Time, out);
            if !self.forget(user, instant) {
                return;
            }
        }
        self.arm_user(user);
    }

    /// The first instant at which something happens to a user by itself; exact up to `limit`.
    pub(crate) fn next_instant(&self, user: u32, limit: Millis) -> Millis {
        // Whoever the wheel holds behind the step to which it is turned for `limit` has no deadline up to that.
        let step = self.step_of(limit + 1);
        let may_be_due = |at: &u32| {
            let wake = self.people.hot[*at].wake();
            wake <= step || wake == UNARMED
        };
        let sessions = self.people.sessions_of(user).filter(may_be_due).map(|at| self.deadline(at)).min();
        sessions.unwrap_or(NEVER).min(self.own_deadline(user))
    }

    /// The instant at which something happens to a session by itself, if its gateway isn't heard again.
    fn deadline(&self, at: u32) -> Millis {
        let excuse = self.people.excuse(at);
        self.due(at, |own| self.gateways.reached(excuse, own))
    }

    /// A bound below which nothing happens to a session by itself, whatever its gateway does.
    fn soonest(&self, at: u32) -> Millis {
        let excused = self.excused(at, self.time.w);
        if let Some(own) = soonest_of_plain(&self.crossings, &self.people.hot[at]) {
            debug_assert_eq!(own, self.due(at, |own| own), "both ways say the same");
            return own.saturating_add(excused);
        }
        self.due(at, |own| own.saturating_add(excused))
    }

    /// As [`Partition::deadline`], where an instant of the session's own time comes at `reached`.
    fn due(&self, at: u32, reached: impl Fn(Millis) -> Millis) -> Millis {
        let hot = &self.people.hot[at];
        if hot.state() == State::Offline {
            let kept = if hot.is_voice() { self.policy.intent_keep } else { self.profile_of(at).tombstone };
            return self.people.cold[at].told_w.get() + kept;
        }
        let [fades, unsure] = self.crossings(at);
        let own = self.deadlines_of(at).next_below(hot.state()).min(fades).min(unsure);
        reached(own).min(self.facts_due(at).unwrap_or(NEVER))
    }

    /// The instant at which something happens to a user itself: its intent ends or is kept no longer, its counts are due.
    fn own_deadline(&self, user: u32) -> Millis {
        let counts = self.counts_due(user).unwrap_or(NEVER);
        let Some(person) = self.people.person(user).filter(|person| person.intent != Intent::Open) else {
            return counts;
        };
        let kept = if self.people.is_here(user) { NEVER } else { person.kept + self.policy.intent_keep };
        counts.min(person.until.unwrap_or(NEVER)).min(kept)
    }

    /// Forgets what of a user was remembered up to `instant`. Whether there is still something.
    pub(crate) fn forget(&mut self, user: u32, instant: Millis) -> bool {
        if !self.people.is_here(user)
            && let Some(person) = self.people.person(user)
            && person.intent != Intent::Open
            && person.kept + self.policy.intent_keep <= instant
        {
            let person = self.people.person_mut(user);
            (person.intent, person.until, person.kept) = (Intent::Open, None, 0);
        }
        let mut next = self.people.users[user].first;
        while next != NONE {
            let at = next;
            next = self.people.cold[at].next;
            if self.people.hot[at].state() == State::Offline && self.deadline(at) <= instant {
                let forgotten = self.people.remove(at);
                self.forgotten = self.forgotten.max(forgotten);
            }
        }
        if self.people.users[user].tenant == NONE {
            return false;
        }
        if self.people.is_alone(user) && self.people.intent(user).0 == Intent::Open {
            let forgotten = self.people.remove_alone(user);
            self.forgotten = self.forgotten.max(forgotten);
            return false;
        }
        true
    }

    /// Puts what of a user is not in the wheel there, and moves to an earlier step what has to.
    pub(crate) fn arm_user(&mut self, user: u32) {
        let mut next = self.people.users[user].first;
        while next != NONE {
            self.arm(next);
            next = self.people.cold[next].next;
        }
        self.arm_person(user);
    }

    /// Arms one session anew if its deadline lies before its wheel entry.
    pub(crate) fn arm(&mut self, at: u32) {
        let deadline = self.soonest(at);
        let (step, wake) = (self.step_of(deadline), self.people.hot[at].wake());
        self.note_deadline(deadline);
        if step < wake
            && let Some(step) = self.push(wake, step, at, self.people.cold[at].user)
        {
            self.people.hot[at].set_wake(step);
        }
    }

    /// Arms a user's own deadline anew if it lies before its wheel entry.
    fn arm_person(&mut self, user: u32) {
        let deadline = self.own_deadline(user);
        if deadline == NEVER {
            return;
        }
        let (step, wake) = (self.step_of(deadline), self.people.person_wake(user));
        self.note_deadline(deadline);
        if step < wake
            && let Some(step) = self.push(wake, step, user | USER, user)
        {
            self.people.person_unnoted(user).wake = step;
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
        self.calm_until = 0;
    }
}

impl Owner for Partition {
    fn place(&mut self, entry: u32, span: Range<u64>) -> Option<u64> {
        if entry & USER != 0 {
            return Some(self.people.person_wake(entry & !USER)).filter(|wake| span.contains(wake));
        }
        let hot = &self.people.hot[entry];
        if !span.contains(&hot.wake()) {
            return None;
        }
        let deadline = match soonest_of_plain(&self.crossings, hot) {
            Some(deadline) if !hot.excused() => deadline,
            Some(_) | None => self.soonest(entry),
        };
        debug_assert_eq!(deadline, self.soonest(entry), "both ways say the same");
        let step = step_of(deadline, self.wheel_tick).max(span.start);
        self.people.hot[entry].set_wake(step);
        Some(step)
    }

    fn fetch(&self, entry: u32) {
        if entry & USER == 0 {
            self.people.hot.fetch(entry);
        }
    }
}

/// The wheel step at which an observed instant is looked at: not before its grid instant.
fn step_of(w: Millis, wheel_tick: Millis) -> u64 {
    // As a rule they are the same, and to divide by what is known costs less.
    if wheel_tick == GRID_MS { w.div_ceil(GRID_MS) } else { w.next_multiple_of(GRID_MS) / wheel_tick }
}

#[cfg(test)]
mod tests;
