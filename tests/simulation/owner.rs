//! One life of an engine: fence, restore, replay, live, drain, as `runtime` does it, but one step at a time. What decides is
//! the engine's own: the protocol, the outbox, the fleet, the judgement of checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_engine::fold::IndexKey;
use presence_engine::model::{Event, Policy};
use presence_engine::nats::commit::StoredProgress;
use presence_engine::nats::commit::protocol::Loss;
use presence_engine::nats::{Fence, LogIdentity};
use presence_engine::runtime::outbox::Outbox;
use presence_engine::runtime::restored::{Evidence, Restored};
use presence_engine::runtime::snapshot::Stored;
use presence_engine::runtime::stand_up;
use presence_engine::wire::{Encoding, ToldEvent};

use crate::events::Events;
use crate::faults::Faults;
use crate::lane::{Ended, Lane};
use crate::live::{Duty, Live};
use crate::logs::{Log, MEMBERS_MAX, PARTITIONS};
use crate::random::Random;
use crate::store::{Keeper, Store};

/// All that an owner talks to.
#[derive(Debug)]
pub(crate) struct Nats {
    pub(crate) log: Log,
    pub(crate) events: Events,
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    /// Which entry each position was to the owner that folded it: (owner, partition, generation, seq) → uid.
    pub(crate) folded: BTreeMap<(u32, u16, u32, u64), u64>,
}

/// What an owner is given at its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) batch_messages: usize,
    /// Most entries that are read at a time.
    pub(crate) chunk: u64,
    pub(crate) pending_max: usize,
}

#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) number: u32,
    settings: Settings,
    key: IndexKey,
    phase: Phase,
    pub(crate) lane: Lane,
    /// How often it has begun to take the fences.
    pub(crate) fences_tried: u32,
}

#[derive(Debug)]
enum Phase {
    Reading { log: LogIdentity, found: Vec<Option<StoredProgress>> },
    Fencing { log: LogIdentity, fences: Vec<Fence> },
    Fenced { log: LogIdentity, fences: Vec<Fence> },
    Restoring { log: LogIdentity, fences: Vec<Fence>, keeper: Keeper, restored: Vec<Restored> },
    Live(Box<Live>),
    Over(End),
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything derived is committed. `exactly`: nothing was left to replay, and the checkpoints could be stored.
    Drained {
        exactly: bool,
    },
    /// Told to end before it was live.
    Stopped,
    Lost(Loss),
    Refused(u64),
    /// The log is another one, or was cut; the process starts over.
    LogLost,
}

impl Owner {
    pub(crate) fn new(number: u32, nats: &Nats, settings: Settings, random: &mut Random) -> Self {
        let log = nats.log.identity();
        Self {
            number,
            settings,
            key: IndexKey::new(random.next(), random.next()),
            lane: Lane::new(number, &log.created),
            phase: Phase::Reading { log, found: Vec::new() },
            fences_tried: 1,
        }
    }

    pub(crate) fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether it reads the log, or is on its way to.
    pub(crate) fn is_at_work(&self) -> bool {
        match &self.phase {
            Phase::Over(_) => false,
            Phase::Live(live) => live.duty == Duty::Fold,
            _ => true,
        }
    }

    /// Whether nothing is left to do for it until something comes.
    pub(crate) fn rests(&self, log: &Log) -> bool {
        match &self.phase {
            Phase::Live(live) => {
                let read = live.duty == Duty::Fold && live.next_seq > log.last_seq() && !live.has_rooms_to_check();
                read && live.outbox.is_empty() && self.lane.is_idle() && live.keeper.is_idle()
            }
            _ => false,
        }
    }

    /// SIGTERM.
    pub(crate) fn shut_down(&mut self) {
        match &mut self.phase {
            Phase::Live(live) if live.duty == Duty::Fold => {
                live.duty = Duty::Drain;
                live.keep_all();
            }
            Phase::Live(_) | Phase::Over(_) => {}
            _ => self.phase = Phase::Over(End::Stopped),
        }
    }

