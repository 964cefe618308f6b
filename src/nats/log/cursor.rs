//! What of the deliveries is new, double or missing. Pure.

use crate::nats::pull::Delivery;

/// Where a reader is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The sequence that is to be read next; those below were handed out.
    next_seq: u64,
    /// The number of the consumer's next delivery.
    next_delivery: u64,
}

/// What to do with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next one.
    Take,
    /// It is new, but entries before it are not there: they were dropped by the log, or belong to others.
    TakeAfter {
        /// The first that is missing.
        missing: u64,
    },
    /// It was handed out before.
    Drop,
    /// A delivery before it was lost on its way: this consumer is of no more use.
    Lost,
}

impl Cursor {
    pub(super) fn new(next_seq: u64) -> Self {
        Self { next_seq, next_delivery: 1 }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// A new consumer counts from 1.
    pub(super) fn restart(&mut self) {
        self.next_delivery = 1;
    }

    pub(super) fn judge(&mut self, delivery: Delivery) -> Verdict {
        if delivery.consumer_seq != self.next_delivery {
            return Verdict::Lost;
        }
        self.next_delivery += 1;
        if delivery.stream_seq < self.next_seq {
            return Verdict::Drop;
        }
        let missing = self.next_seq;
        self.next_seq = delivery.stream_seq + 1;
        if delivery.stream_seq == missing { Verdict::Take } else { Verdict::TakeAfter { missing } }
    }

    /// Whether everything came that the consumer says it has delivered.
    pub(super) fn has_all(&self, last_delivery: u64) -> bool {
        last_delivery < self.next_delivery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(stream_seq: u64, consumer_seq: u64) -> Delivery {
        Delivery { stream_seq, consumer_seq, ts_nanos: 0, pending: 0 }
    }

    #[test]
    fn a_lost_delivery_is_noticed_and_what_comes_again_is_dropped() {
        let mut cursor = Cursor::new(10);
        assert_eq!(cursor.judge(delivery(10, 1)), Verdict::Take);
        assert_eq!(cursor.judge(delivery(12, 3)), Verdict::Lost);
        assert_eq!(cursor.next_seq(), 11);
        cursor.restart();
        assert_eq!(cursor.judge(delivery(10, 1)), Verdict::Drop);
        assert_eq!(cursor.judge(delivery(11, 2)), Verdict::Take);
        assert_eq!(cursor.judge(delivery(14, 3)), Verdict::TakeAfter { missing: 12 });
        assert_eq!(cursor.judge(delivery(15, 4)), Verdict::Take);
    }

    #[test]
    fn a_heartbeat_tells_of_lost_deliveries_at_the_end() {
        let mut cursor = Cursor::new(1);
        assert!(cursor.has_all(0));
        cursor.judge(delivery(1, 1));
        assert!(cursor.has_all(1));
        assert!(!cursor.has_all(2));
    }
}
