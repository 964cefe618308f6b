//! What a user was, over time: told events in the order of the stream become segments without a gap. Pure.

use std::borrow::Cow;

use crate::model::{EngineWhat, Millis, State};
use crate::wire::ask::{Cursor, Past, Segment};
use crate::wire::{Named, ToldEvent, told};

/// What was told of a user, and of what nobody watched in its partition, in the order of the stream.
#[derive(Debug, Default)]
pub struct Kept {
    first: Option<First>,
    changes: Vec<Change>,
    /// No event counts as earlier than one before it.
    last_ms: Millis,
    blind: Vec<(Millis, Millis)>,
}

/// The first event that is kept of a user.
#[derive(Debug, Clone, Copy)]
struct First {
    at_ms: Millis,
    from: State,
    /// Nothing was told of its incarnation before.
    begins: bool,
}

/// From `at_ms` on it was so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    at_ms: Millis,
    state: Past,
    cause: Option<Cow<'static, str>>,
}

impl Kept {
    /// Takes the next event; what is neither of a user nor of blindness changes nothing.
    pub fn observe(&mut self, told: ToldEvent) {
        match told {
            ToldEvent::User(of) => self.observe_user(*of),
            ToldEvent::Engine(of) if of.what == EngineWhat::Blind.name() => self.blind.push((of.from_ms, of.to_ms)),
            ToldEvent::Engine(_)
            | ToldEvent::Session(_)
            | ToldEvent::Ready(_)
            | ToldEvent::Room(_)
            | ToldEvent::Member(_)
            | ToldEvent::Rejected(_)
            | ToldEvent::Other { .. } => {}
        }
    }

    fn observe_user(&mut self, of: told::User<'static>) {
        let at_ms = of.at_ms.max(self.last_ms);
        self.last_ms = at_ms;
        self.first.get_or_insert(First { at_ms, from: of.from, begins: of.ordinal == 1 });
        // What held for no time at all was never so.
        self.changes.pop_if(|before| before.at_ms == at_ms);
        let state = Past::from(of.to);
        if self.changes.last().is_none_or(|before| before.state != state) {
            self.changes.push(Change { at_ms, state, cause: Some(of.cause) });
        }
    }

    /// When the first event that is kept of the user happened.
    #[must_use]
    pub fn first_ms(&self) -> Option<Millis> {
        self.first.map(|first| first.at_ms)
    }

    /// When the last one happened.
    #[must_use]
    pub fn last_ms(&self) -> Option<Millis> {
        self.first.map(|_| self.last_ms)
    }

    /// What the user was. `cut_ms`: what was stored before that is gone; `None`: nothing is gone.
    #[must_use]
    pub fn timeline(self, cut_ms: Option<Millis>) -> Timeline {
        let Self { first, changes, last_ms: _, mut blind } = self;
        let (before, known) = match (first, cut_ms) {
            (None, None) => (Past::Offline, None),
            (None, Some(_)) => (Past::Unknown, None),
            (Some(first), None) if first.begins => (first.from.into(), None),
            // Somebody deleted what was before.
            (Some(_), None) => (Past::Unknown, None),
            // Behind the cut nothing is missing, so the first event says what was before it.
            (Some(first), Some(cut_ms)) => {
                let known = Change { at_ms: cut_ms, state: first.from.into(), cause: None };
                (Past::Unknown, (cut_ms < first.at_ms).then_some(known))
            }
        };
        let mut line = Timeline { before, changes: Vec::with_capacity(changes.len() + 1), blind: Vec::new() };
        for change in known.into_iter().chain(changes) {
            if line.changes.last().map_or(before, |last| last.state) != change.state {
                line.changes.push(change);
            }
        }
        blind.sort_unstable();
        for (from_ms, to_ms) in blind.into_iter().filter(|(from_ms, to_ms)| from_ms < to_ms) {
            match line.blind.last_mut() {
                Some((_, end)) if from_ms <= *end => *end = to_ms.max(*end),
                Some(_) | None => line.blind.push((from_ms, to_ms)),
            }
        }
        line
    }
}

/// What a user was at each time.
#[derive(Debug)]
pub struct Timeline {
    /// Before the first change.
    before: Past,
    /// Each later than the one before it, and another state.
    changes: Vec<Change>,
    /// Spans that nobody watched, in order and apart from each other.
    blind: Vec<(Millis, Millis)>,
}

impl Timeline {
    /// The first `limit` segments of that time, and where the next page goes on. They begin at `from_ms`, each where the one
    /// before it ends; without a cursor the last ends at `to_ms`. None is empty, so of `from_ms` = `to_ms` there are none.
    #[must_use]
    pub fn page(&self, from_ms: Millis, to_ms: Millis, limit: usize) -> (Vec<Segment>, Option<Cursor>) {
        let (mut segments, mut at_ms) = (Vec::new(), from_ms);
        while at_ms < to_ms && segments.len() < limit {
            let segment = self.segment(at_ms, to_ms);
            at_ms = segment.to_ms;
            segments.push(segment);
        }
        (segments, (at_ms < to_ms).then_some(Cursor { from_ms: at_ms, to_ms }))
    }

    /// From `at_ms` on, as long as it was the same, and at most until `end_ms`.
    fn segment(&self, at_ms: Millis, end_ms: Millis) -> Segment {
        let passed = self.changes.partition_point(|change| change.at_ms <= at_ms);
        let now = passed.checked_sub(1).map(|last| &self.changes[last]);
        let changes = self.changes.get(passed).map_or(end_ms, |change| change.at_ms);
        let over = self.blind.partition_point(|(_, to_ms)| *to_ms <= at_ms);
        let (observed, turns) = match self.blind.get(over) {
            Some((from_ms, to_ms)) if *from_ms <= at_ms => (false, *to_ms),
            Some((from_ms, _)) => (true, *from_ms),
            None => (true, end_ms),
        };
        Segment {
            state: now.map_or(self.before, |change| change.state),
            from_ms: at_ms,
            to_ms: changes.min(turns).min(end_ms),
            cause: now.and_then(|change| change.cause.as_deref().map(str::to_owned)),
            observed,
        }
    }
}

#[cfg(test)]
mod tests;
