//! One session: what its state follows from. Pure.

use serde::Serialize;

use super::evidence::said;
use crate::cli::check::duration;
use crate::fold::{Fall, InspectedSession, Partition};
use crate::model::session::Life;
use crate::model::{Cause, Certainty, Intent, Kind, Millis, NextState, Profile, State, Transport, Visibility};
use crate::nats::LogMessage;
use crate::wire::{plain, signal};

/// What is kept of a session, and why its state is what it is.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    pub(super) session: String,
    pub(super) state: State,
    pub(super) why: String,
    pub(super) last_seen_ms: Millis,
    /// Observed time since the last life sign.
    pub(super) silence_ms: Millis,
    /// Log time since the last life sign that is in no age; absent where the log no longer has that signal.
    pub(super) excused_ms: Option<Millis>,
    /// How much of that its gateway was silent for.
    pub(super) gateway_excused_ms: Millis,
    pub(super) last_input_ms: Millis,
    /// Observed time since the last input.
    pub(super) quiet_ms: Millis,
    /// Whether the client reports input, so that its plain heartbeats are none.
    pub(super) reports_input: bool,
    pub(super) visibility: Visibility,
    pub(super) out_of_sight_ms: Option<Millis>,
    pub(super) transport: Transport,
    pub(super) every_ms: u32,
    pub(super) epoch: Option<u64>,
    pub(super) seq: Option<u64>,
    pub(super) conn: Option<String>,
    pub(super) intent_said: Option<Intent>,
    pub(super) profile: String,
    pub(super) thresholds: Thresholds,
    pub(super) confidence: Confidence,
    /// The way down if nothing more is heard, with what has come of it.
    pub(super) deadlines: Vec<Deadline>,
    /// The last single signal that the log has.
    pub(super) last_signal: Option<LastSignal>,
    pub(super) incarnation: u64,
    pub(super) ordinal: u32,
}

/// The thresholds in force, the promise included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Thresholds {
    pub(super) idle_after_ms: Millis,
    pub(super) away_after_ms: Millis,
    pub(super) stale_after_ms: Millis,
    pub(super) offline_after_ms: Millis,
    pub(super) hidden_after_ms: Millis,
    pub(super) disconnect_grace_ms: Millis,
}

#[derive(Debug, Serialize)]
pub(super) struct Confidence {
    pub(super) permille: u16,
    pub(super) grace_ms: Millis,
    pub(super) half_life_ms: Millis,
}

#[derive(Debug, Serialize)]
pub(super) struct Next {
    pub(super) to: State,
    pub(super) at_ms: Millis,
}

#[derive(Debug, Serialize)]
pub(super) struct Deadline {
    pub(super) to: State,
    pub(super) cause: Cause,
    pub(super) at_ms: Millis,
    /// Observed time until then; absent: it has come.
    pub(super) in_ms: Option<Millis>,
}

#[derive(Debug, Serialize)]
pub(super) struct LastSignal {
    pub(super) entry: u64,
    pub(super) at_ms: Millis,
    pub(super) said: String,
}

impl From<Certainty> for Confidence {
    fn from(of: Certainty) -> Self {
        Self { permille: of.permille, grace_ms: of.grace_ms, half_life_ms: of.half_life_ms }
    }
}

impl From<NextState> for Next {
    fn from(of: NextState) -> Self {
        Self { to: of.to, at_ms: of.at_ms }
    }
}

impl From<&Fall> for Deadline {
    fn from(of: &Fall) -> Self {
        Self { to: of.to, cause: of.cause, at_ms: of.at_ms, in_ms: of.in_ms }
    }
}

impl Session {
    pub(super) fn of(of: &InspectedSession, partition: &Partition, last: Option<&LogMessage>) -> Self {
        let policy = partition.policy();
        let index = policy.profile_index(&of.profile).expect("a session has a profile of its policy");
        let thresholds = Thresholds::of(&policy.profiles[index].1, of);
        Self {
            session: plain(&of.session).into_owned(),
            state: of.state,
            why: why(of, &thresholds),
            last_seen_ms: of.last_seen_ms,
            silence_ms: of.silence_ms,
            excused_ms: last.and_then(|last| excused(of, partition.log_time(), last)),
            gateway_excused_ms: of.gateway_excused_ms,
            last_input_ms: of.last_input_ms,
            quiet_ms: of.quiet_ms,
            reports_input: of.reported,
            visibility: of.visibility,
            out_of_sight_ms: of.out_of_sight_ms,
            transport: of.transport,
            every_ms: of.every_ms,
            epoch: of.epoch,
            seq: of.seq,
            conn: of.conn.as_deref().map(Into::into),
            intent_said: of.said,
            profile: of.profile.as_ref().into(),
            thresholds,
            confidence: of.confidence.into(),
            deadlines: of.falls.iter().map(Into::into).collect(),
            last_signal: last.map(|last| LastSignal { entry: last.seq, at_ms: last.ts_ms, said: said(last) }),
            incarnation: of.incarnation,
            ordinal: of.ordinal,
        }
    }
}

impl Thresholds {
    /// Those of a visible session that promised what this one did, found by asking when it would fall.
    fn of(profile: &Profile, session: &InspectedSession) -> Self {
        let life = Life { every_ms: session.every_ms, reported: session.reported, ..Life::default() };
        // Far apart, each of the two ways down shows by itself.
        const APART: Millis = 1 << 40;
        let quiet = Life { seen: APART, ..life.clone() }.deadlines(profile);
        let silent = Life { input: APART, ..life }.deadlines(profile);
        let (idle, stale) = (quiet.next_below(State::Active), silent.next_below(State::Active));
        Self {
            idle_after_ms: idle + session.stretched_ms,
            away_after_ms: idle + session.stretched_ms + (profile.away_after - profile.idle_after),
            stale_after_ms: stale,
            offline_after_ms: stale + (profile.offline_after - profile.stale_after),
            hidden_after_ms: profile.hidden_after,
            disconnect_grace_ms: profile.disconnect_grace,
        }
    }
}

