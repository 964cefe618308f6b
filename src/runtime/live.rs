//! The engine's loop: follow the log, fold it, commit what it tells; acquire partitions and hand them over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use super::acquisition::{Acquired, Acquisition, Ground};
use super::around::Around;
use super::ask::{Asked, Interests, Lasting, Waits};
use super::census::Census;
use super::error::RuntimeError;
use super::fleet::Fleet;
use super::follower::{Follower, Followers};
use super::freshness::Freshness;
use super::keeper::{Keeper, Kept};
use super::lane::{Lane, Outcome};
use super::outbox::Outbox;
use super::patience::START_PATIENCE;
use super::restored::Restored;
use super::standing::stand_up;
use super::told;
use crate::model::{Token, partition_of};
use crate::nats::{Fence, LogMessage, LogReader, Partitions, View};
use crate::wire::Encoding;

/// The next deadline is looked for at most so often: under load entries come by the thousand, and each look wakes the
/// ticker.
const GUESS_EVERY: Duration = Duration::from_millis(10);
/// Who should own what is looked at again so often where nothing changes: what failed is tried again.
const RECONCILE_EVERY: Duration = Duration::from_secs(1);

/// When the next deadline is looked for.
struct Guess {
    /// Entries came since the last look.
    is_stale: bool,
    /// When the last of them came.
    heard: Instant,
    /// Not before this.
    next: Instant,
}

/// The loop's parts.
pub(crate) struct Live {
    pub(crate) ground: Ground,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) followers: Followers,
    pub(crate) outbox: Outbox,
    pub(crate) lane: Lane,
    pub(crate) keeper: Keeper,
    pub(crate) freshness: Freshness,
    pub(crate) census: Census,
    pub(crate) acquisition: Acquisition,
    /// Partitions that are being handed over: the position of their last snapshot, or `None` where there is none to store.
    pub(crate) leaving: BTreeMap<u16, Option<u64>>,
    /// What it is asked.
    pub(crate) questions: mpsc::Receiver<Asked>,
    /// For how long those have been ready who are waited for.
    pub(crate) lasting: Lasting,
    pub(crate) interests: Interests,
    /// Questions that wait, to be told how many.
    pub(crate) waits: Waits,
    /// Leases on their way back.
    pub(crate) releases: JoinSet<()>,
    /// When the next tick is worth something.
    pub(crate) due: watch::Sender<Option<Instant>>,
    pub(crate) encoding: Encoding,
    /// Who is in a room is told while they are no more than so many.
    pub(crate) members_max: usize,
    /// Most items that wait for their commit; above it the log is read no further.
    pub(crate) pending_max: usize,
    pub(crate) checkpoint_every: Duration,
    /// When it began.
    pub(crate) began: Instant,
}

impl Live {
    /// Runs until `shutdown` is done, then drains.
    pub(crate) async fn run(
        mut self,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
        around: &mut Around<impl FnOnce()>,
    ) -> Result<(), RuntimeError> {
        let count = self.ground.partitions;
        let mut snapshots = every(self.checkpoint_every / u32::from(count));
        let mut looks = every(RECONCILE_EVERY);
        let mut next_snapshot = 0;
        let (mut is_live, mut asked) = (false, false);
        let mut due = Guess { is_stale: false, heard: Instant::now(), next: Instant::now() };
        loop {
            if !is_live && self.is_caught_up() {
                if self.followers.fleets().all(|fleet| fleet.is_under(&around.policy)) {
                    is_live = true;
                    info!(position = self.followers.position(), "live");
                    around.tell_info.send_replace(Some(self.info(&around.info, true)));
                    around.live();
                } else if !asked {
                    asked = true;
                    around.policy_differs();
                }
            }
            self.acquisition.move_on(&mut self.lane);
            self.tell_rooms();
            self.start_commit();
            self.answer_some();
            let rooms_due = self.census.next_due();
            tokio::select! {
                biased;
                () = &mut *shutdown => return self.drain().await,
                outcome = self.lane.outcome(), if self.lane.is_busy() => self.lane_is_done(outcome?),
                changed = self.view.changed() => {
                    if changed.is_ok() {
                        self.reconcile();
                    }
                }
                _ = looks.tick() => {
                    self.reconcile();
                    self.tell_stale();
                    around.tell_info.send_replace(Some(self.info(&around.info, is_live)));
                }
                acquired = self.acquisition.step() => self.acquired(acquired, is_live)?,
                kept = self.keeper.kept() => self.kept(&kept),
                Some(_) = self.releases.join_next() => {}
                Some(leftover) = around.leftovers.recv(), if is_live && self.census.is_settled() => {
                    leftover.settle(count, &self.followers, &self.census.rooms, &mut self.outbox);
                }
                _ = snapshots.tick() => {
                    if self.outbox.len() < self.pending_max {
                        self.snapshot(next_snapshot);
                        next_snapshot = (next_snapshot + 1) % count;
                    }
                }
                () = sleep_until(due.next), if due.is_stale => self.guess_due(&mut due),
                (at, messages) = self.followers.read(), if self.outbox.len() < self.pending_max => {
                    self.fold(at, &messages?, &mut due);
                }
                Some(asked) = self.questions.recv() => self.answer(asked),
                // Last, since each turn of the loop sees to rooms anyway.
                chunk = self.census.next() => self.census.read(chunk),
                () = sleep_until(rooms_due), if self.outbox.len() < self.pending_max => {}
            }
        }
    }

