//! All that there is, and what may happen next.

use presence_engine::nats::commit::protocol::Outcome;
use stateright::{Model, Property};

use crate::facts;
use crate::log::{PARTITIONS, Place};
use crate::owner::{Effects, Lane, Owner, Phase};
use crate::stream::{Flight, Stream};

/// What is to be checked.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) bounds: Bounds,
    pub(crate) mutation: Mutation,
}

/// How much may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most events of a batch.
    pub(crate) batch_events: usize,
    /// How often an owner begins to take partitions from a living one.
    pub(crate) takeovers: u8,
    /// How often an owner dies.
    pub(crate) crashes: u8,
    /// How often an owner waits for an answer no longer, which may have been lost, as may have been what it had sent; how often a
    /// server refuses for a reason of its own; how often a leader that was deposed answers.
    pub(crate) mishaps: u8,
    /// Whether checkpoints are stored.
    pub(crate) checkpoints: bool,
    /// Whether a leader that was deposed may answer.
    pub(crate) deposed: bool,
}

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    Nothing,
    /// The server checks no expectation.
    NoExpectations,
    /// An owner that lost a partition sends the rest again without asking whether all of it had landed.
    RestUnread,
    /// An owner adds events to a commit of which an attempt is out.
    ContentGrows,
    /// A checkpoint is stored before its commit is confirmed.
    EarlyCheckpoint,
    /// An owner sends what may have landed again as a new commit, behind the progress that it finds.
    FreshExpectation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) stream: Stream,
    /// What is on its way to the stream.
    pub(crate) flights: Vec<Flight>,
    /// Who lives, in the order of their lives. Each is always free to do nothing for a while.
    pub(crate) owners: Vec<Owner>,
    /// The entries behind which there is a checkpoint, for each partition.
    pub(crate) checkpoints: [Vec<u8>; PARTITIONS as usize],
    pub(crate) is_mistaken: bool,
    lives: u8,
    takeovers: u8,
    crashes: u8,
    mishaps: u8,
}

/// Owners and flights are named by where they are in the state's lists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// An owner comes to life and goes for these partitions.
    Start(Vec<u16>),
    /// An owner is no more; what it has sent is still on its way.
    Crash(usize),
    /// An attempt reaches the stream, and its owner hears the answer if it still waits for it.
    Land(usize),
    /// An owner waits for the answer no longer.
    GiveUp(usize),
    /// The server refuses an attempt for a reason of its own.
    Refuse(usize),
    /// The leader answers what an owner has asked.
    Answer(usize),
    /// A leader that was deposed answers instead.
    AnswerStale(usize),
    /// Nobody answers a commit's reading.
    Silence(usize),
    /// An owner begins a commit of so many events.
    Commit(usize, usize),
    /// An owner stores a checkpoint of a partition behind an entry.
    Keep(usize, u16, u8),
}

impl State {
    /// The partitions that nobody takes for his own.
    fn orphans(&self) -> Vec<u16> {
        (0..PARTITIONS).filter(|partition| !self.owners.iter().any(|owner| owner.claims(*partition))).collect()
    }

    /// What happens if nothing is in the way, sooner or later.
    fn going_on(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        let orphans = self.orphans();
        if !orphans.is_empty() {
            actions.push(Action::Start(orphans));
        }
        actions.extend((0..self.flights.len()).map(Action::Land));
        for (at, owner) in self.owners.iter().enumerate() {
            if owner.asks().is_some() {
                actions.push(Action::Answer(at));
            }
            if let Some(live) = owner.live()
                && live.lane == Lane::Idle
            {
                // Either only one entry was read until now, or all that a batch holds.
                let first = live.waiting().next().map_or(0, |event| event.place.entry);
                let few = live.waiting().take_while(|event| event.place.entry == first).count();
                let many = live.waiting().count().min(bounds.batch_events);
                actions.extend((many > 0).then_some(Action::Commit(at, many)));
                actions.extend((few < many).then_some(Action::Commit(at, few)));
            }
        }
    }

    /// Whether nothing is left to do or to come.
    pub(crate) fn is_at_rest(&self, bounds: &Bounds) -> bool {
        let mut actions = Vec::new();
        self.going_on(bounds, &mut actions);
        actions.is_empty()
    }

    fn takeovers(&self, actions: &mut Vec<Action>) {
        for wanted in [vec![0], vec![1], vec![0, 1]] {
            if wanted.iter().all(|partition| self.owners.iter().any(|owner| owner.claims(*partition))) {
                actions.push(Action::Start(wanted));
            }
        }
    }

    fn mishaps(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for (at, flight) in self.flights.iter().enumerate() {
            if flight.is_awaited {
                actions.extend([Action::GiveUp(at), Action::Refuse(at)]);
            }
        }
        for (at, owner) in self.owners.iter().enumerate() {
            let stale = owner.asks().and_then(|partition| self.stream.stale_progress(partition));
            actions.extend((bounds.deposed && stale.is_some()).then_some(Action::AnswerStale(at)));
            actions.extend(owner.reads_for_a_commit().then_some(Action::Silence(at)));
        }
    }

    fn keeps(&self, mutation: Mutation, actions: &mut Vec<Action>) {
        for (at, owner) in self.owners.iter().enumerate() {
            let Some(live) = owner.live() else { continue };
            for partition in 0..PARTITIONS {
                let confirmed = live.held[usize::from(partition)].as_ref().map(|held| held.reached);
                let on_its_way = match &live.lane {
                    Lane::Committing(work) if mutation == Mutation::EarlyCheckpoint => {
                        let mut parts = work.batch.parts.iter().zip(&work.batch.places);
                        parts.find(|(part, _)| part.partition == partition).map(|(_, place)| *place)
                    }
                    _ => None,
                };
                let place = on_its_way.or(confirmed).filter(|place| place.is_between_entries(partition));
                if let Some(Place { entry, .. }) = place
                    && entry > 0
                    && !self.checkpoints[usize::from(partition)].contains(&entry)
                {
                    actions.push(Action::Keep(at, partition, entry));
                }
            }
        }
    }