    /// The checkpoint round comes by, behind the whole log.
    pub(crate) fn keep_all(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.keep_all();
        }
    }

    /// One thing that no other can come between.
    pub(crate) fn step(&mut self, nats: &mut Nats, random: &mut Random) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over(End::Stopped));
        self.phase = match phase {
            Phase::Reading { log, found } => self.read_progress(log, found, nats, random),
            Phase::Fencing { log, fences } => self.fence(log, fences, nats, random),
            // The log as it is behind the fences: whatever an owner before has told lies at or before its end.
            Phase::Fenced { log, fences } => {
                let log = LogIdentity { last_seq: nats.log.last_seq(), ..log };
                let keeper = Keeper::open(&nats.store, log.clone());
                Phase::Restoring { log, fences, keeper, restored: Vec::new() }
            }
            Phase::Restoring { log, fences, keeper, restored } => self.restore(log, fences, keeper, restored, nats),
            Phase::Live(live) => self.go_on(live, nats, random),
            Phase::Over(end) => Phase::Over(end),
        };
    }

    fn read_progress(
        &mut self,
        log: LogIdentity,
        mut found: Vec<Option<StoredProgress>>,
        nats: &mut Nats,
        random: &mut Random,
    ) -> Phase {
        if found.len() == usize::from(PARTITIONS) {
            let fences = self.lane.take_fences(found);
            return Phase::Fencing { log, fences };
        }
        if !random.chance(nats.faults.read_failed) {
            let partition = found.len() as u16;
            found.push(nats.events.answer_progress(partition, nats.faults.read_stale, random));
        }
        Phase::Reading { log, found }
    }

    fn fence(&mut self, log: LogIdentity, fences: Vec<Fence>, nats: &mut Nats, random: &mut Random) -> Phase {
        match self.lane.step(&mut nats.events, &nats.log, &nats.faults, random) {
            None => Phase::Fencing { log, fences },
            Some(Ended::Done(_)) => Phase::Fenced { log, fences },
            Some(Ended::Lost(_)) => {
                self.fences_tried += 1;
                Phase::Reading { log, found: Vec::new() }
            }
            Some(Ended::Refused(code)) => Phase::Over(End::Refused(code)),
        }
    }

    /// One partition, in the order of `runtime::restore`.
    fn restore(
        &self,
        log: LogIdentity,
        fences: Vec<Fence>,
        keeper: Keeper,
        mut restored: Vec<Restored>,
        nats: &Nats,
    ) -> Phase {
        let Some(fence) = fences.get(restored.len()) else {
            let (known, mut outbox) = (Restored::latest(&restored), Outbox::new(self.settings.batch_messages));
            let fleet = stand_up(restored, &fences, PARTITIONS, Encoding::Json, MEMBERS_MAX, &mut outbox);
            return Phase::Live(Box::new(Live::new(log, fleet, outbox, keeper, known)));
        };
        let number = fence.partition;
        restored.push(match &fence.found {
            None => Restored::fresh(number, &self.key),
            Some(progress) => {
                let ts_there = nats.log.entry(Evidence::place(&log, progress)).map(|line| line.message.ts_ms);
                let evidence = Evidence { log: &log, progress, ts_there, key: &self.key };
                one(number, &evidence, &keeper, nats).unwrap_or_else(|| {
                    let told: Vec<Event> = told_last(number, nats);
                    evidence.rebuilt(number, &Arc::new(Policy::default()), &told)
                })
            }
        });
        Phase::Restoring { log, fences, keeper, restored }
    }

    /// The loop, the lane or the keeper moves.
    fn go_on(&mut self, mut live: Box<Live>, nats: &mut Nats, random: &mut Random) -> Phase {
        while live.duty != Duty::Nothing
            && let Some(batch) = live.outbox.next_batch()
        {
            self.lane.commit(batch);
        }
        let (lane_moves, keeper_moves) = (!self.lane.is_idle(), !live.keeper.is_idle());
        match random.below(3) {
            0 if lane_moves => return self.move_lane(live, nats, random),
            1 if keeper_moves => live.move_keeper(nats, random),
            _ if live.duty == Duty::Fold && live.outbox.len() < self.settings.pending_max => {
                let goes_on = live.turn(self.number, self.settings.chunk, nats, random);
                live.duty = if goes_on { Duty::Fold } else { Duty::Nothing };
            }
            _ if lane_moves => return self.move_lane(live, nats, random),
            _ if keeper_moves => live.move_keeper(nats, random),
            _ if live.duty == Duty::Drain && live.outbox.is_empty() => {
                return Phase::Over(End::Drained { exactly: live.caught_up(nats) && live.keeper.failed == 0 });
            }
            _ if live.duty == Duty::Nothing => return Phase::Over(End::LogLost),
            _ => {}
        }
        Phase::Live(live)
    }

    fn move_lane(&mut self, mut live: Box<Live>, nats: &mut Nats, random: &mut Random) -> Phase {
        match self.lane.step(&mut nats.events, &nats.log, &nats.faults, random) {
            None => {}
            // Of a loop that has ended nobody is there to hear of it.
            Some(_) if live.duty == Duty::Nothing => {}
            Some(Ended::Done(partitions)) => live.confirm(&partitions),
            Some(Ended::Lost(loss)) => return Phase::Over(End::Lost(loss)),
            Some(Ended::Refused(code)) => return Phase::Over(End::Refused(code)),
        }
        Phase::Live(live)
    }
}

