//! The streams and buckets: what they have to be, and what to do about what is there.

mod compare;
mod spec;

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Nats, names};
use compare::compare;
use spec::{Spec, specs};

/// What may differ between installations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// How many partitions the log has, 1 to [`PARTITIONS_MAX`](crate::model::PARTITIONS_MAX); fixed for its life.
    pub partitions: u16,
    /// Replicas of every stream, 1 to 5.
    pub replicas: u8,
    /// Where every stream is kept.
    pub storage: Storage,
    /// How long the log is kept, at least [`Parameters::duplicate_window`].
    pub log_retention: Duration,
    /// How many bytes the log may take; `None`: no limit. At the limit the oldest entries go.
    pub log_bytes_max: Option<u64>,
    /// How long events are kept.
    pub event_retention: Duration,
    /// How many bytes the events may take; `None`: no limit. At the limit the oldest go.
    pub event_bytes_max: Option<u64>,
    /// For how long the log remembers message ids, at least 100 ms; longer lets clients suppress each other for longer.
    pub duplicate_window: Duration,
}

impl Default for Parameters {
    /// As the contract's configuration has it.
    fn default() -> Self {
        Self {
            partitions: 64,
            replicas: 1,
            storage: Storage::File,
            log_retention: Duration::from_secs(15 * 60),
            log_bytes_max: None,
            event_retention: Duration::from_secs(7 * 24 * 3_600),
            event_bytes_max: None,
            duplicate_window: Duration::from_millis(100),
        }
    }
}

/// Where a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk.
    File,
    /// In memory.
    Memory,
}

/// One way in which what is there differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The stream.
    pub stream: String,
    /// The field of its configuration, by its name in the server's JSON; empty for the stream itself.
    pub field: &'static str,
    /// What is there.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// What is to be done.
    pub remedy: Remedy,
}

/// What is to be done about a [`Difference`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The stream is created.
    Create,
    /// The field is updated.
    Update,
    /// Nothing, since it would lose what is there; says what a person can do.
    Refuse(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, field, found, wanted, remedy } = self;
        match remedy {
            Remedy::Create => write!(f, "{stream}: missing, is created ({wanted})"),
            Remedy::Update => write!(f, "{stream}: {field} is {found}, is set to {wanted}"),
            Remedy::Refuse(why) => write!(f, "{stream}: {field} is {found}, wanted is {wanted}: {why}"),
        }
    }
}

/// Why the topology is not what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something that is there must not be changed. Nothing was changed.
    #[error("{}", list(.0))]
    Refused(Vec<Difference>),
    /// The server did not do what it was asked to. Streams that come before this one may have been created or updated.
    #[error("stream {stream}: {cause}")]
    Server {
        /// The stream.
        stream: String,
        /// What was answered.
        cause: String,
    },
    /// JetStream did not answer, or can't do it yet, as while a cluster elects its leaders or somebody else does the same. As
    /// with [`TopologyError::Server`].
    #[error("stream {stream}: {cause}")]
    NotReady {
        /// The stream.
        stream: String,
        /// What was answered, if anything was.
        cause: String,
    },
}

