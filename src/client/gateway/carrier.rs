//! The task that gathers a gateway's signals and carries them to the log.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use async_nats::connection::State as Connection;
use async_nats::{Client, Request};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::batch::{self, Fate};
use super::item::Item;
use super::lane::{Lane, Learnt, Limits};
use super::{BROUGHT_MAX, BYTES_MIN, CLOSE_WITHIN, GatewayCounts, Gathering};

/// Most batches under way.
const UNDER_WAY_MAX: usize = 64;
/// Most partitions of tenants that are served: each hears an empty batch a second at least.
const LANES_MAX: usize = 4_096;
/// How often to look at all of them, at the most.
const LOOKS_APART: Duration = Duration::from_millis(5);
/// How often to look whether there is a connection again.
const RECONNECTED: Duration = Duration::from_millis(250);
/// How often to ask how many partitions the log has: once that is known, and before.
const ASK_EVERY: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(250);
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// A partition of a tenant that was brought nothing for so long is served no more: no promise of a session lasts as long.
const LET_GO_AFTER: Duration = Duration::from_secs(2 * 3_600);
/// Where too much is held, so large a part of it goes at once.
const DROP_PART: usize = 16;

/// A tenant's token, and a partition.
type Key = (Box<str>, u16);

enum Outcome {
    Batch { key: Key, partitions: u16, fate: Fate, may_be_stored: bool },
    Partitions(Option<u16>),
}

type UnderWay = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) struct Carrier {
    client: Client,
    name: String,
    limits: Limits,
    bytes_max: usize,
    held_max: usize,
    brought: mpsc::Receiver<Item>,
    /// Brought before anybody told how many partitions there are.
    early: Lane,
    lanes: BTreeMap<Key, Lane>,
    under_way: FuturesUnordered<UnderWay>,
    batches_under_way: usize,
    is_asking: bool,
    ask_at: Instant,
    is_connected: bool,
    counts: GatewayCounts,
    told: watch::Sender<GatewayCounts>,
    /// Why the latest batch was not stored.
    trouble: watch::Sender<Option<String>>,
    /// When to look at all lanes next.
    look_at: Instant,
    looked: Instant,
}

impl Carrier {
    pub(super) fn new(
        client: Client,
        name: String,
        gathering: Gathering,
        brought: mpsc::Receiver<Item>,
        told: watch::Sender<GatewayCounts>,
        trouble: watch::Sender<Option<String>>,
    ) -> Self {
        let Gathering { name: _, signals_max, bytes_max, every, held_max } = gathering;
        let now = Instant::now();
        Self {
            client,
            name,
            limits: Limits { signals: signals_max, bytes: bytes_max, every },
            bytes_max,
            held_max,
            brought,
            early: Lane::new(now),
            lanes: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            batches_under_way: 0,
            is_asking: false,
            ask_at: now,
            is_connected: true,
            counts: GatewayCounts::default(),
            told,
            trouble,
            look_at: now,
            looked: now,
        }
    }

    /// Carries until nobody brings anything any more, and then what is held.
    pub(super) async fn run(mut self) {
        let mut news = Vec::with_capacity(BROUGHT_MAX);
        loop {
            tokio::select! {
                count = self.brought.recv_many(&mut news, BROUGHT_MAX) => {
                    if count == 0 {
                        break;
                    }
                    self.take(&mut news);
                }
                Some(outcome) = self.under_way.next() => self.learn(outcome),
                () = sleep_until(self.look_at) => self.look(),
            }
            self.tell();
        }
        // Nobody comes any more: nothing waits for others.
        self.limits.every = Duration::ZERO;
        self.look_at = Instant::now();
        let until = Instant::now() + CLOSE_WITHIN;
        let rest = async {
            while self.counts.held > 0 {
                tokio::select! {
                    Some(outcome) = self.under_way.next() => self.learn(outcome),
                    () = sleep_until(self.look_at) => self.look(),
                }
                self.tell();
            }
        };
        // What is still held then is told by the counts.
        timeout_at(until, rest).await.ok();
    }

    fn tell(&mut self) {
        self.told.send_if_modified(|told| {
            let is_news = *told != self.counts;
            *told = self.counts;
            is_news
        });
    }

    fn take(&mut self, news: &mut Vec<Item>) {
        let now = Instant::now();
        self.counts.taken += news.len() as u64;
        self.counts.held += news.len() as u64;
        for item in news.drain(..) {
            self.put(item, now);
        }
        if self.counts.held > self.held_max as u64 {
            self.drop_some();
        }
    }

    /// Puts a signal where it waits, which is counted as held already.
    fn put(&mut self, item: Item, now: Instant) {
        let Some(partitions) = Some(self.counts.partitions).filter(|partitions| *partitions > 0) else {
            self.early.bring(item, now);
            return;
        };
        let key = (item.tenant.clone(), item.partition(partitions));
        if !self.lanes.contains_key(&key) && !self.make_room() {
            self.counts.held -= 1;
            self.counts.dropped += 1;
            return;
        }
        let lane = self.lanes.entry(key).or_insert_with(|| Lane::new(now));
        lane.bring(item, now);
        if let Some(due) = lane.due(self.limits, now) {
            self.look_at = self.look_at.min(due.max(self.looked + LOOKS_APART));
        }
    }

    /// Whether one lane more can be served: else the one that was idle for the longest ends.
    fn make_room(&mut self) -> bool {
        if self.lanes.len() < LANES_MAX {
            return true;
        }
        let idle = self.lanes.iter().filter(|(_, lane)| lane.len() == 0 && !lane.is_under_way());
        let Some((key, _)) = idle.min_by_key(|(_, lane)| lane.used) else { return false };
        let key = key.clone();
        self.lanes.remove(&key).is_some()
    }

