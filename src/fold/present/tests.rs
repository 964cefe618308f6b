use super::*;
use crate::fold::{Body, Entry, IndexKey};
use crate::model::{Kind, Signal};

const START: Millis = 1_700_000_000_000;

fn token(text: &str) -> Token<'_> {
    Token::parse(text).unwrap()
}

fn signal(partition: &mut Partition, user: &str, signal: &Signal) {
    let seq = partition.position() + 1;
    let address = format!("main.{user}.tab");
    let address = Address::parse(&address).unwrap();
    partition.apply(&Entry { seq, ts: START + seq, body: Body::of(address, signal) }, &mut Vec::new());
}

fn with(users: &[&str]) -> Partition {
    let mut partition = Partition::new(0, &IndexKey::new(1, 2));
    for user in users {
        let can = Signal { can: Some(["audio".into()].into()), ..Signal::default() };
        signal(&mut partition, user, &Signal { rooms: Some(["lobby".into()].into()), ..can });
    }
    partition
}

#[test]
fn whoever_is_invisible_looks_like_who_is_not_there() {
    let mut partition = with(&["ada", "bob"]);
    signal(&mut partition, "ada", &Signal { intent: Some(Intent::Invisible), ..Signal::default() });
    signal(&mut partition, "bob", &Signal { kind: Kind::Leave, ..Signal::default() });
    for user in ["ada", "bob", "carol"] {
        assert_eq!(partition.present(token("main"), token(user)), None, "{user}");
    }
    assert!(partition.page(token("main"), &[], None, 10).is_empty());
}

#[test]
fn a_user_is_shown_with_what_it_is_ready_for_and_how_sure_that_is() {
    let partition = with(&["ada"]);
    let ada = partition.present(token("main"), token("ada")).unwrap();
    assert_eq!((ada.state, ada.confidence_permille, ada.ready), (State::Active, 1_000, vec!["audio".into()]));
    assert_eq!((ada.last_seen_ms, ada.told_at_ms), (START + 1, START + 1));
}

#[test]
fn who_does_not_want_to_be_disturbed_is_present_and_not_reachable() {
    let mut partition = with(&["ada"]);
    signal(&mut partition, "ada", &Signal { intent: Some(Intent::Dnd), ..Signal::default() });
    let ada = partition.present(token("main"), token("ada")).unwrap();
    assert_eq!((ada.intent, ada.ready), (Intent::Dnd, vec![]));
}

#[test]
fn pages_go_on_behind_a_name_whoever_comes_and_goes() {
    let names = |page: Vec<Present>| page.into_iter().map(|of| of.user.into()).collect::<Vec<String>>();
    let mut partition = with(&["eve", "ada", "dave", "carol", "bob"]);
    let page = |partition: &Partition, after| names(partition.page(token("main"), &[], after, 2));
    assert_eq!(page(&partition, None), ["ada", "bob"]);
    signal(&mut partition, "bob", &Signal { kind: Kind::Leave, ..Signal::default() });
    assert_eq!(page(&partition, Some("bob")), ["carol", "dave"]);
    assert_eq!(page(&partition, Some("dave")), ["eve"]);
    assert_eq!(names(partition.page(token("main"), &[State::Idle], None, 2)), Vec::<String>::new());
    assert_eq!(names(partition.page(token("other"), &[], None, 2)), Vec::<String>::new());
    let members = partition.members(token("main"), token("lobby"), Some("ada"), 2);
    assert_eq!(
        members.iter().map(|(of, state)| (&*of.user, *state)).collect::<Vec<_>>(),
        [("carol", State::Active), ("dave", State::Active)]
    );
}

#[test]
fn who_has_a_name_that_is_no_text_is_on_no_page() {
    let partition = with(&["ada", "b=FF", "carol=40x"]);
    let page: Vec<_> = partition.page(token("main"), &[], None, 10).into_iter().map(|of| of.user).collect();
    assert_eq!(page, ["ada".into(), Box::<str>::from("carol=40x")]);
    assert!(partition.present(token("main"), token("b=FF")).is_some());
}

#[test]
fn a_tenant_is_known_while_anything_of_it_is() {
    let partition = with(&["ada"]);
    assert!(partition.knows_tenant(token("main")) && !partition.knows_tenant(token("other")));
    assert!(partition.rooms_of_user(token("main"), token("ada")).eq(["main.lobby"]));
    assert_eq!(partition.rooms_of_user(token("main"), token("bob")).next(), None);
}
