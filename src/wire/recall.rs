//! From told events back to the model: what a partition is rebuilt from.

use super::told::{Confidence, Ready, Session, ToldEvent, User};
use crate::model::id::{TokenError, escape};
use crate::model::{self, Cause, Certainty, Curve, Event, EventBody, NextState, ReadyEvent, SessionEvent, UserEvent};

impl ToldEvent {
    /// The event that was told; `None` for kinds that nothing is rebuilt from, and for names that are none.
    ///
    /// Causes are not restored: what comes next doesn't depend on why something was so.
    #[must_use]
    pub fn recall(&self) -> Option<Event> {
        let (id, at_ms, partition, seq, body) = match self {
            Self::Session(told) => {
                let body = EventBody::Session(Box::new(session(told).ok()?));
                (&told.id, told.at_ms, told.partition, told.seq, body)
            }
            Self::User(told) => {
                let body = EventBody::User(Box::new(user(told).ok()?));
                (&told.id, told.at_ms, told.partition, told.seq, body)
            }
            Self::Ready(told) => {
                let body = EventBody::Ready(Box::new(ready(told).ok()?));
                (&told.id, told.at_ms, told.partition, told.seq, body)
            }
            Self::Room(_) | Self::Member(_) | Self::Engine(_) | Self::Rejected(_) | Self::Other { .. } => {
                return None;
            }
        };
        let mut numbers = id.split('-').skip(1);
        let generation = numbers.next()?.parse().ok()?;
        let k = numbers.nth(1)?.parse().ok()?;
        Some(Event { at_ms, partition, generation, seq, k, body })
    }
}

fn session(told: &Session<'_>) -> Result<SessionEvent, TokenError> {
    Ok(SessionEvent {
        tenant: escape(&told.tenant)?.into(),
        user: escape(&told.user)?.into(),
        session: escape(&told.session)?.into(),
        incarnation: told.incarnation,
        ordinal: told.ordinal,
        cause: Cause::Joined,
        from: told.from,
        to: told.to,
        last_seen_ms: told.last_seen_ms,
        last_input_ms: told.last_input_ms,
        transport: told.transport,
        visibility: told.visibility,
        can: told.can.iter().map(|name| name.as_ref().into()).collect(),
        rooms: told.rooms.iter().map(|room| escape(room).map(Into::into)).collect::<Result<_, _>>()?,
        meta: Some(told.meta.as_str()).filter(|meta| *meta != "{}").map(Into::into),
        profile: told.profile.as_ref().into(),
        every_ms: told.every_ms,
        epoch: told.epoch,
        seq_client: told.seq_client,
        conn: told.conn.as_deref().map(Into::into),
        confidence: certainty(told.confidence.as_ref()),
        next: told.next.map(|next| NextState { to: next.to, at_ms: next.at_ms }),
    })
}

/// The curve that was told; a curve of a later version, or none, is taken as the built-in one.
fn certainty(told: Option<&Confidence<'_>>) -> Certainty {
    let usual = model::Confidence::default();
    let model = match told.map(|told| (&*told.model, told.lost_permille)) {
        Some(("hazard", Some(lost_permille))) => Curve::Hazard { lost_permille },
        Some(_) | None => Curve::HalfLife,
    };
    Certainty {
        permille: told.map_or(0, |told| told.permille),
        model,
        grace_ms: told.and_then(|told| told.grace_ms).unwrap_or(usual.grace),
        half_life_ms: told.and_then(|told| told.half_life_ms).unwrap_or(usual.half_life),
    }
}

fn user(told: &User<'_>) -> Result<UserEvent, TokenError> {
    let counts = told.sessions;
    Ok(UserEvent {
        tenant: escape(&told.tenant)?.into(),
        user: escape(&told.user)?.into(),
        incarnation: told.incarnation,
        ordinal: told.ordinal,
        cause: Cause::Joined,
        from: told.from,
        to: told.to,
        sessions: [counts.active, counts.idle, counts.away, counts.stale],
        intent: told.intent,
        intent_until_ms: told.intent_until_ms,
        last_seen_ms: told.last_seen_ms,
        last_input_ms: told.last_input_ms,
        ready: told.ready.iter().map(|name| name.as_ref().into()).collect(),
        confidence: certainty(told.confidence.as_ref()),
        next: told.next.map(|next| NextState { to: next.to, at_ms: next.at_ms }),
    })
}

/// Since when, is known of each capability that an engine tells; of one that a foreign event leaves out it is taken to be the
/// event's own time.
fn ready(told: &Ready<'_>) -> Result<ReadyEvent, TokenError> {
    let since = |name: &str| told.since_ms.get(name).copied().unwrap_or(told.at_ms);
    Ok(ReadyEvent {
        tenant: escape(&told.tenant)?.into(),
        user: escape(&told.user)?.into(),
        incarnation: told.incarnation,
        ordinal: told.ordinal,
        cause: Cause::Joined,
        from: told.from.iter().map(|name| name.as_ref().into()).collect(),
        to: told.to.iter().map(|name| (name.as_ref().into(), since(name))).collect(),
        until_ms: told.until_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Body, Entry, IndexKey, Partition};
    use crate::model::{Address, Signal};
    use crate::wire::{Encoding, event};

    #[test]
    fn what_was_told_is_recalled_but_for_its_cause() {
        let mut partition = Partition::new(3, &IndexKey::new(1, 2));
        let address = Address::parse("a=40b.u.s").unwrap();
        let signal = Signal {
            rooms: Some(["r=2E1".into()].into()),
            meta: Some(r#"{"a":1}"#.into()),
            can: Some(["audio".into()].into()),
            seq: Some(4),
            ..Signal::default()
        };
        let mut events = Vec::new();
        partition.apply(&Entry { seq: 9, ts: 1_000, body: Body::Signal(address, &signal) }, &mut events);
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            for told in &events {
                let message = event::messages(told, encoding).next().unwrap();
                assert_eq!(ToldEvent::read(&message.payload).unwrap().recall().as_ref(), Some(told));
            }
        }
    }
}
