//! The verb `history`: what a user was between two times, and who was here at one, from what PRESENCE_EVENTS holds. Reads
//! only, and may be asked beside an engine.

pub mod attendance;
pub mod timeline;

use serde::Deserialize;

use self::attendance::Attendance;
use self::timeline::Kept;
use crate::model::{Millis, Token, partition_of};
use crate::nats::history::{History, HistoryError, Since, Stored};
use crate::nats::{Nats, topology};
use crate::wire::ask::{AskedOf, HistoryAnswer, HistoryQuestion, UserHistory, WhoWasHere};
use crate::wire::{AskError, Encoding, ToldEvent, plain, subject};

/// What happened at some time is looked for among what was stored up to so long after it.
const LATE_MS: Millis = 60_000;

/// How far a question reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// How many partitions the log has.
    pub partitions: u16,
    /// Most messages that are read for one answer: `limits.history_events`.
    pub events_max: u64,
}

impl Reach {
    /// That of the log that is there; `None` if there is none.
    ///
    /// # Errors
    /// A [`topology::TopologyError`].
    pub async fn find(nats: &Nats, events_max: u64) -> Result<Option<Self>, topology::TopologyError> {
        Ok(topology::partitions(nats).await?.map(|partitions| Self { partitions, events_max }))
    }
}

/// Answers a question about the past of a tenant. `now_ms` is where a history ends that names no end.
///
/// # Errors
/// [`AskError::Malformed`], [`AskError::TooManyEvents`], or [`AskError::Unavailable`] where the stream can't be read. That
/// nobody was ever heard of under the tenant is no error here: nothing is kept of it, and that is the answer.
pub async fn answer(
    nats: &Nats,
    tenant: Token<'_>,
    question: &HistoryQuestion,
    now_ms: Millis,
    reach: Reach,
) -> Result<HistoryAnswer, AskError> {
    match question.check()? {
        AskedOf::User { user, from_ms, to_ms, limit } => {
            let history = of_user(nats, tenant, &user, (from_ms, to_ms), limit, now_ms, reach).await?;
            Ok(HistoryAnswer::User(history))
        }
        AskedOf::Time { at_ms, room, after, limit } => {
            let room = room.as_deref().map(Token::parse).transpose();
            let room = room.map_err(|error| AskError::Malformed(format!("room: {error}")))?;
            let attendance = Attendance::new(tenant, at_ms, room);
            let (attendance, as_of_ms) = attend(nats, attendance, at_ms, reach).await?;
            let (users, after) = attendance.page(after.as_deref(), limit);
            let room = room.map(|room| plain(room.as_str()).into_owned());
            let kept_from_ms = attendance.first_ms();
            Ok(HistoryAnswer::Time(WhoWasHere { at_ms, room, users, after, kept_from_ms, as_of_ms }))
        }
    }
}

/// All that is kept of the user is read, since what happened may be stored much later.
async fn of_user(
    nats: &Nats,
    tenant: Token<'_>,
    user: &str,
    (from_ms, to_ms): (Option<Millis>, Option<Millis>),
    limit: usize,
    now_ms: Millis,
    reach: Reach,
) -> Result<UserHistory, AskError> {
    let partition = partition_of(tenant.as_str(), user, reach.partitions);
    let filters = vec![subject::user(&subject::user_key(tenant.as_str(), user)), subject::engine(partition)];
    let mut reading = Reading::open(nats, filters, reach).await?;
    let mut kept = Kept::default();
    while let Some(chunk) = reading.next().await? {
        // What a newer version tells is passed over.
        chunk.iter().filter_map(|stored| ToldEvent::read(&stored.payload).ok()).for_each(|told| kept.observe(told));
    }
    let (first_ms, last_ms) = (kept.first_ms(), kept.last_ms());
    // This machine's clock may be behind that of the log.
    let to_ms = to_ms.unwrap_or_else(|| now_ms.max(last_ms.unwrap_or(0)).max(from_ms.unwrap_or(0)));
    let from_ms = from_ms.unwrap_or_else(|| first_ms.map_or(to_ms, |first_ms| first_ms.min(to_ms)));
    let cut_ms = reading.history.is_cut().then(|| reading.history.first_ms());
    let (segments, after) = kept.timeline(cut_ms).page(from_ms, to_ms, limit);
    Ok(UserHistory {
        user: plain(user).into_owned(),
        segments,
        after: after.map(|after| after.to_string()),
        kept_from_ms: first_ms,
        as_of_ms: reading.history.last_ms(),
    })
}

/// Reads from the beginning until nothing more is to be expected of `at_ms`; also tells up to when the stream was known.
async fn attend(
    nats: &Nats,
    mut attendance: Attendance,
    at_ms: Millis,
    reach: Reach,
) -> Result<(Attendance, Millis), AskError> {
    let mut reading = Reading::open(nats, attendance.filters(), reach).await?;
    let mut until_ms = at_ms.saturating_add(LATE_MS);
    'reading: while let Some(chunk) = reading.next().await? {
        for stored in chunk {
            if stored.ts_ms > until_ms {
                match happened_ms(&stored) {
                    Some(happened_ms) if happened_ms > at_ms => break 'reading,
                    // The engines were behind by more than that, as after a pause.
                    Some(_) => until_ms = stored.ts_ms.saturating_add(LATE_MS),
                    None => continue,
                }
            }
            attendance.observe(&stored.subject, &stored.payload);
        }
    }
    Ok((attendance, reading.history.last_ms()))
}

/// When an event happened, of whatever version it is.
fn happened_ms(stored: &Stored) -> Option<Millis> {
    #[derive(Deserialize)]
    struct Happened {
        at_ms: Millis,
    }
    Encoding::read(&stored.payload).ok().map(|happened: Happened| happened.at_ms)
}

/// What is stored, up to a limit.
struct Reading {
    history: History,
    left: u64,
    events_max: u64,
}

impl Reading {
    async fn open(nats: &Nats, filters: Vec<String>, reach: Reach) -> Result<Self, AskError> {
        let history = History::open(nats, filters, Since::All).await.map_err(unavailable)?;
        Ok(Self { history, left: reach.events_max, events_max: reach.events_max })
    }

    async fn next(&mut self) -> Result<Option<Vec<Stored>>, AskError> {
        let chunk = self.history.next().await.map_err(unavailable)?;
        let count = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.left = self.left.checked_sub(count).ok_or(AskError::TooManyEvents(self.events_max))?;
        Ok(chunk)
    }
}

fn unavailable(error: HistoryError) -> AskError {
    AskError::Unavailable(error.to_string())
}
