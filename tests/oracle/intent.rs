//! The person's will, and how long it is kept.

use presence_engine::model::policy::DURATION_MS_MAX;
use presence_engine::model::{Intent, Kind, Millis, Signal};

use super::session::Session;
use super::sky::Sky;
use super::user::User;

/// No intent is told for longer than a year.
const INTENT_MAX: Millis = DURATION_MS_MAX;

impl User {
    /// An intent counts if it differs from what this session last said, so that repetition neither renews nor overrules.
    pub(super) fn will(&mut self, session: &mut Session, signal: &Signal, w: Millis) {
        let speaks = matches!(signal.kind, Kind::Heartbeat | Kind::Update);
        if let Some(intent) = signal.intent.filter(|intent| speaks && session.said != Some(*intent)) {
            session.said = Some(intent);
            self.intent = intent;
            self.until = signal.intent_for_ms.map(|length| w + length.min(INTENT_MAX));
            self.until = self.until.filter(|_| intent != Intent::Open);
        }
    }

    /// Forgets what is due at `instant`, an intent too if nobody was there for long.
    pub(super) fn forget(&mut self, instant: Millis, sky: &mut Sky) {
        let policy = sky.policy.clone();
        self.sessions.retain(|_, session| {
            let kept = session.forget_at(&policy).is_none_or(|at| at > instant);
            sky.forgotten = if kept { sky.forgotten } else { session.incarnation.max(sky.forgotten) };
            kept
        });
        if !self.is_here() && self.kept + policy.intent_keep <= instant {
            (self.intent, self.until) = (Intent::Open, None);
        }
    }

    pub(super) fn is_nobody(&self) -> bool {
        self.sessions.is_empty() && self.intent == Intent::Open
    }

    /// What it counts for in the limits of sessions.
    pub(super) fn weight(&self) -> usize {
        self.sessions.len().max(usize::from(self.intent != Intent::Open))
    }
}
