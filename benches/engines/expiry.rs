//! Many sessions that fall at one instant.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use presence_engine::model::State;
use presence_engine::nats::Nats;
use presence_engine::wire::ToldEvent;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::common::{Result, flood, now_ms};
use crate::rig::{Rig, config};
use crate::row::{row, spread};

const SESSIONS: usize = 100_000;
/// All of them are idle so long after an input that they had at the same instant: time enough to tell that they joined.
const IDLE_AFTER: Duration = Duration::from_secs(90);
/// Longer than events may stay away.
const TOLD_MAX: Duration = Duration::from_secs(180);

/// Lateness of the falls and how many are told per second, by three engines and by one.
pub async fn measure(is_small: bool) -> Result<()> {
    let (sessions, idle_after) = if is_small { (3_000, Duration::from_secs(8)) } else { (SESSIONS, IDLE_AFTER) };
    let mut rates = Vec::new();
    for engines in [3, 1] {
        let Falls { mut late, rate } = falls(engines, sessions, idle_after).await?;
        let target = format!("p99 200 ms + {:.0} ms, all events at this rate", 2_000.0 * sessions as f64 / rate);
        row(&format!("{sessions} sessions fall at once, {engines} engines: lateness"), &spread(&mut late), &target);
        row(&format!("events told per second, {engines} engines"), &format!("{rate:.0}"), "");
        rates.push(rate);
    }
    row("three engines beside one", &format!("ratio {:.2}", rates[0] / rates[1]), "");
    Ok(())
}

struct Falls {
    late: Vec<f64>,
    rate: f64,
}

async fn falls(engines: usize, sessions: usize, idle_after: Duration) -> Result<Falls> {
    let seconds = idle_after.as_secs();
    let rest = format!("[profile.brief]\nidle_after = \"{seconds}s\"\nconfidence = {{ bands = [] }}");
    let rig = Rig::start(engines, &config("", &rest)).await?;
    let told = [listen(&rig.nats, "session", sessions).await?, listen(&rig.nats, "user", sessions).await?];
    // One instant for all: each says how long ago it had its input.
    let input = now_ms()?;
    let join = |number| {
        let age = now_ms().unwrap_or(input) - input;
        let payload = format!(r#"{{"profile":"brief","input_age_ms":{age}}}"#);
        (format!("presence.v1.signal.late.user-{number}.tab"), payload)
    };
    flood(&rig.nats, sessions, join).await?;
    let (mut late, mut first, mut last) = (Vec::new(), u64::MAX, 0);
    for told in told {
        let Told { joined, fell } = told.await??;
        if joined >= input + seconds * 1_000 {
            return Err(format!("it took more than {seconds} s to tell that {sessions} sessions joined").into());
        }
        for (at_ms, heard_ms) in fell {
            late.push(heard_ms.saturating_sub(at_ms) as f64);
            (first, last) = (first.min(heard_ms), last.max(heard_ms));
        }
    }
    let rate = late.len() as f64 / ((last - first).max(1) as f64 / 1_000.0);
    Ok(Falls { late, rate })
}

/// What was told of one kind.
struct Told {
    /// When the last one who joined was told.
    joined: u64,
    /// When each fall happened, and when it was heard.
    fell: Vec<(u64, u64)>,
}

/// Hears who falls, until all have; fails if somebody falls twice.
async fn listen(nats: &Nats, kind: &str, sessions: usize) -> Result<JoinHandle<Result<Told>>> {
    let mut subscription = nats.client.subscribe(format!("presence.v1.{kind}.late.>")).await?;
    nats.client.flush().await?;
    let kind = kind.to_owned();
    Ok(tokio::spawn(async move {
        let mut told = Told { joined: 0, fell: Vec::with_capacity(sessions) };
        let mut who = BTreeSet::new();
        while told.fell.len() < sessions {
            let missing = || format!("{} of {sessions} falls of a {kind} were heard, no more", told.fell.len());
            let message = timeout(TOLD_MAX, subscription.next()).await.map_err(|_| missing())?;
            let message = message.ok_or("the subscription ended")?;
            let heard = now_ms()?;
            let (to, at_ms) = match ToldEvent::read(&message.payload)? {
                ToldEvent::Session(event) => (event.to, event.at_ms),
                ToldEvent::User(event) => (event.to, event.at_ms),
                _ => continue,
            };
            match to {
                State::Idle if who.insert(message.subject.clone()) => told.fell.push((at_ms, heard)),
                State::Idle => return Err(format!("{} fell twice", message.subject).into()),
                _ => told.joined = told.joined.max(heard),
            }
        }
        Ok(told)
    }))
}
