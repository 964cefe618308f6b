//! Reservations: who is held for which question, so that two callers never ring one person.
//!
//! The bucket `presence_reservations` has two keys of each: `<tenant>.user.<user>` says whose it is and `<tenant>.id.<id>` who that
//! is. The first decides, by compare-and-set; the second only finds it again. Both vanish by themselves, at most a second later
//! than they end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Nats, names};
use crate::model::Millis;

/// How long one question to the bucket may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Why a reservation can't be made, found or released; whether it was is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bucket {bucket} can't be used: {0}", bucket = names::RESERVATIONS_BUCKET)]
pub struct ReservationError(String);

/// What a user's key holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The question whose it is.
    pub id: String,
    /// For how long from when it was stored, in milliseconds; 0: it was released.
    pub lasts_ms: u64,
}

/// A user's key as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Who holds the user, and until when by the server's time; `None`: nobody did.
    pub held: Option<(Reservation, Millis)>,
    /// The revision that it has to have for a change; 0: it has none.
    revision: u64,
}

impl Found {
    /// Whether somebody else than `id` holds the user at `now`, in the log's time. One that lags behind holds longer, not shorter.
    #[must_use]
    pub fn is_held_by_another(&self, id: &str, now: Millis) -> bool {
        self.held.as_ref().is_some_and(|(held, until_ms)| held.id != id && held.lasts_ms > 0 && *until_ms > now)
    }

    /// Whether the question `id` holds the user, or did last.
    #[must_use]
    pub fn is_of(&self, id: &str) -> bool {
        self.held.as_ref().is_some_and(|(held, _)| held.id == id)
    }
}

/// The key by which a question's reservation is found. Any text may be an id: bytes that no key may have are escaped.
fn id_key(tenant: &str, id: &str) -> String {
    use std::fmt::Write;
    let mut key = format!("{tenant}.id.");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            key.push(byte.into());
        } else {
            write!(key, "={byte:02X}").expect("a string takes all");
        }
    }
    key
}

fn user_key(tenant: &str, user: &str) -> String {
    format!("{tenant}.user.{user}")
}

/// Who holds a user; tenant and user are tokens.
///
/// # Errors
/// [`ReservationError`].
pub async fn find(nats: &Nats, tenant: &str, user: &str) -> Result<Found, ReservationError> {
    let Some(Value { payload, revision, stored_ms }) = read(nats, &user_key(tenant, user)).await? else {
        return Ok(Found::default());
    };
    // What can't be read was written by a stranger: whoever comes may replace it.
    let held: Option<Reservation> = serde_json::from_slice(&payload).ok();
    let held = held.map(|held| {
        let until_ms = stored_ms.saturating_add(held.lasts_ms);
        (held, until_ms)
    });
    Ok(Found { held, revision })
}

/// The user token that the question `id` was given last, if that is not forgotten yet.
///
/// # Errors
/// [`ReservationError`].
pub async fn of_id(nats: &Nats, tenant: &str, id: &str) -> Result<Option<String>, ReservationError> {
    let found = read(nats, &id_key(tenant, id)).await?;
    Ok(found.and_then(|value| String::from_utf8(value.payload.to_vec()).ok()))
}

/// Holds a user for `reservation` if its key is as it was found. Whether it is held.
///
/// # Errors
/// [`ReservationError`].
pub async fn hold(
    nats: &Nats,
    (tenant, user): (&str, &str),
    found: &Found,
    reservation: &Reservation,
) -> Result<bool, ReservationError> {
    let lasts = Duration::from_millis(reservation.lasts_ms);
    // First how it is found again: a question that fails between the two still knows whom it may hold.
    write(nats, &id_key(tenant, &reservation.id), user.as_bytes().to_vec(), None, lasts).await?;
    let payload = serde_json::to_vec(reservation).map_err(|error| ReservationError(error.to_string()))?;
    let is_held = write(nats, &user_key(tenant, user), payload, Some(found.revision), lasts).await?;
    Ok(is_held)
}