    /// Whether everything that should be ours is, and has read what was in the log when it became ours.
    fn is_caught_up(&self) -> bool {
        let view = self.view.borrow();
        let is_followed = |partition: u16| self.followers.of(partition).is_some();
        view.is_settled()
            && self.acquisition.is_idle()
            && view.share(self.ground.partitions).into_iter().all(is_followed)
            && self.followers.is_caught_up()
    }

    pub(super) fn start_commit(&mut self) {
        // Fences are taken by a lane that does nothing else.
        while !self.acquisition.waits_for_lane()
            && self.lane.takes_commits()
            && let Some(batch) = self.outbox.next_batch()
        {
            let woken = self.interests.concerned(&batch, |tenant, user, each| self.each_room_of(tenant, user, each));
            self.lane.commit(batch, woken);
            self.outbox.prepare();
        }
    }

    pub(super) fn lane_is_done(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Committed { partitions, lost, woken } => {
                for lost in lost {
                    warn!(%lost, "one engine owns a partition: giving it up");
                    self.give_up(lost.partition);
                }
                self.interests.wake(woken);
                // The position advances only here, after the commit is confirmed: what was not confirmed is derived again.
                for snapshot in self.outbox.confirm(&partitions) {
                    let (partition, seq, log_time) = (snapshot.partition, snapshot.reached.seq, snapshot.reached.ts);
                    if !self.keeper.store(snapshot) {
                        self.kept(&Kept { partition, seq, log_time, is_stored: false });
                    }
                }
                self.hand_over_what_is_told();
            }
            Outcome::Fenced(fences) => self.acquisition.fenced(&self.ground, fences),
        }
    }

    /// The rooms that a user is in, each as `<tenant>.<room>`.
    fn each_room_of(&self, tenant: &str, user: &str, each: &mut dyn FnMut(&str)) {
        let (Ok(tenant), Ok(user)) = (Token::parse(tenant), Token::parse(user)) else { return };
        let number = partition_of(tenant.as_str(), user.as_str(), self.ground.partitions);
        if let Some(partition) = self.followers.of(number).and_then(|fleet| fleet.partition(number)) {
            partition.rooms_of_user(tenant, user).for_each(each);
        }
    }

    /// Puts to work what was acquired.
    fn acquired(
        &mut self,
        acquired: Result<Option<Acquired>, RuntimeError>,
        is_live: bool,
    ) -> Result<(), RuntimeError> {
        let Acquired { fences, restored, log, known: stored } = match acquired {
            Ok(None) => return Ok(()),
            Ok(Some(acquired)) => acquired,
            Err(error) if error.may_pass() && (is_live || self.began.elapsed() < START_PATIENCE) => {
                warn!(%error, "partitions can't be acquired, trying again");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.keeper.learn(stored);
        self.census.begin(&fences);
        let known = Restored::latest(&restored);
        let fleet = self.stand_up(restored, &fences);
        for fence in &fences {
            let log_time = fleet.partition(fence.partition).map_or(0, crate::fold::Partition::log_time);
            self.freshness.begin(fence.partition, fence.epoch, log_time, Instant::now());
        }
        let (nats, next_seq) = (&self.ground.nats, fleet.next_seq().max(log.first_seq));
        let reader = LogReader::start_knowing(nats, &log.created, Partitions::All, next_seq, known);
        self.followers.add(Follower::new(fleet, reader, log.last_seq));
        self.reconcile();
        Ok(())
    }

    fn stand_up(&mut self, restored: Vec<Restored>, fences: &[Fence]) -> Fleet {
        stand_up(restored, fences, self.ground.partitions, self.encoding, self.members_max, &mut self.outbox)
    }

    fn snapshot(&mut self, partition: u16) {
        let reached = self.followers.reached(partition);
        // In the midst of a replay it would be passed over, and the next one would have to be whole.
        if self.freshness.may_take(partition)
            && reached.is_some_and(|reached| self.outbox.may_keep(partition, reached))
            && let Some(snapshot) = self.followers.snapshot(partition)
            && self.outbox.keep(snapshot)
        {
            self.freshness.taken(partition);
        }
    }

    /// Tells which partitions have had no checkpoint for long.
    fn tell_stale(&mut self) {
        let of = |number| {
            let partition = self.followers.of(number)?.partition(number)?;
            Some((partition.position(), partition.log_time()))
        };
        for event in self.freshness.stale(Instant::now(), of) {
            warn!(partition = event.partition, since_ms = event.from_ms, "no checkpoint was stored for long");
            self.outbox.tell_aside(event.partition, vec![told::aside(&event, self.encoding)]);
        }
    }

    fn fold(&mut self, at: usize, messages: &[LogMessage], due: &mut Guess) {
        self.followers.fold(at, messages, &mut self.outbox);
        (due.is_stale, due.heard) = (true, Instant::now());
    }

    /// Says when the next tick is worth something. The local clock decides only that, never what the tick means.
    fn guess_due(&self, due: &mut Guess) {
        // A millisecond more, since log times are truncated.
        let after = |due: u64, log_time: u64| Duration::from_millis(due.saturating_sub(log_time) + 1);
        let next = self.followers.fleets().filter_map(|fleet| Some(after(fleet.next_due()?, fleet.log_time()))).min();
        self.due.send_replace(next.map(|after| due.heard + after));
        (due.is_stale, due.next) = (false, Instant::now() + GUESS_EVERY);
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
