//! Between what the fold tells and what the streams hold.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::error::RuntimeError;
use super::follower::Followers;
use super::outbox::Outbox;
use super::rooms::Rooms;
use crate::fold::Partition;
use crate::model::id::escape;
use crate::model::{Address, Event, RoomPart, State, Token, partition_of};
use crate::nats::latest::{LatestError, Stored, bucket_values, latest_events};
use crate::nats::{Nats, OutMessage, names};
use crate::wire::{self, Encoding, Message, RuntimeEvent, ToldEvent, subject};

/// The messages that tell one event: itself, and behind an offline event the deletion of its key.
pub(crate) fn messages(event: &Event, encoding: Encoding) -> Vec<OutMessage> {
    wire::event::messages(event, encoding).map(|message| out(event.partition, message)).collect()
}

/// The message that tells what no entry of the log caused.
pub(crate) fn aside(event: &RuntimeEvent, encoding: Encoding) -> OutMessage {
    out(event.partition, event.message(encoding))
}

/// The message that tells what a partition contributes to a room.
pub(crate) fn partial(partition: u16, part: &RoomPart) -> OutMessage {
    out(partition, wire::event::partial(partition, part))
}

pub(crate) fn out(partition: u16, message: Message) -> OutMessage {
    let Message { subject, headers, payload } = message;
    OutMessage { partition, subject, headers, payload }
}

/// The latest told events of the sessions and users of the `wanted` partitions, by partition; of users with what they are
/// ready for, which is in no bucket.
pub(crate) async fn latest(
    nats: &Nats,
    partitions: u16,
    wanted: impl Fn(u16) -> bool,
) -> Result<BTreeMap<u16, Vec<Event>>, RuntimeError> {
    let failed = |error: LatestError| RuntimeError::Nats { what: "reading what was told", cause: error.to_string() };
    let mut by_partition: BTreeMap<u16, Vec<Event>> = BTreeMap::new();
    for filter in [subject::session(">"), subject::user(">"), subject::ready(">")] {
        let mut stored = latest_events(nats, &filter).await.map_err(failed)?;
        while let Some(chunk) = stored.next().await.map_err(failed)? {
            for Stored { subject, payload, seq, .. } in chunk {
                match ToldEvent::read(&payload).map(|told| told.recall()) {
                    Ok(Some(event)) if event.partition < partitions && wanted(event.partition) => {
                        by_partition.entry(event.partition).or_default().push(event);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        warn!(%subject, seq, %error, "passing over a told event that can't be read");
                    }
                }
            }
        }
    }
    Ok(by_partition)
}

/// A key of a bucket whose value says offline, or of a room that nobody is in: after a crash of the server its deletion may be
/// undone.
#[derive(Debug)]
pub(crate) enum Leftover {
    User { tenant: String, user: String, session: Option<String> },
    Room { tenant: String, room: String },
}

/// Most leftovers on their way from the buckets to the loop.
const LEFTOVERS_MAX: usize = 1_024;
/// Nobody waits for leftovers: for each second of reading there are so many without, since at a million keys it would otherwise take
/// half of the machine from the heartbeats just when an engine has started.
const REST: u32 = 49;
/// The longest rest, well within what the server keeps a consumer for.
const REST_MAX: Duration = Duration::from_secs(2);
/// Where a bucket can't be read on, as when the server starts again, it is read from its beginning, so often and after so long.
const TRIES: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_secs(30);

impl Leftover {
    /// Reads the buckets in the background for keys that say offline.
    pub(crate) fn find(nats: &Nats) -> mpsc::Receiver<Self> {
        let (found, leftovers) = mpsc::channel(LEFTOVERS_MAX);
        let nats = nats.clone();
        tokio::spawn(async move {
            for bucket in [names::SESSIONS_BUCKET, names::USERS_BUCKET, names::ROOMS_BUCKET] {
                for tried in 1..=TRIES {
                    let Err(error) = Self::find_in(&nats, bucket, &found).await else { break };
                    warn!(bucket, tried, %error, "leftovers not looked for; readers take offline values as absent");
                    sleep(AGAIN_AFTER).await;
                }
            }
        });
        leftovers
    }

    async fn find_in(nats: &Nats, bucket: &str, found: &mpsc::Sender<Self>) -> Result<(), LatestError> {
        let mut values = bucket_values(nats, bucket).await?;
        let mut begin = Instant::now();
        while let Some(chunk) = values.next().await? {
            for Stored { payload, deleted, .. } in chunk {
                if deleted {
                    continue;
                }
                let leftover = match ToldEvent::read(&payload) {
                    Ok(ToldEvent::Session(told)) if told.to == State::Offline => {
                        Self::of(&told.tenant, &told.user, Some(&told.session))
                    }
                    Ok(ToldEvent::User(told)) if told.to == State::Offline => Self::of(&told.tenant, &told.user, None),
                    Ok(ToldEvent::Room(told)) if told.sessions == [0; 4].into() => {
                        Self::of_room(&told.tenant, &told.room)
                    }
                    Ok(_) | Err(_) => None,
                };
                if let Some(leftover) = leftover
                    && found.send(leftover).await.is_err()
                {
                    return Ok(());
                }
            }
            sleep((begin.elapsed() * REST).min(REST_MAX)).await;
            begin = Instant::now();
        }
        Ok(())
    }

    fn of(tenant: &str, user: &str, session: Option<&str>) -> Option<Self> {
        let session = match session {
            Some(session) => Some(escape(session).ok()?),
            None => None,
        };
        Some(Self::User { tenant: escape(tenant).ok()?, user: escape(user).ok()?, session })
    }

    fn of_room(tenant: &str, room: &str) -> Option<Self> {
        Some(Self::Room { tenant: escape(tenant).ok()?, room: escape(room).ok()? })
    }

    /// Deletes the key again, if its partition is ours and its subject still offline. The log has `count` partitions.
    pub(crate) fn settle(&self, count: u16, followers: &Followers, rooms: &Rooms, outbox: &mut Outbox) {
        let (number, gone) = match self {
            Self::User { tenant, user, session } => {
                let number = partition_of(tenant, user, count);
                let Some(partition) = followers.of(number).and_then(|fleet| fleet.partition(number)) else { return };
                let Some((State::Offline, gone)) = user_state(partition, tenant, user, session.as_deref()) else {
                    return;
                };
                (number, gone)
            }
            Self::Room { tenant, room } => {
                let key = subject::room_key(tenant, room);
                if !rooms.is_told_empty(&key) {
                    return;
                }
                (partition_of(tenant, room, count), subject::gone_room(&key))
            }
        };
        debug!(subject = gone, "deleting a key that came back offline");
        outbox.tell_aside(number, vec![out(number, wire::event::gone(gone))]);
    }
}

/// The state of a user, or of a session of it, and the subject that takes its key out of its bucket.
fn user_state(partition: &Partition, tenant: &str, user: &str, session: Option<&str>) -> Option<(State, String)> {
    let names = (Token::parse(tenant).ok()?, Token::parse(user).ok()?);
    match session {
        Some(name) => {
            let mut buffer = String::new();
            let address = Address::join(&mut buffer, names.0, names.1, Token::parse(name).ok()?);
            let key = subject::session_key(tenant, user, name);
            Some((partition.session_state(address), subject::gone_session(&key)))
        }
        None => {
            let key = subject::user_key(tenant, user);
            Some((partition.user_state(names.0, names.1), subject::gone_user(&key)))
        }
    }
}
