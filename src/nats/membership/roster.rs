//! Who lives, judged by what the own watch proves. It knows no clock: every moment is given to it, as the time since the
//! observer began, by a clock that only goes forward.
//!
//! The own renewals come back through the same watch as everybody's entries, in one order. So one that came back proves that
//! everything that was written before it has been seen; and only then somebody is judged. If they stop coming (a dead
//! server, a cut wire, a watch that stalls, an engine that was stopped and goes on), nothing is judged, and afterwards all
//! silences start anew.

use std::collections::BTreeMap;
use std::time::Duration;

/// So long is remembered who is gone, so that an entry that is seen again doesn't make it live: longer than the bucket
/// keeps an entry.
const GONE_KEPT: Duration = Duration::from_secs(120);
/// So many own renewals have to come back, one after the other, before anything can be judged.
const PROOFS: u8 = 2;

/// Who takes part, and whether anything can be said of it.
#[derive(Debug)]
pub(super) struct Roster {
    own: String,
    lease_ttl: Duration,
    /// The revision of the own entry that came back last.
    revision: u64,
    /// When that was, or when the watch began to tell.
    heard: Duration,
    /// How many came back without a gap, up to [`PROOFS`].
    proofs: u8,
    others: BTreeMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    revision: u64,
    /// Since when it is silent, or gone.
    since: Duration,
    life: Life,
    /// Whether its entry was seen to come, by this engine. What was there when it began may be of the dead.
    is_proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    /// Its entry did not change for `lease_ttl`.
    Silent,
    /// Its entry was deleted. Names are of one life, so this is for good.
    Left,
}

impl Roster {
    pub(super) fn new(own: &str, lease_ttl: Duration) -> Self {
        Self { own: own.into(), lease_ttl, revision: 0, heard: Duration::ZERO, proofs: 0, others: BTreeMap::new() }
    }

    /// A new watch begins to tell; what is there follows. Nothing is judged until own renewals come back through it. Whoever
    /// has no entry there is not dead for it: the bucket may be another one.
    pub(super) fn restart(&mut self, now: Duration) {
        self.proofs = 0;
        self.begin_anew(now);
    }

    /// The own entry is there already: it was not this watch that brought it back.
    pub(super) fn own_is_there(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// An entry is seen, of whomever; one that has not changed says nothing.
    pub(super) fn seen(&mut self, name: &str, revision: u64, now: Duration) {
        if name == self.own {
            if revision != self.revision {
                self.revision = revision;
                self.came_back(now);
            }
            return;
        }
        match self.others.get_mut(name) {
            Some(other) if other.revision == revision => {}
            Some(other) => *other = Other { revision, since: now, life: Life::Lives, is_proven: true },
            None => self.enter(name, Other { revision, since: now, life: Life::Lives, is_proven: true }),
        }
    }

    /// An entry is there as a watch begins: of somebody who is known already, or of whom it is not known whether it lives.
    pub(super) fn was_there(&mut self, name: &str, revision: u64, now: Duration) {
        if self.others.contains_key(name) {
            self.seen(name, revision, now);
        } else {
            self.enter(name, Other { revision, since: now, life: Life::Lives, is_proven: false });
        }
    }

    fn enter(&mut self, name: &str, other: Other) {
        self.others.insert(name.into(), other);
    }

    /// An entry was deleted. If it is the own one, the next renewal writes it again.
    pub(super) fn deleted(&mut self, name: &str, revision: u64, now: Duration) {
        if name != self.own {
            self.enter(name, Other { revision, since: now, life: Life::Left, is_proven: true });
        }
    }

    /// Somebody took a lease, which only who lives does; its entry may still be on its way, since leases come by another
    /// watch.
    pub(super) fn took_a_lease(&mut self, name: &str, now: Duration) {
        if name == self.own {
            return;
        }
        let other = self.others.entry(name.into()).or_insert(Other {
            revision: 0,
            since: now,
            life: Life::Lives,
            is_proven: true,
        });
        if other.life != Life::Left {
            (other.since, other.life, other.is_proven) = (now, Life::Lives, true);
        }
    }

    /// Whether what is known can be acted on: own renewals came back, the last one not long ago.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.proofs >= PROOFS && !self.is_gap(now)
    }

