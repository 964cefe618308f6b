//! Sessions that become idle by the clock alone, and when a subscriber hears of it.

use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::cli::bench::Result;
use crate::cli::bench::course::{now_ms, within};
use crate::cli::bench::crowd::Prepared;
use crate::cli::bench::load::flood;
use crate::cli::bench::rig::{Rig, TENANT, TOLD_MAX};
use crate::nats::Nats;
use crate::wire::subject;

/// So many join at a time.
const CHUNK: usize = 1_000;

/// The part of an event that is looked at.
#[derive(Deserialize)]
pub(in crate::cli::bench) struct Glimpse<'a> {
    pub(in crate::cli::bench) to: &'a str,
    pub(in crate::cli::bench) at_ms: u64,
}

/// What was heard.
pub(super) struct Falls {
    /// Milliseconds from each deadline until it was heard.
    pub(super) late: Vec<f64>,
    /// Events per second, from the first that was heard to the last.
    pub(super) rate: f64,
    /// Whether all had been told to be there before the first fell. If not, some of the lateness is that of joining.
    pub(super) were_there: bool,
}

/// What was heard of sessions, or of their users.
pub(super) struct Heard {
    /// When the last one who joined was heard.
    joined_ms: u64,
    /// When each fell, and when that was heard.
    fell: Vec<(u64, u64)>,
}

/// So many sessions, of a user each, fall evenly over `spread`.
pub(super) async fn falls(rig: &mut Rig, sessions: usize, idle_after: Duration, spread: Duration) -> Result<Falls> {
    let listening = rig.another().await?;
    let told = listen(&listening, sessions).await?;
    let idle_ms = u64::try_from(idle_after.as_millis())?;
    let first_ms = now_ms();
    for from in (0..sessions).step_by(CHUNK) {
        let to = sessions.min(from + CHUNK);
        // Each comes when its input has been, and says how long ago that was.
        let input_ms =
            |number: usize| first_ms + (spread.as_secs_f64() * 1_000.0 * number as f64 / sessions as f64) as u64;
        tokio::time::sleep(Duration::from_millis(input_ms(to).saturating_sub(now_ms()))).await;
        let now = now_ms();
        let join = |number: usize| -> Result<_> {
            let payload = format!(r#"{{"input_age_ms":{}}}"#, now.saturating_sub(input_ms(number)));
            Ok((subject::signal(TENANT, &format!("late-{number}"), "tab")?.into(), payload.into()))
        };
        let messages = (from..to).map(join).collect::<Result<Vec<_>>>()?;
        flood(&rig.nats, Prepared { heartbeats: messages.len(), messages }).await?;
    }
    let (mut late, mut first, mut last, mut were_there) = (Vec::new(), u64::MAX, 0, true);
    for told in told {
        let Heard { joined_ms, fell } = told.await??;
        were_there &= joined_ms < first_ms + idle_ms;
        for (at_ms, heard_ms) in fell {
            late.push(heard_ms.saturating_sub(at_ms) as f64);
            (first, last) = (first.min(heard_ms), last.max(heard_ms));
        }
    }
    let rate = late.len() as f64 / ((last - first).max(1) as f64 / 1_000.0);
    Ok(Falls { late, rate, were_there })
}

/// Hears which of so many sessions fall, and which of their users, until all have.
pub(super) async fn listen(listening: &Nats, sessions: usize) -> Result<Vec<JoinHandle<Result<Heard>>>> {
    let mut told = Vec::new();
    for kind in ["session", "user"] {
        let subscriber = listening.client.subscribe(format!("presence.v1.{kind}.{TENANT}.>")).await?;
        told.push(hear(subscriber, sessions));
    }
    listening.client.flush().await?;
    Ok(told)
}

fn hear(mut subscriber: Subscriber, sessions: usize) -> JoinHandle<Result<Heard>> {
    tokio::spawn(async move {
        let mut heard = Heard { joined_ms: 0, fell: Vec::with_capacity(sessions) };
        while heard.fell.len() < sessions {
            let what = format!("{} of {sessions} falls were heard", heard.fell.len());
            let message = within(&what, TOLD_MAX, subscriber.next()).await?.ok_or("the subscription ended")?;
            let now = now_ms();
            let Glimpse { to, at_ms } = serde_json::from_slice(&message.payload)?;
            match to {
                "idle" => heard.fell.push((at_ms, now)),
                _ => heard.joined_ms = heard.joined_ms.max(now),
            }
        }
        Ok(heard)
    })
}
