//! `presence audit`: prove that the stored transitions are whole.

use bytes::Bytes;
use serde_json::{Value, json};

use super::CliError;
use super::global::{Global, Output};
use super::output;
use crate::nats::history::{History, Since, Stored};
use crate::wire::audit::{Auditor, Breach, Counts, Place};
use crate::wire::told::json_line;
use crate::wire::{EventSubject, ToldEvent};

#[derive(clap::Args)]
pub(super) struct Args {}

/// Fails with exit code 1 at the first breach.
pub(super) async fn run(global: &Global, _args: &Args) -> Result<(), CliError> {
    let nats = global.connect().await?;
    let mut history = History::open(&nats, Vec::new(), Since::All).await?;
    let cut = history.is_cut();
    let mut auditor = Auditor::new(cut);
    while let Some(chunk) = history.next().await? {
        for stored in &chunk {
            match observe(&mut auditor, stored) {
                Ok(()) => {}
                Err(Trouble::Breach(breach)) => {
                    return Err(tell_breach(global.output, &history, &breach).await);
                }
                Err(Trouble::Unreadable(why)) => {
                    return Err(CliError::No(format!(
                        "stream sequence {} ({}) is no event: {why}",
                        stored.seq, stored.subject
                    )));
                }
            }
        }
    }
    tell_counts(global.output, auditor.counts(), cut)
}

enum Trouble {
    Breach(Breach),
    Unreadable(String),
}

fn observe(auditor: &mut Auditor, stored: &Stored) -> Result<(), Trouble> {
    let epoch = stored.headers.as_ref().and_then(|headers| headers.get("Presence-Epoch")?.as_str().parse().ok());
    let place = Place { subject: &stored.subject, epoch, stream_seq: stored.seq };
    match EventSubject::parse(&stored.subject) {
        EventSubject::Progress(partition) => auditor.observe_progress(partition, place).map_err(Trouble::Breach),
        EventSubject::GoneSession(_)
        | EventSubject::GoneUser(_)
        | EventSubject::GoneRoom(_)
        | EventSubject::Partial(..) => Ok(()),
        EventSubject::Session(_)
        | EventSubject::User(_)
        | EventSubject::Ready(_)
        | EventSubject::Room(_)
        | EventSubject::Member(_)
        | EventSubject::Engine(_)
        | EventSubject::Rejected(_) => {
            let told = ToldEvent::read(&stored.payload).map_err(|error| Trouble::Unreadable(error.to_string()))?;
            auditor.observe(&told, place).map_err(Trouble::Breach)
        }
        EventSubject::Other => {
            let told = ToldEvent::Other { kind: stored.subject.to_string() };
            auditor.observe(&told, place).map_err(Trouble::Breach)
        }
    }
}

fn tell_counts(format: Output, counts: Counts, cut: bool) -> Result<(), CliError> {
    match format {
        Output::Text => {
            let Counts {
                session_events,
                user_events,
                ready_events,
                room_events,
                member_events,
                engine_events,
                rejected_events,
                other_events,
                subjects,
                incarnations,
                partitions,
            } = counts;
            let beginning = if cut { "; the oldest events are gone by the stream's limits" } else { "" };
            output::line(&format!(
                "whole: {session_events} session, {user_events} user and {ready_events} ready transitions, {room_events} room and {member_events} member events of {subjects} \
                 subjects in {incarnations} incarnations, {engine_events} engine, {rejected_events} rejected and {other_events} other \
                 events, {partitions} partitions{beginning}"
            ))?;
        }
        Output::Json => output::json(&json!({ "ok": true, "cut": cut, "counts": counts }))?,
    }
    Ok(())
}

/// Shows the breach with the events that make it.
async fn tell_breach(format: Output, history: &History, breach: &Breach) -> CliError {
    let at = history.payload(breach.at).await;
    let before = match breach.before {
        Some(seq) => history.payload(seq).await,
        None => None,
    };
    let told = match format {
        Output::Text => output::line(&text(breach, before.as_ref(), at.as_ref())),
        Output::Json => output::json(&json!({
            "ok": false,
            "breach": breach.fault.to_string(),
            "before": breach.before.map(|seq| json!({ "seq": seq, "event": before.as_deref().map(value) })),
            "at": { "seq": breach.at, "event": at.as_deref().map(value) },
        })),
    };
    match told {
        Ok(()) => CliError::No("the history is not whole".to_owned()),
        Err(error) => error.into(),
    }
}

fn text(breach: &Breach, before: Option<&Bytes>, at: Option<&Bytes>) -> String {
    let shown = |label: &str, seq: u64, payload: Option<&Bytes>| {
        let payload = payload.map_or(Ok("no longer there".into()), |payload| json_line(payload));
        format!("\n  {label} {seq}: {}", output::printable(&payload.unwrap_or_else(|error| error.to_string().into())))
    };
    let before = breach.before.map_or_else(String::new, |seq| shown("before", seq, before));
    format!("{breach}{before}{}", shown("here", breach.at, at))
}

fn value(payload: &[u8]) -> Value {
    let line = json_line(payload).unwrap_or_default();
    serde_json::from_str(&line).unwrap_or(Value::Null)
}
