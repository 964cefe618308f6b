//! From a message of the log to an entry of the fold.

use std::cell::OnceCell;
use std::sync::Arc;

use super::batch::{self, Batch, Origin};
use super::subject::{LogSubject, Route};
use super::{Decoded, Ignored, Tick, policy, signal};
use crate::fold::{BatchItem, Body, Entry};
use crate::model::{Address, Beat, Millis, Policy, Rejection, Signal, Token};

/// A message as the log holds it.
#[derive(Debug, Clone, Copy)]
pub struct LogMessage<'a> {
    /// Its sequence in the log's stream.
    pub seq: u64,
    /// Its timestamp in the log, truncated to milliseconds.
    pub ts: Millis,
    /// The subject it is stored under.
    pub subject: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its `Content-Type`, if it has one.
    pub content_type: Option<&'a str>,
}

/// A message of the log, read: what an [`Entry`] borrows from. Names stay where they are, in the message's subject, so a
/// plain heartbeat is read without allocating; those of a batch's users and sessions are kept here.
#[derive(Debug, Clone)]
pub struct LogEntry<'a> {
    /// Which partitions have to apply it. The others don't see it, in no replay either.
    pub route: Route,
    /// The fields of a single signal that were dropped.
    pub ignored: Ignored,
    seq: u64,
    ts: Millis,
    said: Said<'a>,
    /// What the entry of a batch borrows, once it was asked for: its names are those in `said`.
    items: OnceCell<Vec<BatchItem<'a>>>,
}

