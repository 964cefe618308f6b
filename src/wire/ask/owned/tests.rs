use super::*;
use crate::model::Intent;
use crate::wire::told::Next;

fn person(user: &str) -> Person {
    Person {
        user: user.into(),
        told: (7, 2),
        state: State::Idle,
        in_room: None,
        intent: Intent::Busy,
        confidence_permille: 900,
        told_at_ms: 1,
        last_seen_ms: 2,
        last_input_ms: 3,
        ready: vec!["audio".into()],
        next: Some(Next { to: State::Away, at_ms: 5 }),
    }
}

fn answer(as_of_ms: Millis, said: Said) -> Answer {
    Answer { as_of_ms, now_ms: as_of_ms, said }
}

#[test]
fn a_page_is_the_first_of_all_partitions_and_as_old_as_the_oldest() {
    let people = |users: &[&str]| Said::People(users.iter().map(|user| person(user)).collect());
    let parts = vec![answer(7, people(&["b", "d"])), answer(5, people(&["a", "e"])), answer(9, people(&["c"]))];
    let page = What::Page { states: vec![], after: None, limit: 4 };
    let first = Answer { now_ms: 9, ..answer(5, people(&["a", "b", "c", "d"])) };
    assert_eq!(Answer::all(&page, parts.clone()).unwrap(), first);
    let named = What::Users(["a", "b", "c", "d", "e"].map(str::to_owned).into());
    assert_eq!(Answer::all(&named, parts).unwrap().said, people(&["b", "d", "a", "e", "c"]));
}

#[test]
fn rooms_add_up_and_a_tenant_is_known_where_one_knows_it() {
    let density = |count| Density {
        sessions: [count, 0, 1, 0],
        users: [0, count, 0, 0],
        ready: [("audio".to_owned(), count)].into(),
        expected_permille: 900,
        variance_millionths: 90_000,
    };
    let room = What::Room("lobby".into());
    let parts = vec![answer(1, Said::Room(density(2))), answer(2, Said::Room(density(3)))];
    let sum = Density {
        sessions: [5, 0, 2, 0],
        users: [0, 5, 0, 0],
        ready: [("audio".to_owned(), 5)].into(),
        expected_permille: 1_800,
        variance_millionths: 180_000,
    };
    assert_eq!(Answer::all(&room, parts).unwrap(), Answer { now_ms: 2, ..answer(1, Said::Room(sum)) });
    let known = vec![answer(1, Said::Tenant(false)), answer(1, Said::Tenant(true))];
    assert_eq!(Answer::all(&What::Tenant, known).unwrap().said, Said::Tenant(true));
}

#[test]
fn answers_that_do_not_fit_each_other_are_none() {
    let parts = vec![answer(1, Said::Tenant(true)), answer(1, Said::People(vec![]))];
    assert_eq!(Answer::all(&What::Tenant, parts).unwrap_err().code(), 503);
    assert_eq!(Answer::all(&What::Tenant, Vec::new()).unwrap_err().code(), 503);
}

#[test]
fn what_is_asked_and_said_between_engines_survives_the_way() {
    let users = ["a=40b".to_owned()].into();
    let members = What::Members { room: "lobby".into(), after: Some("a".into()), limit: 5 };
    let session = What::Session { user: "a".into(), session: "tab".into() };
    let page = What::Page { states: vec![State::Idle], after: None, limit: 5 };
    for what in [What::Users(users), members, session, page, What::Room("lobby".into()), What::Tenant] {
        let question = Question { tenant: "main".into(), partitions: [1, 511].into(), at_least: u64::MAX, what };
        assert_eq!(Question::from_json(&question.to_json()).unwrap(), question);
    }
    let now = SessionNow { state: State::Stale, confidence_permille: 1, told_at_ms: 2 };
    let session = Said::Session { now: Some(now), is_told: true };
    let absent = Said::Session { now: None, is_told: false };
    for said in
        [Said::People(vec![person("a=40b")]), session, absent, Said::Room(Density::default()), Said::Tenant(true)]
    {
        let answer = answer(u64::MAX, said);
        assert_eq!(Answer::from_json(&answer.to_json()).unwrap(), answer);
    }
}
