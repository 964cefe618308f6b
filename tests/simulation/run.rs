//! One run: a scheduler that lets owners, batches under way, clients and disasters take turns, by chance from a seed.

use presence_engine::nats::commit::protocol::{Loss, Outcome};

use crate::checks;
use crate::events::Events;
use crate::faults::Faults;
use crate::logs::{Log, Said};
use crate::owner::{End, Nats, Owner, Settings};
use crate::random::Random;
use crate::store::Store;

/// What may befall owners and streams at each step, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    pub(crate) crash: u64,
    pub(crate) rival: u64,
    pub(crate) shutdown: u64,
    /// PRESENCE_EVENTS loses its end.
    pub(crate) events_lose_end: u64,
    /// The log's beginning is taken by the retention.
    pub(crate) log_cut: u64,
    /// The log loses its end.
    pub(crate) log_loses_end: u64,
    /// The log is deleted and made anew.
    pub(crate) log_replaced: u64,
}

/// One thing that happens at one step for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Crash,
    Rival,
    Shutdown,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) fate: Fate,
    /// After so many steps of owners.
    pub(crate) blow: Option<(u64, Blow)>,
    pub(crate) tells: bool,
}

/// How much of what it is about a run has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Steps of owners, until the world came to rest.
    pub(crate) steps: u64,
    pub(crate) owners: u32,
    /// The number of the last owner that had nobody beside it when it started.
    pub(crate) alone: u32,
    pub(crate) crashes: u64,
    pub(crate) drained: u64,
    pub(crate) fenced_out: u64,
    pub(crate) refused: u64,
    pub(crate) log_lost: u64,
    /// Batches of owners that were gone: so many landed, and so many were refused.
    pub(crate) orphans_landed: u64,
    pub(crate) orphans_refused: u64,
    /// Steps with two commits of an owner under way.
    pub(crate) side_by_side: u64,
    pub(crate) messages: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.owners += other.owners;
        self.crashes += other.crashes;
        self.drained += other.drained;
        self.fenced_out += other.fenced_out;
        self.refused += other.refused;
        self.log_lost += other.log_lost;
        self.orphans_landed += other.orphans_landed;
        self.orphans_refused += other.orphans_refused;
        self.side_by_side += other.side_by_side;
        self.messages += other.messages;
    }
}

pub(crate) struct Run {
    pub(crate) plan: Plan,
    random: Random,
    pub(crate) nats: Nats,
    owners: Vec<Owner>,
    /// What is still to come.
    story: std::vec::IntoIter<Said>,
    pub(crate) seen: Seen,
}

/// More steps than any run takes.
const STEPS_MAX: u64 = 20_000;

impl Run {
    pub(crate) fn new(plan: Plan, story: Vec<Said>) -> Self {
        let (log, events, store) = (Log::new(), Events::default(), Store::default());
        let nats = Nats { log, events, store, faults: plan.faults, folded: Default::default() };
        Self {
            plan,
            random: Random::new(plan.seed),
            nats,
            owners: Vec::new(),
            story: story.into_iter(),
            seen: Seen::default(),
        }
    }

    /// Runs until everything was said and told, and one owner is left. Returns it.
    pub(crate) fn play(&mut self) -> Owner {
        while self.story.len() > 0 {
            self.turn();
        }
        let owner = self.come_to_rest();
        self.tell_stored();
        self.seen.messages = self.nats.events.stored.len() as u64;
        owner
    }

    /// Goes on with more to come, and nobody at work.
    pub(crate) fn and_then(&mut self, story: Vec<Said>) -> Owner {
        self.story = story.into_iter();
        self.play()
    }

    /// Ends an owner's life in order, with nobody beside it.
    pub(crate) fn drain(&mut self, mut owner: Owner) {
        owner.shut_down();
        while owner.end().is_none() {
            self.count();
            owner.step(&mut self.nats, &mut self.random);
        }
        assert_eq!(owner.end(), Some(&End::Drained { exactly: true }), "a drain in peace");
        checks::drained(&self.nats);
    }

    /// A life that reads nothing, as nothing has come.
    pub(crate) fn start_and_drain(&mut self) {
        self.start();
        let mut owner = self.owners.pop().expect("an owner has started");
        while owner.live().is_none() {
            self.count();
            owner.step(&mut self.nats, &mut self.random);
        }
        self.drain(owner);
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.plan.tells {
            eprintln!("{:>5}  {}", self.seen.steps, what());
        }
    }

    fn turn(&mut self) {
        self.befall();
        if !self.owners.iter().any(Owner::is_at_work) {
            self.start();
        }
        match self.random.below(100) {
            0..=14 => self.say(),
            15..=19 => self.arrive(),
            _ => {
                let at = self.random.index(self.owners.len());
                self.step(at);
            }
        }
    }

    fn say(&mut self) {
        if let Some(said) = self.story.next() {
            let seq = self.nats.log.append(&said);
            self.tell(|| format!("log {seq}: {} {:?}", said.subject, said.payload));
        }
    }

    /// A batch that is under way arrives, is refused or gets lost.
    fn arrive(&mut self) {
        let Some(flight) = self.nats.events.any_flight(&mut self.random) else {
            return;
        };
        let what = match self.random.below(10) {
            0..=5 => format!("{:?}", self.land(flight)),
            6..=7 => {
                self.nats.events.refuse(flight, 10_176);
                "refused".to_owned()
            }
            _ => {
                self.nats.events.lose(flight);
                "lost".to_owned()
            }
        };
        self.tell(|| format!("a batch under way: {what}"));
    }

