//! `presence get`: who is present, from the buckets that the server keeps.

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use serde_json::json;

use super::CliError;
use super::global::{Global, Output};
use super::{output, show};
use crate::model::State;
use crate::nats::{Nats, latest, names};
use crate::wire::ToldEvent;
use crate::wire::subject::{session_key, token, user_key};
use crate::wire::told::json_line;

#[derive(clap::Args)]
pub(super) struct Args {
    /// This user, as plain text; without one: everybody who is present
    #[arg(value_name = "USER")]
    user: Option<String>,
    /// This session of the user
    #[arg(value_name = "SESSION", requires = "user")]
    session: Option<String>,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let tenant = global.tenant()?;
    let user = args.user.as_deref().map(|user| token("user", user)).transpose()?;
    let session = args.session.as_deref().map(|session| token("session", session)).transpose()?;
    let nats = global.connect().await?;
    let value = match (&user, &session) {
        (None, _) => return everybody(global, &nats, &tenant).await,
        (Some(user), None) => value(&nats, names::USERS_BUCKET, &user_key(&tenant, user)).await?,
        (Some(user), Some(session)) => {
            value(&nats, names::SESSIONS_BUCKET, &session_key(&tenant, user, session)).await?
        }
    };
    match value.map(|payload| present(&payload).map(|told| (payload, told))).transpose()?.and_then(both) {
        Some((payload, told)) => tell(global.output, &payload, &told),
        None => absent(global, args),
    }
}

fn both((payload, told): (Bytes, Option<ToldEvent>)) -> Option<(Bytes, ToldEvent)> {
    told.map(|told| (payload, told))
}

/// All users of a tenant who are present, by name.
async fn everybody(global: &Global, nats: &Nats, tenant: &str) -> Result<(), CliError> {
    let stream = nats.jetstream.get_stream(names::bucket_stream(names::USERS_BUCKET)).await;
    stream.map_err(|error| CliError::no_stream(names::USERS_BUCKET, &error))?;
    let failed = |error: latest::LatestError| CliError::Unreachable(format!("{error}; try again"));
    let mut values = latest::bucket_values(nats, names::USERS_BUCKET).await.map_err(failed)?;
    let prefix = format!("$KV.{}.{tenant}.", names::USERS_BUCKET);
    let mut found = Vec::new();
    while let Some(chunk) = values.next().await.map_err(failed)? {
        for stored in chunk {
            if stored.deleted || !stored.subject.starts_with(&prefix) {
                continue;
            }
            if let Some(told) = present(&stored.payload)? {
                found.push((stored.subject, stored.payload, told));
            }
        }
    }
    found.sort_by(|(a, ..), (b, ..)| a.as_str().cmp(b.as_str()));
    for (_, payload, told) in &found {
        tell(global.output, payload, told)?;
    }
    if found.is_empty() && global.output == Output::Text {
        output::line("nobody is present")?;
    }
    Ok(())
}

/// The value of a key, from the bucket's leader; `None` if there is none.
async fn value(nats: &Nats, bucket: &str, key: &str) -> Result<Option<Bytes>, CliError> {
    let stream = nats.jetstream.get_stream(names::bucket_stream(bucket)).await;
    let stream = stream.map_err(|error| CliError::no_stream(bucket, &error))?;
    match stream.get_last_raw_message_by_subject(&format!("$KV.{bucket}.{key}")).await {
        Ok(message) if message.headers.get("KV-Operation").is_none() => Ok(Some(message.payload)),
        Ok(_) => Ok(None),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::InvalidSubject
            | LastRawMessageErrorKind::JetStream(_)
            | LastRawMessageErrorKind::Other => {
                Err(CliError::Unreachable(format!("the bucket {bucket} can't be read: {error}; try again")))
            }
        },
    }
}

/// The event that a value holds; `None` if it says offline, which a bucket may go on to show for a while.
fn present(payload: &[u8]) -> Result<Option<ToldEvent>, CliError> {
    let told = ToldEvent::read(payload)
        .map_err(|error| CliError::No(format!("the bucket holds something that is no event: {error}")))?;
    let offline = match &told {
        ToldEvent::Session(of) => of.to == State::Offline,
        ToldEvent::User(of) => of.to == State::Offline,
        ToldEvent::Ready(_)
        | ToldEvent::Room(_)
        | ToldEvent::Member(_)
        | ToldEvent::Engine(_)
        | ToldEvent::Rejected(_)
        | ToldEvent::Other { .. } => false,
    };
    Ok((!offline).then_some(told))
}

fn tell(format: Output, payload: &[u8], told: &ToldEvent) -> Result<(), CliError> {
    let line = match format {
        Output::Text => show::standing(told),
        Output::Json => json_line(payload)
            .map(Into::into)
            .map_err(|error| CliError::No(format!("the bucket holds something that is no event: {error}")))?,
    };
    Ok(output::line(&line)?)
}

/// Absent and unknown look alike.
fn absent(global: &Global, args: &Args) -> Result<(), CliError> {
    let user = args.user.as_deref().unwrap_or_default();
    match global.output {
        Output::Text => {
            let who = args.session.as_ref().map_or_else(|| user.to_owned(), |session| format!("{user}/{session}"));
            output::line(&format!("{:<20}  {}", output::printable(&who), State::Offline.as_str()))?;
        }
        Output::Json => {
            let tenant = global.tenant_name();
            output::json(&match &args.session {
                None => json!({ "kind": "user", "tenant": tenant, "user": user, "to": State::Offline }),
                Some(session) => json!({
                    "kind": "session", "tenant": tenant, "user": user, "session": session, "to": State::Offline,
                }),
            })?;
        }
    }
    Ok(())
}
