//! `presence signal`: publish a signal of a session, or keep beating.

mod args;

use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::PublishErrorKind;
use serde_json::json;
use tokio::time::MissedTickBehavior;

pub(super) use args::Args;

use super::CliError;
use super::global::{Global, Output};
use super::interrupt::Interrupts;
use super::output;
use crate::model::{Kind, Signal, partition_of};
use crate::nats::{Nats, topology};
use crate::wire::{Encoding, signal::encode, subject};

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let signal = args.signal()?;
    let (tenant, user) = (global.tenant()?, subject::token("user", &args.user)?);
    let subject = subject::signal(global.tenant_name(), &args.user, &args.session)?;
    let nats = global.connect().await?;
    let mut session = Session {
        output: global.output,
        // Who may publish need not be allowed to ask what streams there are.
        partition: topology::partitions(&nats).await.ok().flatten().map(|count| partition_of(&tenant, &user, count)),
        nats,
        subject,
        epoch: millis_now(),
        seq: 0,
    };
    session.say(&signal).await?;
    match args.every {
        Some(every) => session.keep_beating(&signal, every, args).await,
        None => Ok(()),
    }
}

/// A session that this process speaks for. Its start is the epoch, so that what it says comes after all that an earlier
/// process said for the same session.
struct Session {
    nats: Nats,
    output: Output,
    subject: String,
    partition: Option<u16>,
    epoch: u64,
    seq: u64,
}

impl Session {
    /// Publishes `signal` with the next seq, and tells where the log holds it.
    async fn say(&mut self, signal: &Signal) -> Result<(), CliError> {
        self.seq += 1;
        let signal = Signal { epoch: Some(self.epoch), seq: Some(self.seq), ..signal.clone() };
        let entry = self.publish(&signal).await?;
        let Self { subject, partition, epoch, seq, .. } = self;
        match self.output {
            Output::Text => {
                let partition = partition.map_or_else(String::new, |partition| format!(" of partition {partition}"));
                output::line(&format!("{subject}  entry {entry}{partition}  epoch {epoch}  seq {seq}"))?;
            }
            Output::Json => output::json(&json!({
                "subject": subject, "entry": entry, "partition": partition, "epoch": epoch, "seq": seq,
            }))?,
        }
        Ok(())
    }

    /// Says the same every `every`, until it has been said often enough or the process is told to end.
    async fn keep_beating(&mut self, signal: &Signal, every: Duration, args: &Args) -> Result<(), CliError> {
        let interrupts = Interrupts::listen()?;
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while args.count.is_none_or(|count| self.seq < count) {
            tokio::select! {
                _ = beats.tick() => {}
                () = interrupts.first() => break,
            }
            tokio::select! {
                said = self.say(signal) => match said {
                    Ok(()) => {}
                    Err(CliError::Unreachable(why) | CliError::No(why)) => {
                        tracing::warn!("beat {} is lost, the next one comes: {why}", self.seq);
                    }
                    Err(error @ (CliError::NobodyReads | CliError::Usage(_))) => return Err(error),
                },
                () = interrupts.first() => break,
            }
        }
        if args.leave_at_end {
            self.say(&Signal { kind: Kind::Leave, ..Signal::default() }).await?;
        }
        Ok(())
    }

    /// Publishes and waits for the acknowledgement; the sequence of the entry.
    async fn publish(&self, signal: &Signal) -> Result<u64, CliError> {
        let payload = encode(signal, Encoding::Json);
        let stored = async {
            let acknowledged = self.nats.jetstream.publish(self.subject.clone(), payload.into()).await?;
            acknowledged.await
        };
        let error = match stored.await {
            Ok(ack) => return Ok(ack.sequence),
            Err(error) => error,
        };
        let subject = &self.subject;
        Err(match error.kind() {
            PublishErrorKind::StreamNotFound => CliError::No(format!(
                "no stream takes {subject}, so nothing was stored: run `presence setup`, or an engine, which sets it up itself"
            )),
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                CliError::Unreachable(format!(
                    "{subject} was not acknowledged ({error}); it may be stored or not: say it again once NATS is there"
                ))
            }
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => CliError::No(format!(
                "the log refused {subject} ({error}); look at the stream with `nats stream info PRESENCE_LOG`"
            )),
        })
    }
}

/// This machine's clock: only the order of this session's own starts depends on it.
fn millis_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
