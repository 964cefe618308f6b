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