    /// Too much is held: the newest of each session stays, and then the oldest go.
    fn drop_some(&mut self) {
        let mut lanes: Vec<_> = std::iter::once(&mut self.early).chain(self.lanes.values_mut()).collect();
        let mut dropped: usize = lanes.iter_mut().map(|lane| lane.drop_superseded()).sum();
        // Some more than it has to be, so that this is not done for each signal.
        let enough = self.held_max - self.held_max / DROP_PART;
        let mut over = (self.counts.held as usize - dropped).saturating_sub(enough);
        lanes.sort_by_key(|lane| lane.oldest());
        // A part of each in turn, until it is enough, or all the rest is under way.
        let mut before = usize::MAX;
        while over > 0 && over < before {
            before = over;
            for lane in &mut lanes {
                let gone = lane.drop_oldest(over.min(lane.len().div_ceil(DROP_PART)));
                (dropped, over) = (dropped + gone, over - gone);
            }
        }
        self.counts.dropped += dropped as u64;
        self.counts.held -= dropped as u64;
    }

    /// Sends what is due, and finds out when the next will be.
    fn look(&mut self) {
        let now = Instant::now();
        self.looked = now;
        let was_connected = self.is_connected;
        // The client would keep what is published, and send it late.
        self.is_connected = self.client.connection_state() == Connection::Connected;
        if !self.is_connected {
            self.look_at = now + RECONNECTED;
            return;
        }
        if !was_connected {
            self.ask_at = now;
        }
        if self.ask_at <= now && !self.is_asking {
            self.is_asking = true;
            self.under_way.push(Box::pin(ask_partitions(self.client.clone())));
        }
        let room = self.client.server_info().max_payload.saturating_sub(1_024);
        self.limits.bytes = self.bytes_max.min(room.max(BYTES_MIN));
        self.lanes.retain(|_, lane| lane.len() > 0 || lane.is_under_way() || now - lane.used < LET_GO_AFTER);
        let mut next = if self.is_asking { now + ANSWERED_WITHIN } else { self.ask_at };
        let mut free = UNDER_WAY_MAX.saturating_sub(self.batches_under_way);
        for (key, lane) in &mut self.lanes {
            let Some(due) = lane.due(self.limits, now) else { continue };
            if due > now || free == 0 {
                next = next.min(due);
                continue;
            }
            free -= 1;
            self.batches_under_way += 1;
            let may_be_stored = lane.may_be_stored();
            let outgoing = lane.send(self.limits, now);
            let (client, key, partitions) = (self.client.clone(), key.clone(), self.counts.partitions);
            let subject = format!("presence.v1.log.{}.batch.{}.{}", key.1, key.0, self.name);
            self.under_way.push(Box::pin(async move {
                let fate = batch::publish(client, subject, outgoing.payload, outgoing.behind).await;
                Outcome::Batch { key, partitions, fate, may_be_stored }
            }));
        }
        self.look_at = next.max(now + LOOKS_APART);
    }

    fn learn(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Partitions(partitions) => {
                self.is_asking = false;
                let is_known = partitions.is_some() || self.counts.partitions > 0;
                self.ask_at = now + if is_known { ASK_EVERY } else { ASK_AGAIN };
                if let Some(partitions) = partitions.filter(|partitions| *partitions != self.counts.partitions) {
                    self.part_by(partitions, now);
                }
                self.look_at = now;
            }
            Outcome::Batch { key, partitions, fate, may_be_stored } => {
                self.batches_under_way -= 1;
                // Where there are other partitions now, its signals were put elsewhere.
                let lane = self.lanes.get_mut(&key).filter(|_| partitions == self.counts.partitions);
                let Some(lane) = lane else { return };
                match lane.learn(fate, may_be_stored, now) {
                    Learnt::Stored(count) => {
                        self.counts.stored += count;
                        self.counts.held -= count;
                        self.counts.batches += 1;
                        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
                    }
                    Learnt::Again(reason) => {
                        self.counts.again += 1;
                        if reason.is_some() {
                            self.trouble.send_replace(reason);
                        }
                    }
                    Learnt::Foreign => self.counts.foreign += 1,
                }
                if let Some(due) = lane.due(self.limits, now) {
                    self.look_at = self.look_at.min(due.max(self.looked + LOOKS_APART));
                }
            }
        }
    }

    /// The log has so many partitions: all that is held is parted by them.
    fn part_by(&mut self, partitions: u16, now: Instant) {
        self.counts.partitions = partitions;
        let early = std::mem::replace(&mut self.early, Lane::new(now));
        let lanes = std::mem::take(&mut self.lanes);
        let items = lanes.into_values().chain([early]).flat_map(Lane::into_items);
        for item in items.collect::<Vec<_>>() {
            self.put(item, now);
        }
    }
}

#[derive(Deserialize)]
struct Info {
    partitions: u16,
}

/// How many partitions the log has, if an engine tells.
async fn ask_partitions(client: Client) -> Outcome {
    let request = Request::new().timeout(Some(ANSWERED_WITHIN));
    let answer = client.send_request("presence.v1.info", request).await.ok();
    let info = answer.and_then(|answer| serde_json::from_slice::<Info>(&answer.payload).ok());
    Outcome::Partitions(info.map(|info| info.partitions).filter(|partitions| *partitions > 0))
}