    fn land(&mut self, flight: u64) -> Outcome {
        let sender = self.nats.events.sender(flight);
        let outcome = self.nats.events.land(flight, &self.nats.log);
        if !self.owners.iter().any(|owner| Some(owner.number) == sender) {
            match outcome {
                Outcome::Acked { .. } => self.seen.orphans_landed += 1,
                _ => self.seen.orphans_refused += 1,
            }
        }
        outcome
    }

    fn start(&mut self) {
        self.seen.owners += 1;
        if self.owners.is_empty() {
            self.seen.alone = self.seen.owners;
        }
        let number = self.seen.owners;
        let random = &mut self.random;
        let settings = Settings {
            batch_messages: random.pick(&[3, 4, 10, 32, 900]),
            chunk: random.pick(&[1, 1, 3, 20]),
            pending_max: random.pick(&[2, 50]),
        };
        let owner = Owner::new(number, &self.nats, settings, random);
        self.owners.push(owner);
        self.tell(|| format!("owner{number} starts"));
    }

    fn count(&mut self) {
        self.seen.steps += 1;
        assert!(self.seen.steps < STEPS_MAX, "the world does not come to rest");
    }

    fn step(&mut self, at: usize) {
        self.count();
        let owner = &mut self.owners[at];
        owner.step(&mut self.nats, &mut self.random);
        self.seen.side_by_side += u64::from(owner.lane.under_way() > 1);
        if self.plan.tells {
            eprintln!("{:>5}  owner{} {}", self.seen.steps, owner.number, owner.story());
        }
        if let Some(end) = owner.end().cloned() {
            self.tell(|| format!("owner{} is over: {end:?}", self.owners[at].number));
            match end {
                End::Drained { exactly } => {
                    self.seen.drained += 1;
                    if exactly && self.owners.len() == 1 && self.seen.owners == self.seen.alone {
                        checks::drained(&self.nats);
                    }
                }
                End::Stopped => {}
                End::Lost(loss) => {
                    self.seen.fenced_out += 1;
                    let own = format!("owner{}", self.owners[at].number);
                    let by_another = matches!(&loss, Loss::TakenOver { owner, .. } if **owner != *own);
                    assert!(by_another || self.nats.events.lost_end, "{own} gave up without a rival: {loss:?}");
                }
                End::Refused(_) => self.seen.refused += 1,
                End::LogLost => self.seen.log_lost += 1,
            }
            let owner = self.owners.remove(at);
            self.nats.events.outlives_nothing(owner.number);
        }
        if let Some((step, blow)) = self.plan.blow
            && step == self.seen.steps
        {
            self.strike(blow, at);
        }
    }

    fn strike(&mut self, blow: Blow, at: usize) {
        match blow {
            Blow::Crash => self.crash(at.min(self.owners.len().saturating_sub(1))),
            Blow::Rival => self.start(),
            Blow::Shutdown => {
                if let Some(owner) = self.owners.get_mut(at) {
                    owner.shut_down();
                    let name = owner.number;
                    self.tell(|| format!("owner{name} is told to end"));
                }
            }
        }
    }

    fn crash(&mut self, at: usize) {
        if at < self.owners.len() {
            self.seen.crashes += 1;
            let owner = self.owners.remove(at);
            self.nats.events.outlives_nothing(owner.number);
            self.tell(|| format!("owner{} crashes", owner.number));
        }
    }

    fn any_owner(&mut self) -> usize {
        self.random.index(self.owners.len().max(1))
    }

    fn befall(&mut self) {
        let fate = self.plan.fate;
        if self.random.chance(fate.crash) {
            let at = self.any_owner();
            self.strike(Blow::Crash, at);
        }
        if self.random.chance(fate.rival) && self.owners.len() < 4 {
            self.start();
        }
        if self.random.chance(fate.shutdown) {
            let at = self.any_owner();
            self.strike(Blow::Shutdown, at);
        }
        if self.random.chance(fate.events_lose_end) {
            let commits = 1 + self.random.index(6);
            self.nats.events.lose_end(commits);
            self.tell(|| format!("PRESENCE_EVENTS loses {commits} commits"));
        }
        if self.random.chance(fate.log_cut) {
            let seq = self.nats.log.identity().first_seq + self.random.below(40);
            self.nats.log.cut_before(seq);
            self.tell(|| format!("the log is cut before {seq}"));
        }
        if self.random.chance(fate.log_loses_end) {
            let count = 1 + self.random.index(8);
            self.nats.log.lose_end(count);
            self.tell(|| format!("the log loses its last {count} entries"));
        }
        if self.random.chance(fate.log_replaced) {
            self.nats.log.replace();
            self.tell(|| "the log is made anew".to_owned());
        }
    }

    /// Nothing goes wrong any more: what is under way arrives, everything is folded and told, and every owner but the one
    /// who holds the fences learns that it does not.
    fn tell_stored(&self) {
        for (at, message) in self.nats.events.stored.iter().enumerate().filter(|_| self.plan.tells) {
            let payload = String::from_utf8_lossy(&message.payload);
            eprintln!("stored {}: {} of owner{}: {payload}", at + 1, message.subject, message.owner);
        }
    }

    fn come_to_rest(&mut self) -> Owner {
        self.nats.faults = Faults::none();
        self.plan.fate = Fate::default();
        loop {
            while let Some(flight) = self.nats.events.any_flight(&mut self.random) {
                self.land(flight);
            }
            if !self.owners.iter().any(Owner::is_at_work) {
                self.start();
            }
            let busy = |owner: &Owner| !owner.rests(&self.nats.log);
            if let Some(at) = self.owners.iter().position(busy) {
                self.step(at);
            } else if self.owners.len() > 1 {
                self.count();
                // The checkpoint round, by which a zombie in a quiet partition learns of its fence.
                let at = self.random.index(self.owners.len());
                self.owners[at].keep_all();
            } else {
                return self.owners.pop().expect("an owner is at work");
            }
        }
    }
}