/// As `runtime::restore` does it.
fn one(number: u16, evidence: &Evidence<'_>, keeper: &Keeper, nats: &Nats) -> Option<Restored> {
    let mut below = evidence.progress.input_seq;
    while let Some((seq, bytes)) = keeper.newest(&nats.store, number, below) {
        if let Ok(stored) = Stored::decode(bytes) {
            let segments = nats.store.segments_of(number, &stored);
            let found = evidence.from_checkpoint(number, seq, &stored, &segments).expect("one version of the fold");
            if found.is_some() {
                return found;
            }
        }
        if seq == 0 {
            break;
        }
        below = seq - 1;
    }
    evidence.from_the_beginning(number).expect("one version of the fold")
}

/// What was told last of each session and user of a partition, and of what users are ready for.
fn told_last(number: u16, nats: &Nats) -> Vec<Event> {
    let kinds = ["presence.v1.session.", "presence.v1.user.", "presence.v1.ready."];
    let is_told = |subject: &str| kinds.iter().any(|kind| subject.starts_with(kind));
    let of_it = nats.events.latest().filter(|message| message.partition == number && is_told(&message.subject));
    of_it.filter_map(|message| ToldEvent::read(&message.payload).expect("what was told can be read").recall()).collect()
}

impl Owner {
    /// Where it is, in a few words.
    pub(crate) fn story(&self) -> String {
        match &self.phase {
            Phase::Reading { found, .. } => format!("reads progress {}", found.len()),
            Phase::Fencing { .. } => format!("takes the fences: {}", self.lane.story()),
            Phase::Fenced { .. } => "has the fences".to_owned(),
            Phase::Restoring { restored, .. } => match restored.last() {
                None => "restores".to_owned(),
                Some(Restored { partition, reached, lost_since, .. }) => format!(
                    "restores {} at {} behind ({}, {}), lost since {lost_since:?}",
                    partition.number(),
                    partition.position(),
                    reached.seq,
                    reached.k
                ),
            },
            Phase::Live(live) => {
                let Live { outbox, next_seq, duty, .. } = &**live;
                format!("{duty:?} at {next_seq}, {} wait: {}", outbox.len(), self.lane.story())
            }
            Phase::Over(end) => format!("{end:?}"),
        }
    }
}