/// The log time since the last life sign that is in no age, if the log's last signal is that life sign.
fn excused(of: &InspectedSession, log_time: Millis, last: &LogMessage) -> Option<Millis> {
    let decoded = signal::decode(&last.payload, last.content_type.as_deref()).ok()?;
    let is_life_sign = decoded.signal.kind == Kind::Heartbeat && decoded.signal.seq == of.seq;
    if is_life_sign { log_time.saturating_sub(last.ts_ms).checked_sub(of.silence_ms) } else { None }
}

/// The reason for the state, in a sentence.
fn why(of: &InspectedSession, thresholds: &Thresholds) -> String {
    let come = of.falls.iter().rfind(|fall| fall.in_ms.is_none());
    let Some(fall) = come.filter(|fall| fall.to == of.state) else {
        return match of.state {
            State::Active => format!(
                "input {} ago, and idle comes after {} without",
                duration(of.quiet_ms),
                duration(thresholds.idle_after_ms)
            ),
            // It ended by a leave, or by deadlines that its later facts don't show.
            State::Offline => "it ended, and is remembered".to_owned(),
            State::Idle | State::Away | State::Stale => "it was told so, and nothing has changed it since".to_owned(),
        };
    };
    match fall.cause {
        Cause::Quiet => {
            let after = if of.state == State::Idle { thresholds.idle_after_ms } else { thresholds.away_after_ms };
            format!("no input for {}, which is {} or more", duration(of.quiet_ms), duration(after))
        }
        Cause::Silent => {
            let after = if of.state == State::Stale { thresholds.stale_after_ms } else { thresholds.offline_after_ms };
            format!("not heard for {}, which is {} or more", duration(of.silence_ms), duration(after))
        }
        Cause::Hidden => format!(
            "out of sight for {}, which is {} or more",
            duration(of.out_of_sight_ms.unwrap_or_default()),
            duration(thresholds.hidden_after_ms)
        ),
        Cause::Frozen => "suspended by the system, as its last signal said".to_owned(),
        Cause::Disconnected => {
            format!("its connection closed and nothing came within {}", duration(thresholds.disconnect_grace_ms))
        }
        Cause::Left => "it left".to_owned(),
        Cause::Joined
        | Cause::Input
        | Cause::Visible
        | Cause::Resumed
        | Cause::Claimed
        | Cause::Intent
        | Cause::Policy
        | Cause::Updated
        | Cause::Fading
        | Cause::Refreshed => "it was told so".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{Body, Entry, IndexKey};
    use crate::model::{Address, Signal, Token};

    const START: Millis = 1_700_000_000_000;

    /// The only session of a partition to which this was said, so many seconds later, the last ten of them unwatched.
    fn later(said: &Signal, seconds: u64) -> Session {
        let token = |text| Token::parse(text).unwrap();
        let (tenant, user) = (token("main"), token("alice"));
        let address = Address::parse("main.alice.tab=201").unwrap();
        let (mut partition, mut events) = (Partition::new(0, &IndexKey::new(1, 2)), Vec::new());
        partition.apply(&Entry { seq: 1, ts: START, body: Body::Signal(address, said) }, &mut events);
        for second in 1..=seconds {
            let ts = START + 1_000 * second + if second == seconds { 10_000 } else { 0 };
            partition.apply(&Entry { seq: 1 + second, ts, body: Body::Tick { failed: 0 } }, &mut events);
        }
        let last = LogMessage {
            seq: 1,
            ts_ms: START,
            subject: "x".into(),
            payload: signal::encode(said, crate::wire::Encoding::Json).into(),
            content_type: None,
        };
        Session::of(&partition.inspect(tenant, user).unwrap().sessions[0], &partition, Some(&last))
    }

    #[test]
    fn the_reason_has_the_age_and_the_threshold_that_a_promise_moved() {
        let promised = Signal { every_ms: Some(30_000), seq: Some(3), ..Signal::default() };
        let idle = later(&promised, 92);
        assert_eq!((idle.state, idle.session.as_str()), (State::Idle, "tab 1"));
        assert_eq!(idle.why, "no input for 1m 31s, which is 1m 30s or more");
        let expected = Thresholds {
            idle_after_ms: 90_000,
            away_after_ms: 150_000,
            stale_after_ms: 95_000,
            offline_after_ms: 155_000,
            hidden_after_ms: 10_000,
            disconnect_grace_ms: 15_000,
        };
        assert_eq!(idle.thresholds, expected);
        assert_eq!(later(&promised, 97).why, "not heard for 1m 36s, which is 1m 35s or more");
        assert_eq!(later(&Signal::default(), 5).why, "input 4s ago, and idle comes after 1m without");
    }

    #[test]
    fn what_nobody_watched_is_told_apart_from_silence() {
        let session = later(&Signal::default(), 5);
        assert_eq!((session.silence_ms, session.excused_ms), (4_000, Some(11_000)));
        assert_eq!(session.last_signal.unwrap().said, "heartbeat");
    }

    #[test]
    fn out_of_sight_and_leave_are_reasons() {
        let hidden = Signal { visibility: Some(Visibility::Hidden), ..Signal::default() };
        assert_eq!(later(&hidden, 20).why, "out of sight for 19s, which is 10s or more");
        let frozen = Signal { visibility: Some(Visibility::Frozen), ..Signal::default() };
        assert_eq!(later(&frozen, 20).why, "suspended by the system, as its last signal said");
    }
}