#[derive(Debug, Clone)]
enum Said<'a> {
    Beat(Address<'a>, Beat),
    Signal(Address<'a>, Signal),
    Batch { tenant: Token<'a>, gateway: Token<'a>, batch: Batch },
    Rejected(&'a str, Rejection),
    Tick(u32),
    Policy(Arc<Policy>),
    Nothing,
}

impl<'a> LogMessage<'a> {
    /// Reads the message, of a log with so many partitions. Never fails: what can't be taken is an entry that says so.
    ///
    /// A policy that can't be used is told by partition 0 alone, so that the whole engine tells it once.
    ///
    /// ```
    /// use presence_engine::{fold::Body, wire::{LogMessage, Route}};
    /// let subject = "presence.v1.log.6.signal.acme.bob.tab";
    /// let message = LogMessage { seq: 1, ts: 1_700_000_000_000, subject, payload: br#"{"seq":5}"#, content_type: None };
    /// let entry = message.read(8);
    /// assert_eq!(entry.route, Route::Partition(6));
    /// assert!(matches!(entry.entry().body, Body::Beat(_, beat) if beat.seq == Some(5)));
    /// ```
    #[must_use]
    pub fn read(&self, partitions: u16) -> LogEntry<'a> {
        let (route, said, ignored) = match LogSubject::parse(self.subject, partitions) {
            LogSubject::Signal(partition, address) => match signal::beat(self.payload, self.content_type) {
                Some(beat) => (Route::Partition(partition), Said::Beat(address, beat), Ignored::default()),
                None => match signal::decode_carefully(self.payload, self.content_type) {
                    Ok(Decoded { signal, ignored }) => {
                        let said = match signal.plain() {
                            Some(beat) => Said::Beat(address, beat),
                            None => Said::Signal(address, signal),
                        };
                        (Route::Partition(partition), said, ignored)
                    }
                    Err(rejection) => self.rejected(partition, rejection),
                },
            },
            LogSubject::Batch(partition, tenant, gateway) => {
                match batch::decode(self.payload, self.content_type, Origin { tenant, partition, partitions }) {
                    Ok(batch) => {
                        let said = Said::Batch { tenant, gateway, batch };
                        (Route::Partition(partition), said, Ignored::default())
                    }
                    Err(rejection) => self.rejected(partition, rejection),
                }
            }
            LogSubject::Refused(partition, why) => self.rejected(partition, Rejection::Subject(why.into())),
            LogSubject::Tick => (Route::All, Said::Tick(Tick::failed(self.payload)), Ignored::default()),
            LogSubject::Policy => match policy::decode(self.payload) {
                Ok(policy) => (Route::All, Said::Policy(Arc::new(policy)), Ignored::default()),
                Err(error) => self.rejected(0, Rejection::Policy(error.to_string().into())),
            },
            LogSubject::Other(route) => (route, Said::Nothing, Ignored::default()),
        };
        LogEntry { route, ignored, seq: self.seq, ts: self.ts, said, items: OnceCell::new() }
    }

    fn rejected(&self, partition: u16, reason: Rejection) -> (Route, Said<'a>, Ignored) {
        (Route::Partition(partition), Said::Rejected(self.subject, reason), Ignored::default())
    }
}

impl<'a> LogEntry<'a> {
    /// How many fields of its signals were dropped.
    #[must_use]
    pub fn ignored_fields(&self) -> u32 {
        match &self.said {
            Said::Batch { batch, .. } => batch.ignored_fields(),
            Said::Beat(..)
            | Said::Signal(..)
            | Said::Rejected(..)
            | Said::Tick(_)
            | Said::Policy(_)
            | Said::Nothing => self.ignored.len(),
        }
    }

    /// The session that it is from, if it is one session's.
    #[must_use]
    pub fn address(&self) -> Option<Address<'a>> {
        match self.said {
            Said::Beat(address, _) | Said::Signal(address, _) => Some(address),
            Said::Batch { .. } | Said::Rejected(..) | Said::Tick(_) | Said::Policy(_) | Said::Nothing => None,
        }
    }

    /// Whether it is a gateway's batch.
    #[must_use]
    pub fn is_batch(&self) -> bool {
        match self.said {
            Said::Batch { .. } => true,
            Said::Beat(..)
            | Said::Signal(..)
            | Said::Rejected(..)
            | Said::Tick(_)
            | Said::Policy(_)
            | Said::Nothing => false,
        }
    }

    /// The entry to apply. It borrows what was read for as long as that lives, since the items of a batch borrow its names.
    #[must_use]
    pub fn entry(&'a self) -> Entry<'a> {
        let body = match &self.said {
            Said::Beat(address, beat) => Body::Beat(*address, *beat),
            Said::Signal(address, signal) => Body::Signal(*address, signal),
            Said::Batch { tenant, gateway, batch } => {
                let items = self.items.get_or_init(|| batch.items());
                Body::Batch { tenant: *tenant, gateway: *gateway, items }
            }
            Said::Rejected(subject, reason) => Body::Rejected { subject, reason: reason.clone() },
            Said::Tick(failed) => Body::Tick { failed: *failed },
            Said::Policy(policy) => Body::Policy(policy),
            Said::Nothing => Body::Other,
        };
        Entry { seq: self.seq, ts: self.ts, body }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{self, partition_of};
    use crate::wire::subject::{POLICY, TICK, log_batch, log_signal};

    fn read<'a>(subject: &'a str, payload: &'a [u8]) -> LogEntry<'a> {
        LogMessage { seq: 7, ts: 1_700_000_000_000, subject, payload, content_type: None }.read(64)
    }

    fn subject_of(user: &str) -> String {
        log_signal(partition_of("acme", user, 64), "acme", user, "tab")
    }

    fn rejection(subject: &str, payload: &[u8]) -> (Route, String) {
        let read = read(subject, payload);
        match read.entry().body {
            Body::Rejected { subject: told, reason } => {
                assert_eq!(told, subject);
                (read.route, reason.to_string())
            }
            body => panic!("{subject} is {body:?}"),
        }
    }

    #[test]
    fn a_heartbeat_reaches_its_partition_with_its_address() {
        let subject = subject_of("alice");
        let read = read(&subject, br#"{"seq":5,"state":7}"#);
        assert_eq!(read.route, Route::Partition(partition_of("acme", "alice", 64)));
        assert_eq!(read.ignored.names().collect::<Vec<_>>(), ["state"]);
        let entry = read.entry();
        assert_eq!((entry.seq, entry.ts), (7, 1_700_000_000_000));
        let Body::Beat(address, beat) = entry.body else { panic!("{entry:?}") };
        assert_eq!((address.user().as_str(), address.session().as_str()), ("alice", "tab"));
        assert_eq!(beat, Beat { epoch: None, seq: Some(5) });
    }

    #[test]
    fn what_cannot_be_taken_is_rejected_in_its_partition() {
        let subject = subject_of("alice");
        let partition = partition_of("acme", "alice", 64);
        let (route, reason) = rejection(&subject, b"{");
        assert_eq!(route, Route::Partition(partition));
        assert!(reason.starts_with("undecodable: JSON:"), "{reason}");
        let (route, reason) = rejection("presence.v1.log.9.batch.acme.gw", b"{}");
        assert_eq!(route, Route::Partition(9));
        assert_eq!(reason, "undecodable: `v` has to be the contract's version, 1");
        let (route, reason) = rejection("presence.v1.log.64.batch.acme.gw", b"{}");
        assert_eq!(route, Route::Partition(0));
        assert!(reason.starts_with("misaddressed: `64` is no partition"), "{reason}");
        let foreign = log_signal((partition + 1) % 64, "acme", "alice", "tab");
        assert!(rejection(&foreign, b"{}").1.starts_with("misaddressed: the user's partition is"));
    }

    #[test]
    fn a_batch_reaches_its_partition_with_all_its_signals() {
        let partition = partition_of("acme", "a=40b", 64);
        let subject = log_batch(partition, "acme", "gw=2E1");
        let payload = br#"{"v":1,"signals":[{"u":"a@b","s":"tab 1","seq":5,"state":7,"age_ms":40},{"u":"a@b"}]}"#;
        let read = read(&subject, payload);
        assert_eq!((read.route, read.ignored_fields()), (Route::Partition(partition), 1));
        for _ in 0..2 {
            let Body::Batch { tenant, gateway, items } = read.entry().body else { panic!("{read:?}") };
            assert_eq!((tenant.as_str(), gateway.as_str()), ("acme", "gw=2E1"));
            let [BatchItem::Signal(address, said, 40), BatchItem::Rejected(reason)] = items else {
                panic!("{items:?}")
            };
            assert_eq!(address.as_str(), "acme.a=40b.tab=201");
            assert_eq!(*said, model::Said::Beat(model::Beat { epoch: None, seq: Some(5) }));
            assert_eq!(reason.to_string(), "signals[1]: misaddressed: `s` is missing: it has to name the session");
        }
    }

    #[test]
    fn ticks_and_policies_reach_everybody() {
        let payload = Tick::new(3).to_json();
        let tick = read(TICK, &payload);
        assert_eq!(tick.route, Route::All);
        assert!(matches!(tick.entry().body, Body::Tick { failed: 3 }));
        let payload = policy::encode(&Policy::default());
        let entry = read(POLICY, &payload);
        assert_eq!(entry.route, Route::All);
        assert!(matches!(entry.entry().body, Body::Policy(policy) if **policy == Policy::default()));
    }

    #[test]
    fn an_invalid_policy_is_told_once_by_partition_0() {
        let (route, reason) = rejection(POLICY, br#"{"v":3}"#);
        assert_eq!(route, Route::Partition(0));
        assert_eq!(reason, "policy refused: version 3 of the contract, this engine reads version 1");
    }

    #[test]
    fn unknown_entries_carry_time_and_position_only() {
        for (subject, route) in [
            ("presence.v1.log.all.news", Route::All),
            ("presence.v1.log.5.news", Route::Partition(5)),
            ("presence.v1.log.64.signal.a.b.c", Route::Nobody),
        ] {
            let read = read(subject, b"\xff");
            assert_eq!(read.route, route);
            assert!(matches!(read.entry().body, Body::Other), "{subject}");
        }
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(
            subject in prop_oneof![".{0,60}", Just(TICK.to_owned()), Just(POLICY.to_owned()), "[a-z=0-9@]{1,9}".prop_map(|user| subject_of(&user)), "[0-9]{1,3}".prop_map(|partition| log_batch(partition, "acme", "gw"))],
            payload in prop::collection::vec(any::<u8>(), 0..100),
            content_type in prop::option::of(".{0,20}"),
        ) {
            let content_type = content_type.as_deref();
            let message = LogMessage { seq: 1, ts: 1, subject: &subject, payload: &payload, content_type };
            let _ = message.read(64).entry();
        }
    }
}
