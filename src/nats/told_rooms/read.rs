//! What one message of PRESENCE_EVENTS tells of rooms.

use async_nats::Message;
use tracing::warn;

use super::ToldOfRooms;
use crate::nats::pull::Delivery;
use crate::wire::{EventSubject, ToldEvent, told};

/// No count of people is above this; sums of them stay far from every limit.
const COUNT_MAX: u64 = 1 << 48;

/// What a message tells; nothing where it can't be read.
pub(super) fn read(message: &Message, delivery: Delivery) -> Option<ToldOfRooms> {
    let passed_over = |error: &dyn std::fmt::Display| {
        warn!(subject = %message.subject, seq = delivery.stream_seq, %error, "passing over what can't be read of a room");
        None
    };
    match EventSubject::parse(&message.subject) {
        EventSubject::Partial(partition, key) => {
            let part = match told::Partial::read(&message.payload).map(|partial| partial.recall()) {
                Ok(Ok(mut part)) => {
                    part.tally.ready.retain(|(_, count)| *count > 0);
                    part
                }
                Ok(Err(error)) => return passed_over(&error),
                Err(error) => return passed_over(&error),
            };
            let tally = &part.tally;
            let sums = [tally.expected_permille, tally.variance_millionths];
            if sums.into_iter().chain(tally.ready.iter().map(|(_, count)| *count)).any(|count| count > COUNT_MAX) {
                return passed_over(&format_args!("a count is above {COUNT_MAX}"));
            }
            Some(ToldOfRooms::Part { partition, key: key.into(), part, stored_ms: delivery.ts_nanos / 1_000_000 })
        }
        EventSubject::Room(key) => match ToldEvent::read(&message.payload) {
            Ok(ToldEvent::Room(told)) => Some(ToldOfRooms::Room(key.into(), told)),
            Ok(_) => passed_over(&"it is no event of a room"),
            Err(error) => passed_over(&error),
        },
        EventSubject::Member(key) => match ToldEvent::read(&message.payload) {
            Ok(ToldEvent::Member(told)) => {
                let (room, user) = key.rsplit_once('.')?;
                Some(ToldOfRooms::Member(room.into(), user.into(), told))
            }
            Ok(_) => passed_over(&"it is no event of a user in a room"),
            Err(error) => passed_over(&error),
        },
        EventSubject::Session(_)
        | EventSubject::User(_)
        | EventSubject::Ready(_)
        | EventSubject::Engine(_)
        | EventSubject::Rejected(_)
        | EventSubject::GoneSession(_)
        | EventSubject::GoneUser(_)
        | EventSubject::GoneRoom(_)
        | EventSubject::Progress(_)
        | EventSubject::Mark(_)
        | EventSubject::Other => None,
    }
}
