//! What events foretell, `next` and `until_ms`, against what comes.

use std::collections::BTreeMap;

use presence_engine::model::{Cause, Event, EventBody, Millis, State};

use super::Oracle;
use super::logs::{Line, TENANTS, What};
use super::random::{GATEWAYS, Mood};
use super::reach::each_log;

/// Session, user or readiness; tenant, user, session.
type Subject = (u8, String, String, String);

/// What comes next of an event's subject, or just came: when, and which state if it is of states.
type Change = (Millis, Option<State>);

fn subject(event: &Event) -> Option<Subject> {
    let (rank, tenant, user, session) = match &event.body {
        EventBody::Session(of) => (0, &of.tenant, &of.user, of.session.to_string()),
        EventBody::User(of) => (1, &of.tenant, &of.user, String::new()),
        EventBody::Ready(of) => (2, &of.tenant, &of.user, String::new()),
        EventBody::Engine(_) | EventBody::Rejected(_) => return None,
    };
    Some((rank, tenant.to_string(), user.to_string(), session))
}

fn foretold(event: &Event) -> Option<Change> {
    match &event.body {
        EventBody::Session(of) => of.next.map(|next| (next.at_ms, Some(next.to))),
        EventBody::User(of) => of.next.map(|next| (next.at_ms, Some(next.to))),
        EventBody::Ready(of) => of.until_ms.map(|at| (at, None)),
        EventBody::Engine(_) | EventBody::Rejected(_) => None,
    }
}

fn came(event: &Event) -> Option<Change> {
    let changes = |from, to| (from != to).then_some((event.at_ms, Some(to)));
    match &event.body {
        EventBody::Session(of) => changes(of.from, of.to),
        EventBody::User(of) => changes(of.from, of.to),
        EventBody::Ready(of) => {
            let lost = of.from.iter().any(|name| !of.to.iter().any(|(other, _)| other == name));
            lost.then_some((event.at_ms, None))
        }
        EventBody::Engine(_) | EventBody::Rejected(_) => None,
    }
}

fn is_session(event: &&Event) -> bool {
    matches!(event.body, EventBody::Session(_))
}

/// Whether it is a session's, and nothing but a signal can have caused it.
fn by_signal(event: &Event) -> bool {
    let EventBody::Session(of) = &event.body else { return false };
    use Cause::{Claimed, Input, Joined, Left, Refreshed, Resumed, Visible};
    matches!(of.cause, Joined | Input | Visible | Resumed | Claimed | Left | Refreshed)
}

#[test]
fn what_is_foretold_comes_if_nothing_is_heard_and_gateways_live_on() {
    const LONGEST: Millis = 8_000;
    let mut seen = [0; 3];
    for part in 1..=3 {
        each_log(600, 5 + part, Mood { forward: true, roomy: true, stamped: false }, |log| {
            let mut oracle = Oracle::new(7);
            let mut latest = Vec::new();
            for (place, line) in log.0.iter().enumerate() {
                if let What::NewLog = line.what {
                    oracle.lose_log();
                }
                latest = oracle.apply(&line.entry());
                // What signals change without an event is foretold by none.
                let plain = match line.what {
                    What::Batch(..) | What::NewLog => false,
                    What::Signal(..) => {
                        latest.first().is_some_and(by_signal) && latest.iter().filter(is_session).all(by_signal)
                    }
                    _ => true,
                };
                let at_once = latest.iter().all(|event| event.at_ms == oracle.sky.now().hi);
                if place >= log.0.len() * usize::from(part) / 4 && plain && at_once && !latest.is_empty() {
                    break;
                }
                latest.clear();
            }
            let changes = latest.iter().map(|event| (subject(event), foretold(event)));
            let changes: BTreeMap<Option<Subject>, Option<Change>> = changes.collect();
            let start = oracle.sky.now().hi;
            let (mut told, mut seq) = (Vec::new(), oracle.position);
            for ts in (start..=start + LONGEST).step_by(1_000) {
                for gateway in GATEWAYS {
                    seq += 1;
                    let line = Line { seq, ts, what: What::Batch(TENANTS[0], gateway, Vec::new()) };
                    told.extend(oracle.apply(&line.entry()));
                }
            }
            for (of, change) in changes {
                let (Some(of), Some(change)) = (of, change.filter(|change| change.0 < start + LONGEST - 100)) else {
                    continue;
                };
                let came = told.iter().filter(|event| subject(event).as_ref() == Some(&of)).find_map(came);
                assert_eq!(came, Some(change), "{of:?} after {latest:#?} of {log:?}");
                seen[usize::from(of.0)] += 1;
            }
        });
    }
    assert!(seen.iter().all(|count| *count > 30), "only {seen:?}");
}