    /// How long no own renewal came back.
    pub(super) fn quiet(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Those who live, the own name included.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, other)| other.life == Life::Lives && other.is_proven);
        others.map(|(name, _)| name.as_str()).chain([self.own.as_str()])
    }

    /// Those of whom it is not known yet whether they live: nobody counts on them, and what they hold is not free.
    pub(super) fn unproven(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, other)| other.life == Life::Lives && !other.is_proven);
        others.map(|(name, _)| name.as_str())
    }

    fn came_back(&mut self, now: Duration) {
        if self.is_gap(now) {
            self.begin_anew(now);
            self.proofs = 1;
            return;
        }
        self.heard = now;
        self.proofs = PROOFS.min(self.proofs + 1);
        if self.proofs >= PROOFS {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Duration) {
        for other in self.others.values_mut() {
            if other.life == Life::Lives && now.saturating_sub(other.since) >= self.lease_ttl {
                (other.since, other.life) = (now, Life::Silent);
            }
        }
        self.others.retain(|_, other| other.life == Life::Lives || now.saturating_sub(other.since) < GONE_KEPT);
    }

    fn is_gap(&self, now: Duration) -> bool {
        self.quiet(now) > self.lease_ttl / 2
    }

    fn begin_anew(&mut self, now: Duration) {
        self.heard = now;
        for other in self.others.values_mut().filter(|other| other.life == Life::Lives) {
            other.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TTL: u64 = 3_000;

    /// A roster of `me`, with a time in milliseconds that the test moves.
    struct Observer {
        roster: Roster,
        now: u64,
        revision: u64,
    }

    impl Observer {
        fn new() -> Self {
            let mut roster = Roster::new("me", Duration::from_millis(TTL));
            roster.restart(Duration::ZERO);
            Self { roster, now: 0, revision: 0 }
        }

        fn time(&self) -> Duration {
            Duration::from_millis(self.now)
        }

        /// An entry of `name` comes, written anew.
        fn renewal(&mut self, name: &str) {
            self.revision += 1;
            self.roster.seen(name, self.revision, self.time());
        }

        /// Own renewals come back every half second for `ms`, and those of `others` with them.
        fn pass(&mut self, ms: u64, others: &[&str]) {
            for _ in 0..ms / 500 {
                self.now += 500;
                others.iter().for_each(|other| self.renewal(other));
                self.renewal("me");
            }
        }

        /// Time passes in which nothing comes.
        fn stall(&mut self, ms: u64) {
            self.now += ms;
        }

        fn members(&self) -> Vec<&str> {
            let mut members = self.roster.members().collect::<Vec<_>>();
            members.sort_unstable();
            members
        }

        fn is_settled(&self) -> bool {
            self.roster.is_settled(self.time())
        }
    }

    #[test]
    fn it_is_settled_once_two_own_renewals_came_back() {
        let mut me = Observer::new();
        assert!(!me.is_settled());
        me.pass(500, &[]);
        assert!(!me.is_settled());
        me.pass(500, &[]);
        assert!(me.is_settled());
        assert_eq!(me.members(), ["me"]);
    }

    #[test]
    fn the_entry_that_was_there_already_proves_nothing() {
        let mut me = Observer::new();
        me.roster.own_is_there(7);
        me.roster.seen("me", 7, me.time());
        me.roster.seen("me", 8, me.time());
        assert!(!me.is_settled());
        me.roster.seen("me", 9, me.time());
        assert!(me.is_settled());
    }

    #[test]
    fn who_is_silent_is_dead_after_the_ttl_and_not_before() {
        let mut me = Observer::new();
        me.renewal("other");
        me.pass(TTL - 500, &[]);
        assert_eq!(me.members(), ["me", "other"]);
        me.pass(500, &[]);
        assert_eq!(me.members(), ["me"]);
    }

    #[test]
    fn who_was_there_before_counts_once_it_is_renewed_and_is_not_dead_before_the_ttl() {
        let mut me = Observer::new();
        me.roster.was_there("other", 1_000, me.time());
        me.roster.was_there("dead", 1_001, me.time());
        let unproven = |me: &Observer| me.roster.unproven().map(str::to_owned).collect::<Vec<_>>();
        me.pass(500, &[]);
        assert_eq!((me.members(), unproven(&me)), (vec!["me"], vec!["dead".to_owned(), "other".to_owned()]));
        me.roster.seen("other", 1_002, me.time());
        assert_eq!((me.members(), unproven(&me)), (vec!["me", "other"], vec!["dead".to_owned()]));
        me.pass(TTL - 1_000, &["other"]);
        assert_eq!(unproven(&me), ["dead"], "what it holds is not free yet");
        me.pass(500, &["other"]);
        assert_eq!((me.members(), unproven(&me)), (vec!["me", "other"], Vec::new()));
        // By a watch that is made anew, whoever is known stays it.
        me.roster.restart(me.time());
        me.roster.was_there("other", me.revision, me.time());
        assert_eq!(me.members(), ["me", "other"]);
    }

    #[test]
    fn an_entry_that_is_seen_again_unchanged_is_no_sign_of_life() {
        let mut me = Observer::new();
        me.roster.seen("other", 1_000, me.time());
        for _ in 0..TTL / 500 {
            me.pass(500, &[]);
            me.roster.seen("other", 1_000, me.time());
        }
        assert_eq!(me.members(), ["me"]);
        me.roster.seen("other", 1_001, me.time());
        assert_eq!(me.members(), ["me", "other"], "who was taken for dead and is not comes back");
    }

    #[test]
    fn who_renews_lives_and_who_leaves_is_gone_at_once() {
        let mut me = Observer::new();
        me.pass(60_000, &["a", "b"]);
        assert_eq!(me.members(), ["a", "b", "me"]);
        me.revision += 1;
        me.roster.deleted("a", me.revision, me.time());
        assert_eq!(me.members(), ["b", "me"]);
        me.roster.deleted("me", me.revision, me.time());
        assert_eq!(me.members(), ["b", "me"]);
    }

    #[test]
    fn where_own_renewals_stop_nobody_dies_and_afterwards_all_silences_start_anew() {
        let mut me = Observer::new();
        me.pass(TTL, &["other"]);
        me.pass(TTL - 500, &[]);
        me.stall(TTL / 2);
        assert!(me.is_settled());
        me.stall(1);
        assert!(!me.is_settled());
        me.stall(60_000);
        me.renewal("me");
        assert!(!me.is_settled());
        assert_eq!(me.members(), ["me", "other"]);
        me.pass(TTL - 500, &[]);
        assert!(me.is_settled());
        assert_eq!(me.members(), ["me", "other"]);
        me.pass(500, &[]);
        assert_eq!(me.members(), ["me"]);
    }

    #[test]
    fn an_engine_that_was_stopped_and_finds_old_renewals_waiting_declares_nobody_dead() {
        let mut me = Observer::new();
        me.pass(TTL, &["other"]);
        me.stall(600_000);
        (0..20).for_each(|_| me.renewal("me"));
        assert_eq!(me.members(), ["me", "other"]);
    }

    #[test]
    fn a_new_watch_starts_all_silences_anew_and_who_has_no_entry_there_is_not_dead_for_it() {
        let mut me = Observer::new();
        me.pass(TTL, &["other"]);
        me.pass(TTL - 500, &[]);
        me.roster.restart(me.time());
        assert!(!me.is_settled());
        me.pass(TTL - 500, &[]);
        assert_eq!(me.members(), ["me", "other"]);
        me.pass(500, &[]);
        assert_eq!(me.members(), ["me"]);
    }

    #[test]
    fn who_takes_a_lease_lives_unless_it_left() {
        let mut me = Observer::new();
        me.roster.took_a_lease("unseen", me.time());
        assert_eq!(me.members(), ["me", "unseen"]);
        me.pass(TTL, &[]);
        assert_eq!(me.members(), ["me"]);
        me.roster.deleted("unseen", 1_000, me.time());
        me.roster.took_a_lease("unseen", me.time());
        assert_eq!(me.members(), ["me"]);
    }

    #[test]
    fn who_is_gone_is_forgotten_in_time() {
        let mut me = Observer::new();
        (0..100).for_each(|i| me.roster.seen(&format!("e{i}"), 1_000, Duration::ZERO));
        me.pass(TTL + 119_500, &[]);
        assert_eq!(me.roster.others.len(), 100);
        me.pass(500, &[]);
        assert_eq!(me.roster.others.len(), 0);
    }

    proptest! {
        /// Whatever the watch does, whoever's renewals it delivers before the own ones never dies.
        #[test]
        fn who_renews_before_each_judgement_never_dies(steps in vec((1..10_000_u64, 1..4_usize), 1..200)) {
            let mut me = Observer::new();
            me.renewal("other");
            for (ms, own) in steps {
                me.stall(ms);
                me.renewal("other");
                (0..own).for_each(|_| me.renewal("me"));
                prop_assert_eq!(me.members(), ["me", "other"]);
            }
        }

        /// Nobody dies within the ttl of any sign of life, nor of a gap.
        #[test]
        fn nobody_dies_before_the_ttl(steps in vec((1..4_000_u64, any::<bool>()), 1..200)) {
            let mut me = Observer::new();
            me.renewal("other");
            let (mut since, mut heard) = (0, 0);
            for (ms, other) in steps {
                me.stall(ms);
                if other {
                    me.renewal("other");
                }
                if other || me.now - heard > TTL / 2 {
                    since = me.now;
                }
                let lived = me.members().len() == 2;
                me.renewal("me");
                heard = me.now;
                let died = lived && me.members().len() == 1;
                prop_assert!(!died || me.now - since >= TTL);
            }
        }
    }
}