impl TopologyError {
    /// Whether it may be over with the next try.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotReady { .. })
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The differences between what is there and what is wanted; nothing is changed.
///
/// # Errors
/// [`TopologyError::Server`] and [`TopologyError::NotReady`].
pub async fn plan(nats: &Nats, parameters: &Parameters) -> Result<Vec<Difference>, TopologyError> {
    let mut differences = Vec::new();
    for spec in specs(parameters) {
        differences.extend(compare(&spec, config(nats, &spec.name).await?.as_ref()));
    }
    Ok(differences)
}

/// Creates what is missing and updates what differs; returns what was done. Doing it again does nothing.
///
/// # Errors
/// [`TopologyError`].
pub async fn setup(nats: &Nats, parameters: &Parameters) -> Result<Vec<Difference>, TopologyError> {
    let mut planned = Vec::new();
    for spec in specs(parameters) {
        let found = config(nats, &spec.name).await?;
        let differences = compare(&spec, found.as_ref());
        planned.push((spec, found, differences));
    }
    let refused: Vec<_> = planned
        .iter()
        .flat_map(|(_, _, differences)| differences)
        .filter(|difference| matches!(difference.remedy, Remedy::Refuse(_)))
        .cloned()
        .collect();
    if !refused.is_empty() {
        return Err(TopologyError::Refused(refused));
    }
    let mut done = Vec::new();
    for (spec, found, differences) in planned {
        if !differences.is_empty() {
            apply(nats, &spec, found).await?;
        }
        done.extend(differences);
    }
    Ok(done)
}

/// How many partitions the log that is there has; `None` if there is no log.
///
/// # Errors
/// [`TopologyError::NotReady`], and [`TopologyError::Server`], also if the stream isn't a log of ours.
pub async fn partitions(nats: &Nats) -> Result<Option<u16>, TopologyError> {
    let Some(config) = config(nats, names::LOG).await? else {
        return Ok(None);
    };
    match config.get("subject_transform").and_then(spec::partitions_of) {
        Some(partitions) => Ok(Some(partitions)),
        None => Err(TopologyError::Server {
            stream: names::LOG.into(),
            cause: "it was not made by presence, `presence setup --dry-run` shows how it differs".into(),
        }),
    }
}

/// A stream's configuration as the server tells it, with fields that no client library knows; `None` if it's not there.
async fn config(nats: &Nats, stream: &str) -> Result<Option<Map<String, Value>>, TopologyError> {
    let answer = request(nats, stream, "INFO", &json!({})).await?;
    match error_code(&answer) {
        None => Ok(answer.get("config").and_then(Value::as_object).cloned()),
        Some(STREAM_NOT_FOUND) => Ok(None),
        Some(_) => Err(refusal(stream, &answer)),
    }
}

async fn apply(nats: &Nats, spec: &Spec, found: Option<Map<String, Value>>) -> Result<(), TopologyError> {
    let (verb, config) = match found {
        None => ("CREATE", spec.create()),
        Some(mut config) => {
            spec.overlay(&mut config);
            ("UPDATE", Value::Object(config))
        }
    };
    let answer = request(nats, &spec.name, verb, &config).await?;
    match error_code(&answer) {
        None => Ok(()),
        Some(_) => Err(refusal(&spec.name, &answer)),
    }
}

async fn request(nats: &Nats, stream: &str, verb: &str, body: &Value) -> Result<Value, TopologyError> {
    nats.jetstream.request(format!("STREAM.{verb}.{stream}"), body).await.map_err(|error| TopologyError::NotReady {
        stream: stream.into(),
        cause: format!("{verb} was not answered ({error}), try again once JetStream is available"),
    })
}

const STREAM_NOT_FOUND: u64 = 10_059;

fn error_code(answer: &Value) -> Option<u64> {
    answer.get("error").map(|error| error.get("err_code").and_then(Value::as_u64).unwrap_or(0))
}

fn refusal(stream: &str, answer: &Value) -> TopologyError {
    let error = &answer["error"];
    let description = error["description"].as_str().unwrap_or("refused without a reason");
    let code = error["err_code"].as_u64().unwrap_or(0);
    let advice = advice(code).map(|advice| format!(": {advice}")).unwrap_or_default();
    let (stream, cause) = (stream.to_owned(), format!("{description} (error {code}){advice}"));
    match code {
        // No suitable peers, not assigned, not available, no leader: servers that are still to join may change that. Or the
        // stream was not there a moment ago, and another engine creates it: what it is then shows how it differs.
        10_005 | 10_007..=10_009 | 10_058 => TopologyError::NotReady { stream, cause },
        _ => TopologyError::Server { stream, cause },
    }
}

/// What a person can do about an error of the server.
fn advice(code: u64) -> Option<&'static str> {
    match code {
        10_002 | 10_023 | 10_028 | 10_047 => {
            Some("give JetStream more room, or set the limits of the log and the events lower")
        }
        10_005 | 10_074 => Some("set engine.replicas to no more than there are servers"),
        10_008 | 10_009 => Some("JetStream is not ready, try again"),
        10_058 => Some("somebody else creates it at the same time, try again"),
        10_035 | 10_039 | 10_076 => Some("enable JetStream on the server and for this account"),
        10_065 => {
            Some("another stream takes these subjects, `nats stream subjects` shows which: remove it or its subjects")
        }
        _ => None,
    }
}
