//! The arguments of `presence signal` → a [`Signal`] within its limits.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::CliError;
use crate::model::signal::{
    CAPABILITIES_MAX, CONN_BYTES_MAX, EVERY_MS_MAX, EVERY_MS_MIN, META_BYTES_MAX, PAYLOAD_BYTES_MAX, ROOMS_MAX,
};
use crate::model::{Claim, Intent, Kind, Signal, Visibility};
use crate::wire::subject::token;
use crate::wire::{Encoding, Named, signal::encode};

#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Whose it is, as plain text
    #[arg(value_name = "USER")]
    pub(super) user: String,
    /// Which of the user's sessions it is: a tab, a device; as plain text
    #[arg(value_name = "SESSION")]
    pub(super) session: String,
    /// Keep beating at this interval until Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    pub(super) every: Option<Duration>,
    /// End after so many beats
    #[arg(long, requires = "every", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// When the beating ends, say that the session leaves
    #[arg(long, requires = "every")]
    pub(super) leave_at_end: bool,

    /// What kind of signal it is [default: heartbeat]
    #[arg(long, group = "kinds", value_parser = named::<Kind>(), value_name = "KIND", help_heading = "What it says")]
    kind: Option<Kind>,
    /// The session ends: the same as --kind leave
    #[arg(long, group = "kinds", conflicts_with = "every", help_heading = "What it says")]
    leave: bool,
    /// The connection closed: the same as --kind disconnect
    #[arg(long, group = "kinds", conflicts_with = "every", help_heading = "What it says")]
    disconnect: bool,
    /// Facts and intent only, no life sign: the same as --kind update
    #[arg(long, group = "kinds", help_heading = "What it says")]
    update: bool,
    /// The client's own claim
    #[arg(long, value_parser = named::<Claim>(), value_name = "STATE", help_heading = "What it says")]
    state: Option<Claim>,
    /// Time since the last input
    #[arg(long, value_parser = millis, value_name = "DURATION", help_heading = "What it says")]
    input_age: Option<u64>,
    /// Whether the page or app is in sight
    #[arg(long, value_parser = named::<Visibility>(), value_name = "VISIBILITY", help_heading = "What it says")]
    visibility: Option<Visibility>,
    /// Promise that the next signal comes within this time, 1s to 1h; 0s withdraws it
    #[arg(long, value_parser = promise, value_name = "DURATION", help_heading = "What it says")]
    promise: Option<u32>,
    /// What the person wants
    #[arg(long, value_parser = named::<Intent>(), value_name = "INTENT", help_heading = "What it says")]
    intent: Option<Intent>,
    /// The intent ends by itself after this time
    #[arg(long, requires = "intent", value_parser = millis, value_name = "DURATION", help_heading = "What it says")]
    intent_for: Option<u64>,
    /// What the session could do now; several by commas or by repeating it, none by ''
    #[arg(long, value_delimiter = ',', value_name = "NAME", help_heading = "What it says")]
    can: Option<Vec<String>>,
    /// Where the session is, as plain text; several by repeating it, none by ''
    #[arg(long, value_name = "ROOM", help_heading = "What it says")]
    room: Option<Vec<String>>,
    /// Passed on as it is: a JSON object
    #[arg(long, value_parser = meta, value_name = "JSON", help_heading = "What it says")]
    meta: Option<String>,
    /// The policy profile of the session
    #[arg(long, value_name = "NAME", help_heading = "What it says")]
    profile: Option<String>,
    /// The connection that it comes by
    #[arg(long, value_parser = conn, value_name = "TEXT", help_heading = "What it says")]
    conn: Option<String>,
}

impl Args {
    /// What is to be said, but for epoch and seq.
    pub(super) fn signal(&self) -> Result<Signal, CliError> {
        let signal = Signal {
            kind: self.kind(),
            conn: self.conn.as_deref().map(Into::into),
            state: self.state,
            input_age_ms: self.input_age,
            visibility: self.visibility,
            every_ms: self.promise,
            epoch: None,
            seq: None,
            intent: self.intent,
            intent_for_ms: self.intent_for,
            can: self.can.as_deref().map(|names| limited("--can", given(names), CAPABILITIES_MAX)).transpose()?,
            rooms: self.rooms()?,
            profile: self.profile.as_deref().map(Into::into),
            meta: self.meta.as_deref().map(Into::into),
        };
        if self.every.is_some() && matches!(signal.kind, Kind::Leave | Kind::Disconnect) {
            return Err(CliError::Usage(format!(
                "--every repeats life signs, and a {} is none; leave out --every, or say --leave-at-end",
                signal.kind.name()
            )));
        }
        let size = encode(&signal, Encoding::Json).len();
        if size > PAYLOAD_BYTES_MAX {
            return Err(CliError::Usage(format!(
                "the signal has {size} bytes, the limit is {PAYLOAD_BYTES_MAX}; shorten --meta or name fewer rooms"
            )));
        }
        Ok(signal)
    }

    fn kind(&self) -> Kind {
        match (self.leave, self.disconnect, self.update) {
            (true, _, _) => Kind::Leave,
            (_, true, _) => Kind::Disconnect,
            (_, _, true) => Kind::Update,
            (false, false, false) => self.kind.unwrap_or_default(),
        }
    }

    fn rooms(&self) -> Result<Option<Box<[Box<str>]>>, CliError> {
        let Some(rooms) = &self.room else { return Ok(None) };
        let tokens: Vec<_> = given(rooms).map(|room| token("room", room)).collect::<Result<_, _>>()?;
        limited("--room", tokens.iter().map(String::as_str), ROOMS_MAX).map(Some)
    }
}

/// The names of a list; one empty name stands for the empty list.
fn given(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| !name.is_empty())
}

fn limited<'a>(option: &str, names: impl Iterator<Item = &'a str>, max: usize) -> Result<Box<[Box<str>]>, CliError> {
    let names: Box<[Box<str>]> = names.map(Into::into).collect();
    if names.len() > max {
        return Err(CliError::Usage(format!("{option} has {} names, the limit is {max}", names.len())));
    }
    Ok(names)
}

fn named<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::NAMES.iter().map(|(name, _)| *name))
        .map(|name| T::from_name(&name).expect("it is one of the possible values"))
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    let least = Duration::from_millis(10);
    if duration >= least { Ok(duration) } else { Err("the shortest interval is 10ms".to_owned()) }
}

fn millis(text: &str) -> Result<u64, String> {
    u64::try_from(duration(text)?.as_millis()).map_err(|_| "it is too long".to_owned())
}

fn promise(text: &str) -> Result<u32, String> {
    let millis = millis(text)?;
    match u32::try_from(millis) {
        Ok(every @ (0 | EVERY_MS_MIN..=EVERY_MS_MAX)) => Ok(every),
        Ok(_) | Err(_) => Err("a promise is 0s or from 1s to 1h".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 20s, 500ms or 1h30m"))
}

/// A compact JSON object within its limit.
fn meta(text: &str) -> Result<String, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("it has to be a JSON object: {error}"))?;
    let compact = serde_json::Value::Object(object).to_string();
    if compact.len() > META_BYTES_MAX {
        return Err(format!("it has {} bytes, the limit is {META_BYTES_MAX}", compact.len()));
    }
    Ok(compact)
}

fn conn(text: &str) -> Result<String, String> {
    if text.len() > CONN_BYTES_MAX {
        return Err(format!("it has {} bytes, the limit is {CONN_BYTES_MAX}", text.len()));
    }
    Ok(text.to_owned())
}
