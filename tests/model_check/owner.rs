//! One life of an owner: it takes fences, replays, commits and goes on, as `nats::commit::CommitLane` and `runtime` do it.
//!
//! What it does on its own, without asking anybody, it does at once: to wait, to fold, to send what the protocol wants sent.
//! When it does that is no difference that anybody else could see: what was sent is still on its way.

use std::sync::Arc;

use presence_engine::nats::commit::protocol::{Known, Loss, Outcome, Part};

use crate::log::{Event, PARTITIONS, Place, told};
use crate::stream::{Batch, Flight, Progress};
use crate::work::{End, Work};
use crate::world::Mutation;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) life: u8,
    commits: u8,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Reads the progress of each partition that it is to own.
    Looking {
        wanted: Vec<u16>,
        found: Vec<Option<Progress>>,
    },
    Fencing {
        found: Vec<Option<Progress>>,
        work: Work,
    },
    Live(Live),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Live {
    pub(crate) held: [Option<Held>; PARTITIONS as usize],
    pub(crate) lane: Lane,
    /// It has lost a partition.
    pub(crate) is_partial: bool,
    /// It has committed something since.
    pub(crate) went_on: bool,
}

/// A partition whose fence it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    epoch: u64,
    known: Known,
    /// What is told and confirmed: behind it the fold goes on.
    pub(crate) reached: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Idle,
    Committing(Work),
    /// A partition of the batch is lost: had the batch landed before that? The progress of the other one tells.
    Asking {
        batch: Arc<Batch>,
        about: Part,
    },
    /// Only of [`Mutation::FreshExpectation`]: reads what to expect for the same content.
    Refreshing {
        batch: Arc<Batch>,
        found: Vec<Progress>,
    },
}

/// What an owner leaves behind with a step.
#[derive(Debug)]
pub(crate) struct Effects<'a> {
    pub(crate) mutation: Mutation,
    /// Which entries have a checkpoint behind them, for each partition.
    pub(crate) checkpoints: &'a [Vec<u8>; PARTITIONS as usize],
    pub(crate) sent: Vec<Flight>,
    /// It was told that it has lost a partition to nobody, or to itself.
    pub(crate) is_mistaken: bool,
}

impl Owner {
    pub(crate) fn new(life: u8, wanted: Vec<u16>) -> Self {
        Self { life, commits: 0, phase: Phase::Looking { wanted, found: Vec::new() } }
    }

    fn name(&self) -> Box<str> {
        format!("owner{}", self.life).into()
    }

