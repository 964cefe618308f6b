//! What pull consumers deliver: messages with their place in the stream, and the server's notices between them.

use async_nats::{Message, StatusCode};

/// Where a message stands: parsed from the reply subject of its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Its sequence in the stream.
    pub(super) stream_seq: u64,
    /// Its number among what this consumer delivered, from 1.
    pub(super) consumer_seq: u64,
    /// Its timestamp in the stream, in nanoseconds.
    pub(super) ts_nanos: u64,
    /// How many messages are still to come.
    pub(super) pending: u64,
}

impl Delivery {
    /// Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<nanoseconds>.<pending>`, or the same
    /// with domain and account before the stream, and perhaps a random token at the end.
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        let skip = match tokens.bytes().filter(|byte| *byte == b'.').count() {
            6 => 2,
            8.. => 4,
            _ => return None,
        };
        let mut numbers = tokens.split('.').skip(skip).map(|token| token.parse().ok());
        let _deliveries: u64 = numbers.next()??;
        Some(Self {
            stream_seq: numbers.next()??,
            consumer_seq: numbers.next()??,
            ts_nanos: numbers.next()??,
            pending: numbers.next()??,
        })
    }
}

/// What came for a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// A message.
    Message(Delivery),
    /// Nothing to deliver, but the consumer lives; holds the consumer sequence of its last delivery.
    Heartbeat {
        /// See [`Delivery::consumer_seq`].
        last_consumer_seq: Option<u64>,
    },
    /// A request ends before all of it was delivered; holds what was left of it.
    Ended {
        /// Messages.
        messages: u64,
        /// Bytes.
        bytes: u64,
    },
    /// There is nothing, and the request did not want to wait.
    Empty,
    /// The consumer is gone, or can't be asked.
    Gone,
}

impl Notice {
    pub(super) fn of(message: &Message) -> Self {
        // Whoever publishes may write a status into its headers; only a delivery has such a reply subject.
        if let Some(delivery) = message.reply.as_deref().and_then(Delivery::parse) {
            return Self::Message(delivery);
        }
        match message.status {
            None | Some(StatusCode::OK) => Self::Gone,
            Some(StatusCode::IDLE_HEARTBEAT) => {
                Self::Heartbeat { last_consumer_seq: number(message, "Nats-Last-Consumer") }
            }
            Some(StatusCode::NOT_FOUND) => Self::Empty,
            // With what was left of the request; without it, it is not about the request but about the consumer:
            // deleted, another leader, the server shuts down.
            Some(StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED) => {
                match (number(message, "Nats-Pending-Messages"), number(message, "Nats-Pending-Bytes")) {
                    (Some(messages), Some(bytes)) => Self::Ended { messages, bytes },
                    _ => Self::Gone,
                }
            }
            Some(_) => Self::Gone,
        }
    }
}

fn number(message: &Message, header: &'static str) -> Option<u64> {
    message.headers.as_ref()?.get(header)?.as_str().parse().ok()
}

/// How much was asked for and has not come yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Credit {
    messages: u64,
    bytes: u64,
}

impl Credit {
    /// A message came; `bytes` as the server counts them.
    pub(super) fn delivered(&mut self, bytes: usize) {
        self.ended(1, bytes as u64);
    }

    /// So much of a request will not come.
    pub(super) fn ended(&mut self, messages: u64, bytes: u64) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = if self.messages == 0 { 0 } else { self.bytes.saturating_sub(bytes) };
    }

    /// Asks for `messages` and `bytes` more if less than that is still to come.
    pub(super) fn refill(&mut self, messages: u64, bytes: u64) -> bool {
        if self.messages > messages || self.bytes > bytes {
            return false;
        }
        self.messages += messages;
        self.bytes += bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: Delivery =
        Delivery { stream_seq: 5, consumer_seq: 1, ts_nanos: 1_795_494_159_085_172_297, pending: 26 };

    #[test]
    fn deliveries_are_read_in_both_formats() {
        let short = "$JS.ACK.PRESENCE_LOG.MRJad53w.1.5.1.1795494159085172297.26";
        let long = "$JS.ACK.hub.ABCDEF.PRESENCE_LOG.MRJad53w.1.5.1.1795494159085172297.26";
        assert_eq!(Delivery::parse(short), Some(DELIVERY));
        assert_eq!(Delivery::parse(long), Some(DELIVERY));
        assert_eq!(Delivery::parse(&format!("{long}.random")), Some(DELIVERY));
    }

    #[test]
    fn what_is_no_delivery_is_none() {
        for reply in ["", "$JS.ACK.", "_INBOX.x", "$JS.ACK.a.b.c.d.e.f.g", "$JS.ACK.a.b.1.2.3.4.5.6"] {
            assert_eq!(Delivery::parse(reply), None, "{reply}");
        }
    }

    #[test]
    fn half_of_the_credit_is_always_under_way() {
        let mut credit = Credit::default();
        assert!(credit.refill(100, 1_000));
        assert!(credit.refill(100, 1_000), "the second half");
        assert!(!credit.refill(100, 1_000));
        for _ in 0..100 {
            credit.delivered(1);
        }
        assert!(!credit.refill(100, 1_000), "the bytes are still to come");
        credit.ended(60, 1_000);
        assert!(credit.refill(100, 1_000));
    }

    #[test]
    fn bytes_counted_otherwise_than_the_server_does_are_forgotten_with_the_last_message() {
        let mut credit = Credit::default();
        credit.refill(2, 1_000);
        credit.delivered(1);
        credit.delivered(1);
        assert_eq!(credit, Credit::default());
    }
}