    /// Lets an owner do something, and takes what comes of it.
    fn with_owner(&mut self, at: usize, mutation: Mutation, act: impl FnOnce(&mut Owner, &mut Effects<'_>)) {
        let mut effects = Effects { mutation, checkpoints: &self.checkpoints, sent: Vec::new(), is_mistaken: false };
        act(&mut self.owners[at], &mut effects);
        let Effects { sent, is_mistaken, .. } = effects;
        self.flights.extend(sent);
        self.is_mistaken |= is_mistaken;
    }

    fn owner_of(&self, flight: &Flight) -> usize {
        let of_it = |owner: &Owner| owner.life == flight.batch.life;
        self.owners.iter().position(of_it).expect("an answer is awaited by somebody who lives")
    }

    /// Leaves out what makes no difference any more, so that equal states are equal.
    fn tidy(&mut self, checks: bool) {
        self.owners.retain(|owner| !owner.live().is_some_and(|live| live.is_over() && live.lane == Lane::Idle));
        let lives: Vec<u8> = self.owners.iter().map(|owner| owner.life).collect();
        for flight in &mut self.flights {
            flight.is_awaited &= lives.contains(&flight.batch.life);
        }
        self.flights.sort_by(|one, other| one.id.cmp(&other.id));
        if checks {
            // It will be refused, and nobody hears of it.
            let stream = &self.stream;
            self.flights.retain(|flight| flight.is_awaited || !stream.is_stale(&flight.batch));
            // Of two attempts with the same content the first to come is the last.
            self.flights.dedup_by(|one, other| !one.is_awaited && !other.is_awaited && one.batch == other.batch);
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { takeovers, crashes, mishaps, .. } = self.bounds;
        let stream = Stream::default();
        let (flights, owners, checkpoints) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        let is_mistaken = false;
        vec![State { stream, flights, owners, checkpoints, is_mistaken, lives: 0, takeovers, crashes, mishaps }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.going_on(&self.bounds, actions);
        if state.takeovers > 0 {
            state.takeovers(actions);
        }
        if state.crashes > 0 {
            // Who has sent nothing yet has done nothing that could be seen.
            let has_sent = |owner: &Owner| !matches!(owner.phase, Phase::Looking { .. });
            let crash = |(at, owner)| has_sent(owner).then_some(Action::Crash(at));
            actions.extend(state.owners.iter().enumerate().filter_map(crash));
        }
        if state.mishaps > 0 {
            state.mishaps(&self.bounds, actions);
        }
        if self.bounds.checkpoints {
            state.keeps(self.mutation, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let mutation = self.mutation;
        let checks = mutation != Mutation::NoExpectations;
        match action {
            Action::Start(wanted) => {
                if wanted.iter().any(|partition| last.owners.iter().any(|owner| owner.claims(*partition))) {
                    state.takeovers -= 1;
                }
                state.lives += 1;
                state.owners.push(Owner::new(state.lives, wanted));
            }
            Action::Crash(at) => {
                state.crashes -= 1;
                state.owners.remove(at);
            }
            Action::Land(at) => {
                let flight = state.flights.remove(at);
                let outcome = state.stream.land(&flight.batch, checks, self.bounds.deposed);
                if flight.is_awaited {
                    let at = state.owner_of(&flight);
                    state.with_owner(at, mutation, |owner, effects| owner.hear(outcome, effects));
                }
            }
            Action::GiveUp(at) => {
                state.mishaps -= 1;
                state.flights[at].is_awaited = false;
                let at = state.owner_of(&state.flights[at]);
                state.with_owner(at, mutation, |owner, effects| owner.hear(Outcome::Unknown, effects));
            }
            Action::Refuse(at) => {
                state.mishaps -= 1;
                let flight = state.flights.remove(at);
                let refused = Outcome::Refused { code: INCOMPLETE, description: "incomplete".into() };
                let at = state.owner_of(&flight);
                state.with_owner(at, mutation, |owner, effects| owner.hear(refused, effects));
            }
            Action::Answer(at) => {
                let answer = state.owners[at].asks().and_then(|partition| state.stream.progress(partition)).cloned();
                state.with_owner(at, mutation, |owner, effects| owner.answer(answer, effects));
            }
            Action::AnswerStale(at) => {
                state.mishaps -= 1;
                let stale = state.owners[at].asks().and_then(|partition| state.stream.stale_progress(partition));
                let answer = stale?.cloned();
                state.with_owner(at, mutation, |owner, effects| owner.answer(answer, effects));
            }
            Action::Silence(at) => {
                state.mishaps -= 1;
                state.with_owner(at, mutation, |owner, effects| owner.hear(Outcome::ReadFailed, effects));
            }
            Action::Commit(at, count) => {
                state.with_owner(at, mutation, |owner, effects| owner.commit(count, effects));
            }
            Action::Keep(_, partition, entry) => {
                let kept = &mut state.checkpoints[usize::from(partition)];
                kept.push(entry);
                kept.sort_unstable();
            }
        }
        state.tidy(checks);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        facts::all(self)
    }
}

/// What the server answers where messages of a batch have not come: it has stored none of them.
const INCOMPLETE: u64 = 10_176;