    fn next_commit(&mut self) -> Box<str> {
        self.commits += 1;
        format!("{}.{}", self.name(), self.commits).into()
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) => Some(live),
            Phase::Looking { .. } | Phase::Fencing { .. } => None,
        }
    }

    fn work(&mut self) -> Option<&mut Work> {
        match &mut self.phase {
            Phase::Fencing { work, .. } | Phase::Live(Live { lane: Lane::Committing(work), .. }) => Some(work),
            Phase::Looking { .. } | Phase::Live(_) => None,
        }
    }

    /// Whether it takes this partition for its own, or is about to.
    pub(crate) fn claims(&self, partition: u16) -> bool {
        match &self.phase {
            Phase::Looking { wanted, .. } => wanted.contains(&partition),
            Phase::Fencing { work, .. } => work.batch.parts.iter().any(|part| part.partition == partition),
            Phase::Live(live) => live.held[usize::from(partition)].is_some(),
        }
    }

    /// The partition whose progress it has asked for.
    pub(crate) fn asks(&self) -> Option<u16> {
        match &self.phase {
            Phase::Looking { wanted, found } => Some(wanted[found.len()]),
            Phase::Fencing { work, .. } => work.reading,
            Phase::Live(live) => match &live.lane {
                Lane::Idle => None,
                Lane::Committing(work) => work.reading,
                Lane::Asking { about, .. } => Some(about.partition),
                Lane::Refreshing { batch, found } => Some(batch.parts[found.len()].partition),
            },
        }
    }

    /// Whether its commit waits for what it has asked. Whoever asks for himself just asks again if nobody answers.
    pub(crate) fn reads_for_a_commit(&self) -> bool {
        match &self.phase {
            Phase::Fencing { work, .. } | Phase::Live(Live { lane: Lane::Committing(work), .. }) => {
                work.reading.is_some()
            }
            Phase::Looking { .. } | Phase::Live(_) => false,
        }
    }

    /// Takes the answer to what it has asked.
    pub(crate) fn answer(&mut self, answer: Option<Progress>, effects: &mut Effects<'_>) {
        if self.work().is_some() {
            self.hear(Outcome::Progress(answer.map(Progress::found)), effects);
            return;
        }
        match &mut self.phase {
            Phase::Looking { wanted, found } => {
                found.push(answer);
                if found.len() == wanted.len() {
                    let (wanted, found) = (std::mem::take(wanted), std::mem::take(found));
                    self.fence(&wanted, found, effects);
                }
            }
            Phase::Live(Live { lane: Lane::Asking { batch, about }, .. }) => {
                let (batch, about) = (batch.clone(), about.clone());
                self.told_about(&batch, &about, answer, effects);
            }
            Phase::Live(Live { lane: Lane::Refreshing { batch, found }, .. }) => {
                found.push(answer.expect("a partition whose fence was taken has a progress"));
                if found.len() == batch.parts.len() {
                    let mut batch = Batch::clone(batch);
                    for (part, found) in batch.parts.iter_mut().zip(found) {
                        part.expected = Some(found.known());
                    }
                    self.send(batch, effects);
                }
            }
            Phase::Fencing { .. } | Phase::Live(_) => unreachable!("it has asked nothing"),
        }
    }

    /// Takes what became of its commit's last step.
    pub(crate) fn hear(&mut self, outcome: Outcome, effects: &mut Effects<'_>) {
        if effects.mutation == Mutation::FreshExpectation
            && outcome == Outcome::Unknown
            && let Phase::Live(Live { lane: lane @ Lane::Committing(_), .. }) = &mut self.phase
            && let Lane::Committing(work) = lane
        {
            *lane = Lane::Refreshing { batch: work.batch.clone(), found: Vec::new() };
            return;
        }
        let work = self.work().expect("a commit under way");
        let Some(end) = work.hear(outcome, effects) else { return };
        let batch = work.batch.clone();
        match (&mut self.phase, end) {
            (Phase::Fencing { found, .. }, End::Done(known)) => {
                let found = std::mem::take(found);
                self.phase = Phase::Live(restored(&batch, &known, &found, effects.checkpoints));
            }
            // Somebody was quicker.
            (Phase::Fencing { .. }, End::Lost(_)) => {
                let wanted = batch.parts.iter().map(|part| part.partition).collect();
                self.phase = Phase::Looking { wanted, found: Vec::new() };
            }
            (Phase::Live(live), End::Done(known)) => live.confirm(&batch, &known),
            (Phase::Live(_), End::Lost(loss)) => self.lose(&batch, &loss, effects),
            (Phase::Looking { .. }, _) => unreachable!("it has no commit under way"),
        }
    }

    fn fence(&mut self, wanted: &[u16], found: Vec<Option<Progress>>, effects: &mut Effects<'_>) {
        let part = |(partition, found): (&u16, &Option<Progress>)| Part {
            partition: *partition,
            epoch: found.as_ref().map_or(0, |found| found.epoch) + 1,
            expected: found.as_ref().map(Progress::known),
        };
        let parts = wanted.iter().zip(&found).map(part).collect();
        let places = found.iter().map(|found| found.as_ref().map_or(Place::NOTHING, |found| found.place)).collect();
        let (owner, commit) = (self.name(), self.next_commit());
        let batch = Batch { life: self.life, owner, commit, events: Vec::new(), parts, places };
        self.phase = Phase::Fencing { found, work: Work::start(batch, effects) };
    }

    /// Begins to commit the first `count` events that wait, with the progress of their partitions.
    pub(crate) fn commit(&mut self, count: usize, effects: &mut Effects<'_>) {
        let Phase::Live(live) = &self.phase else { unreachable!("it has no fence") };
        let events: Vec<Event> = live.waiting().take(count).collect();
        let (mut parts, mut places): (Vec<Part>, Vec<Place>) = (Vec::new(), Vec::new());
        for event in &events {
            let partition = event.partition;
            match parts.iter().position(|part| part.partition == partition) {
                Some(at) => places[at] = event.place,
                None => {
                    let held = live.held[usize::from(partition)].as_ref().expect("only what is held waits");
                    parts.push(Part { partition, epoch: held.epoch, expected: Some(held.known.clone()) });
                    places.push(event.place);
                }
            }
        }
        self.send(Batch { life: self.life, owner: self.name(), commit: "".into(), events, parts, places }, effects);
    }

    /// Sends a batch as a new commit.
    fn send(&mut self, batch: Batch, effects: &mut Effects<'_>) {
        let commit = self.next_commit();
        let work = Work::start(Batch { commit, ..batch }, effects);
        self.lane(Lane::Committing(work));
    }

    fn lane(&mut self, lane: Lane) {
        let Phase::Live(live) = &mut self.phase else { unreachable!("it has no lane yet") };
        live.lane = lane;
    }

    /// A commit came to nothing, or counts no more, by what happened to one of its partitions.
    fn lose(&mut self, batch: &Arc<Batch>, loss: &Loss, effects: &mut Effects<'_>) {
        let (Loss::TakenOver { partition, .. } | Loss::Vanished { partition } | Loss::Rewound { partition, .. }) =
            *loss;
        effects.is_mistaken |= !matches!(loss, Loss::TakenOver { owner, .. } if *owner != self.name());
        self.give_up(partition);
        match batch.parts.iter().find(|part| part.partition != partition) {
            Some(about) if effects.mutation == Mutation::RestUnread => self.send_rest(batch, about, effects),
            Some(about) => self.lane(Lane::Asking { batch: batch.clone(), about: about.clone() }),
            None => self.lane(Lane::Idle),
        }
    }

    fn give_up(&mut self, partition: u16) {
        let Phase::Live(live) = &mut self.phase else { unreachable!("it has no fence") };
        live.held[usize::from(partition)] = None;
        live.is_partial = true;
    }

    /// The progress of the partition that it has not lost says whether the batch had landed.
    fn told_about(&mut self, batch: &Batch, about: &Part, found: Option<Progress>, effects: &mut Effects<'_>) {
        let Phase::Live(live) = &mut self.phase else { unreachable!("it has no fence") };
        let expected = about.expected.as_ref();
        match found {
            Some(found) if found.commit == batch.commit => live.confirm(batch, &vec![found.known(); batch.parts.len()]),
            // The lost partition's expectation is stale for ever, so it has not landed and never will.
            Some(found) if expected == Some(&found.known()) => self.send_rest(batch, about, effects),
            // A deposed leader's answer: asked again.
            None => {}
            Some(found) if expected.is_some_and(|expected| found.seq < expected.seq) => {}
            Some(found) => {
                effects.is_mistaken |= found.owner == self.name();
                self.give_up(about.partition);
                self.lane(Lane::Idle);
            }
        }
    }

    fn send_rest(&mut self, batch: &Batch, rest: &Part, effects: &mut Effects<'_>) {
        let of_it = |partition: u16| partition == rest.partition;
        let events = batch.events.iter().filter(|event| of_it(event.partition)).copied().collect();
        let parts_places = batch.parts.iter().cloned().zip(batch.places.iter().copied());
        let (parts, places) = parts_places.filter(|(part, _)| of_it(part.partition)).unzip();
        self.send(Batch { events, parts, places, ..batch.clone() }, effects);
    }
}

