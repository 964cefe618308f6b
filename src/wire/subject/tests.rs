use proptest::prelude::*;

use super::*;

fn refused(subject: &str) -> String {
    match LogSubject::parse(subject, 64) {
        LogSubject::Refused(_, why) => why,
        other => panic!("{subject} is {other:?}"),
    }
}

#[test]
fn a_signal_is_taken_in_the_partition_of_its_user_only() {
    let own = partition_of("acme", "carol=40x", 64);
    let subject = log_signal(own, "acme", "carol=40x", "tab");
    let LogSubject::Signal(partition, address) = LogSubject::parse(&subject, 64) else { panic!("{subject}") };
    assert_eq!((partition, address.user().as_str(), address.session().as_str()), (own, "carol=40x", "tab"));

    let other = (own + 1) % 64;
    let why = refused(&log_signal(other, "acme", "carol=40x", "tab"));
    assert_eq!(why, format!("the user's partition is {own}, the subject says {other}"));
}

#[test]
fn bad_names_are_refused_with_the_name_and_the_place() {
    assert!(refused("presence.v1.log.3.signal.acme.al=61ice.tab").starts_with("user: the escape at byte 2"));
    assert!(refused("presence.v1.log.3.signal.a@b.alice.tab").starts_with("tenant: the byte at 1"));
    assert_eq!(
        refused("presence.v1.log.3.signal.acme.alice"),
        "2 names follow `signal`, tenant, user and session have to"
    );
    assert_eq!(
        refused("presence.v1.log.3.signal.acme.alice.tab.more"),
        "4 names follow `signal`, tenant, user and session have to"
    );
    assert_eq!(refused("presence.v1.log.3.batch.acme"), "1 names follow `batch`, tenant and gateway have to");
    assert_eq!(refused("presence.v1.log.3.batch.acme.gw.1"), "3 names follow `batch`, tenant and gateway have to");
    assert!(refused("presence.v1.log.3.batch.acme.g@w").starts_with("gateway: the byte at 1"));
}

#[test]
fn a_batch_says_its_partition_tenant_and_gateway() {
    let subject = log_batch(3, "acme", "gw=2E1");
    let LogSubject::Batch(3, tenant, gateway) = LogSubject::parse(&subject, 64) else { panic!("{subject}") };
    assert_eq!((tenant.as_str(), gateway.as_str()), ("acme", "gw=2E1"));
    for (place, told) in [("64", "64"), ("03", "03"), ("x", "x"), ("1234567", "something long")] {
        let why = format!("`{told}` is no partition: this log has 0 to 63, presence.v1.info tells how many");
        let subject = log_batch(place, "acme", "gw1");
        assert_eq!(LogSubject::parse(&subject, 64), LogSubject::Refused(0, why));
    }
}

#[test]
fn entries_reach_whom_their_subject_names() {
    let parse = |subject| LogSubject::parse(subject, 64);
    assert_eq!(parse(TICK), LogSubject::Tick);
    assert_eq!(parse(POLICY), LogSubject::Policy);
    assert_eq!(parse("presence.v1.log.all.news"), LogSubject::Other(Route::All));
    assert_eq!(parse("presence.v1.log.63.news.x"), LogSubject::Other(Route::Partition(63)));
    for nobody in [
        "presence.v1.log.64.signal.acme.alice.tab",
        "presence.v1.log.03.signal.acme.alice.tab",
        "presence.v1.log.+3.signal.acme.alice.tab",
        "presence.v1.log.70000.signal.acme.alice.tab",
        "presence.v1.log..signal.acme.alice.tab",
        "presence.v1.log.3",
        "presence.v1.logs.3.signal.acme.alice.tab",
        "presence.v1.signal.acme.alice.tab",
        "",
    ] {
        assert_eq!(parse(nobody), LogSubject::Other(Route::Nobody), "{nobody}");
    }
    assert!(Route::All.reaches(7) && Route::Partition(7).reaches(7));
    assert!(!Route::Partition(7).reaches(8) && !Route::Nobody.reaches(7));
}

#[test]
fn what_is_committed_is_told_under_the_stored_subject() {
    let key = session_key("acme", "carol=40x", "tab");
    assert_eq!(commit(&session(&key)), "presence.commit.v1.session.acme.carol=40x.tab");
    assert_eq!(session(&key), "presence.v1.session.acme.carol=40x.tab");
    assert_eq!(EventSubject::parse(&session(&key)), EventSubject::Session(&key));
    assert_eq!(EventSubject::parse(&gone_session(&key)), EventSubject::GoneSession(&key));
    assert_eq!(EventSubject::parse(&user("a.b")), EventSubject::User("a.b"));
    assert_eq!(EventSubject::parse(&ready("a.b")), EventSubject::Ready("a.b"));
    assert_eq!(EventSubject::parse(&gone_user("a.b")), EventSubject::GoneUser("a.b"));
    assert_eq!(EventSubject::parse(&room("a.lobby")), EventSubject::Room("a.lobby"));
    assert_eq!(EventSubject::parse(&gone_room("a.lobby")), EventSubject::GoneRoom("a.lobby"));
    assert_eq!(EventSubject::parse(&member("a.lobby", "b")), EventSubject::Member("a.lobby.b"));
    assert_eq!(EventSubject::parse(&partial(7, "a.lobby")), EventSubject::Partial(7, "a.lobby"));
    assert_eq!(EventSubject::parse("presence.v1.partial.07.a.lobby"), EventSubject::Other);
    assert_eq!(EventSubject::parse(&engine(7)), EventSubject::Engine(7));
    assert_eq!(EventSubject::parse(&rejected(7)), EventSubject::Rejected(7));
    assert_eq!(EventSubject::parse(&progress(7)), EventSubject::Progress(7));
    assert_eq!(EventSubject::parse(&mark("Xy7")), EventSubject::Mark("Xy7"));
    assert_eq!(EventSubject::parse(&commit(&session(&key))), EventSubject::Other);
    assert_eq!(EventSubject::parse("presence.v1.session.acme.alice"), EventSubject::Other);
    assert_eq!(EventSubject::parse("presence.v1.engine.7.8"), EventSubject::Other);
}

proptest! {
    #[test]
    fn no_subject_makes_it_panic(subject in ".{0,80}", tail in "(all|[0-9]{1,6})\\.(signal|batch|tick)(\\.[A-Za-z=0-9@]{0,6}){0,5}") {
        let _ = LogSubject::parse(&subject, 64);
        let _ = LogSubject::parse(&format!("{LOG}.{tail}"), 64);
        let _ = EventSubject::parse(&subject);
        let _ = EventSubject::parse(&format!("presence.v1.{tail}"));
    }

    #[test]
    fn every_plain_name_makes_a_subject_that_parses_back(tenant in ".{1,12}", user in ".{1,12}", session in ".{1,12}") {
        let subject = signal(&tenant, &user, &session).unwrap();
        let names = subject.strip_prefix("presence.v1.signal.").unwrap();
        let parsed = address(names).unwrap();
        prop_assert_eq!(crate::model::id::unescape(parsed.user()), user);
        let stored = log_signal(partition_of(parsed.tenant().as_str(), parsed.user().as_str(), 64), parsed.tenant().as_str(), parsed.user().as_str(), parsed.session().as_str());
        prop_assert!(matches!(LogSubject::parse(&stored, 64), LogSubject::Signal(_, found) if found == parsed));
    }
}
