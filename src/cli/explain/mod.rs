//! `presence explain`: why a user's state is what it is.

mod evidence;
mod session;
mod text;

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::value::RawValue;

use super::CliError;
use super::global::{Global, Output};
use super::output;
use crate::fold::{Inspection, Partition};
use crate::model::{Intent, Millis, State, Token, partition_of};
use crate::nats::history::{History, Since, Stored};
use crate::nats::log::last_entry;
use crate::nats::{Nats, topology};
use crate::runtime::offline::{Basis, Offline};
use crate::wire::told::json_line;
use crate::wire::{subject, subject::token};
use evidence::Evidence;
use session::{Confidence, Next, Session};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Whom to explain, as plain text
    #[arg(value_name = "USER")]
    user: String,
    /// How many of the latest transitions to show
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    last: u16,
}

/// All that is told.
#[derive(Debug, Serialize)]
struct Explanation {
    tenant: String,
    user: String,
    partition: u16,
    /// What it was derived from; absent if it could not be.
    derived: Option<Derived>,
    /// Why it could not be derived.
    underivable: Option<String>,
    /// What is kept of the user; absent if nothing is.
    standing: Option<Standing>,
    transitions: Vec<Transition>,
}

/// As of which moment.
#[derive(Debug, Serialize)]
struct Derived {
    /// The log's last entry.
    entry: u64,
    log_time_ms: Millis,
    /// The checkpoint's log entry; absent where the log was read from its beginning.
    checkpoint: Option<u64>,
    /// How many entries were read.
    entries: u64,
    /// How much of what comes next is excused already.
    hold_ms: Millis,
}

/// What is kept of the user.
#[derive(Debug, Serialize)]
struct Standing {
    state: State,
    /// The session that the state is of.
    best: Option<String>,
    intent: Intent,
    intent_until_ms: Option<Millis>,
    confidence: Confidence,
    next: Option<Next>,
    /// What it is ready for, each with the log time since when.
    ready: BTreeMap<String, Millis>,
    incarnation: u64,
    ordinal: u32,
    sessions: Vec<Session>,
}

/// An event that was told, with the entry that caused it.
#[derive(Debug, Serialize)]
struct Transition {
    event: Box<RawValue>,
    evidence: Evidence,
    #[serde(skip)]
    line: String,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let (tenant, user) = (global.tenant()?, token("user", &args.user)?);
    let nats = global.connect().await?;
    let partitions = topology::partitions(&nats).await?;
    let partitions = partitions
        .ok_or_else(|| CliError::No("there is no log yet: `presence setup` or an engine creates it".to_owned()))?;
    let number = partition_of(&tenant, &user, partitions);
    let offline = Offline::derive(&nats, number, partitions).await?;
    let (derived, underivable, standing) = match offline {
        Ok(offline) => {
            let standing = standing(&nats, &offline.partition, &tenant, &user).await?;
            (Some(derived(&offline)), None, standing)
        }
        Err(why) => (None, Some(why), None),
    };
    let explanation = Explanation {
        tenant: global.tenant_name().to_owned(),
        user: args.user.clone(),
        partition: number,
        derived,
        underivable,
        standing,
        transitions: transitions(&nats, partitions, &tenant, &user, args.last.into()).await?,
    };
    match global.output {
        Output::Text => output::line(&text::of(&explanation))?,
        Output::Json => output::json(&explanation)?,
    }
    Ok(())
}

fn derived(offline: &Offline) -> Derived {
    let (_, log_time_ms, hold_ms) = offline.partition.observed();
    let checkpoint = match offline.basis {
        Basis::Checkpoint(seq) => Some(seq),
        Basis::Beginning => None,
    };
    Derived { entry: offline.end, log_time_ms, checkpoint, entries: offline.entries, hold_ms }
}

/// What the partition keeps of the user, with the last signals that the log has of its sessions.
async fn standing(nats: &Nats, partition: &Partition, tenant: &str, user: &str) -> Result<Option<Standing>, CliError> {
    let token = |text| Token::parse(text).expect("it was escaped");
    let Some(Inspection { state, incarnation, ordinal, intent, intent_until_ms, confidence, next, ready, sessions }) =
        partition.inspect(token(tenant), token(user))
    else {
        return Ok(None);
    };
    let mut shown = Vec::with_capacity(sessions.len());
    for of in &sessions {
        let signals = subject::log_signal(partition.number(), tenant, user, &of.session);
        let last = last_entry(nats, &signals).await.map_err(|error| CliError::Unreachable(error.to_string()))?;
        shown.push(Session::of(of, partition, last.as_ref()));
    }
    // As the fold chooses it: by state, then later input, then smaller name.
    let best = sessions.iter().filter(|of| of.state != State::Offline);
    let best = best.min_by_key(|of| (of.state, std::cmp::Reverse(of.last_input_ms), &of.session));
    Ok(Some(Standing {
        state,
        best: best.map(|of| crate::wire::plain(&of.session).into_owned()),
        intent,
        intent_until_ms,
        confidence: confidence.into(),
        next: next.map(Into::into),
        ready: ready.into_iter().map(|(name, since)| (name.into(), since)).collect(),
        incarnation,
        ordinal,
        sessions: shown,
    }))
}

/// The latest events of the user, of its sessions and of what it is ready for.
async fn transitions(
    nats: &Nats,
    partitions: u16,
    tenant: &str,
    user: &str,
    last: usize,
) -> Result<Vec<Transition>, CliError> {
    let key = subject::user_key(tenant, user);
    let filters =
        vec![subject::user(&key), subject::ready(&key), subject::session(&subject::session_key(tenant, user, "*"))];
    let mut history = History::open(nats, filters, Since::All).await?;
    let mut kept: VecDeque<Stored> = VecDeque::with_capacity(last + 1);
    while let Some(chunk) = history.next().await? {
        for stored in chunk {
            kept.push_back(stored);
            if kept.len() > last {
                kept.pop_front();
            }
        }
    }
    let mut transitions = Vec::with_capacity(kept.len());
    for stored in kept {
        let no_event = |why: String| CliError::No(format!("stream sequence {} is no event: {why}", stored.seq));
        let line = super::show::payload(&stored.payload, Output::Text).map_err(|error| no_event(error.to_string()))?;
        let json = json_line(&stored.payload).map_err(|error| no_event(error.to_string()))?;
        let event = RawValue::from_string(json.into()).map_err(|error| no_event(error.to_string()))?;
        let evidence = Evidence::of(nats, partitions, &stored.payload).await?;
        transitions.push(Transition { event, evidence, line });
    }
    Ok(transitions)
}