/// Lets go whomever the question `id` holds.
///
/// # Errors
/// [`ReservationError`].
pub async fn release(nats: &Nats, tenant: &str, id: &str) -> Result<(), ReservationError> {
    let Some(user) = of_id(nats, tenant, id).await? else { return Ok(()) };
    let found = find(nats, tenant, &user).await?;
    if found.is_of(id) {
        let ended = Reservation { id: id.to_owned(), lasts_ms: 0 };
        let payload = serde_json::to_vec(&ended).map_err(|error| ReservationError(error.to_string()))?;
        // Where it is refused, somebody else has it by now.
        write(nats, &user_key(tenant, &user), payload, Some(found.revision), Duration::ZERO).await?;
    }
    Ok(())
}

fn subject(key: &str) -> String {
    format!("$KV.{}.{key}", names::RESERVATIONS_BUCKET)
}

/// A key's value.
struct Value {
    payload: Bytes,
    revision: u64,
    /// When it was stored, by the server's time.
    stored_ms: Millis,
}

/// A key's value, from the bucket's leader.
async fn read(nats: &Nats, key: &str) -> Result<Option<Value>, ReservationError> {
    let failed = |error: &dyn std::fmt::Display| ReservationError(error.to_string());
    let asked = async {
        let stream = names::bucket_stream(names::RESERVATIONS_BUCKET);
        let stream = nats.jetstream.get_stream_no_info(stream).await.map_err(|error| failed(&error))?;
        match stream.get_last_raw_message_by_subject(&subject(key)).await {
            Ok(message) => {
                let stored = SystemTime::from(message.time).duration_since(UNIX_EPOCH).unwrap_or_default();
                let stored_ms = u64::try_from(stored.as_millis()).unwrap_or(u64::MAX);
                Ok(Some(Value { payload: message.payload, revision: message.sequence, stored_ms }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    };
    timeout(ANSWER_MAX, asked).await.map_err(|_| ReservationError("it does not answer".into()))?
}

/// Writes a key that is forgotten by itself; with a revision only if it has that. Whether it was written.
async fn write(
    nats: &Nats,
    key: &str,
    payload: Vec<u8>,
    revision: Option<u64>,
    lasts: Duration,
) -> Result<bool, ReservationError> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Refusal {
        err_code: u64,
        description: String,
    }
    /// The expected sequence is another one.
    const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];
    let failed = |error: &dyn std::fmt::Display| ReservationError(error.to_string());
    let mut headers = HeaderMap::new();
    // Servers know whole seconds; what ends before is judged by its time.
    headers.insert("Nats-TTL", format!("{}s", lasts.as_secs() + 1));
    if let Some(revision) = revision {
        headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
    }
    let request = Request::new().headers(headers).payload(payload.into()).timeout(Some(ANSWER_MAX));
    let answer = nats.client.send_request(subject(key), request).await.map_err(|error| failed(&error))?;
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| failed(&error))?;
    match answer.error {
        None => Ok(true),
        Some(refusal) if WRONG_LAST_SEQUENCE.contains(&refusal.err_code) => Ok(false),
        Some(refusal) => Err(failed(&refusal.description)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_an_id() {
        assert_eq!(id_key("main", "call-7"), "main.id.call-7");
        assert_eq!(id_key("main", "a.b *>=é"), "main.id.a=2Eb=20=2A=3E=3D=C3=A9");
    }

    #[test]
    fn who_is_held_is_so_until_its_time_and_never_for_the_one_whose_it_is() {
        let found = Found { held: Some((Reservation { id: "a".into(), lasts_ms: 40 }, 100)), revision: 5 };
        assert!(found.is_held_by_another("b", 99) && !found.is_held_by_another("b", 100));
        assert!(found.is_of("a") && !found.is_of("b") && !Found::default().is_of("a"));
        assert!(!found.is_held_by_another("a", 0) && !Found::default().is_held_by_another("b", 0));
    }
}