/// Behind its fences: from the newest checkpoint of use the log is read again, and what was told is suppressed.
fn restored(
    batch: &Batch,
    known: &[Known],
    found: &[Option<Progress>],
    checkpoints: &[Vec<u8>; PARTITIONS as usize],
) -> Live {
    let mut held = [None, None];
    for ((part, known), found) in batch.parts.iter().zip(known).zip(found) {
        let told = found.as_ref().map_or(Place::NOTHING, |found| found.place);
        let behind = checkpoints[usize::from(part.partition)].iter().map(|entry| Place::behind(*entry, part.partition));
        let begin = behind.filter(|place| *place <= told).max().unwrap_or(Place::NOTHING);
        let (epoch, known) = (part.epoch, known.clone());
        held[usize::from(part.partition)] = Some(Held { epoch, known, reached: begin.max(told) });
    }
    Live { held, lane: Lane::Idle, is_partial: false, went_on: false }
}

impl Live {
    /// What the fold has to tell of the partitions that are held, in the outbox's order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Event> {
        let waits = |event: &Event| {
            let held = self.held[usize::from(event.partition)].as_ref();
            held.is_some_and(|held| held.reached < event.place)
        };
        told().filter(waits)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.held.iter().all(Option::is_none)
    }

    /// The commit is confirmed, as far as its partitions are still held.
    fn confirm(&mut self, batch: &Batch, known: &[Known]) {
        for ((part, place), known) in batch.parts.iter().zip(&batch.places).zip(known) {
            if let Some(held) = &mut self.held[usize::from(part.partition)] {
                held.known = known.clone();
                held.reached = *place;
                self.went_on |= self.is_partial;
            }
        }
        self.lane = Lane::Idle;
    }
}
