//! For how long somebody has been ready, where the fold doesn't keep it: what is looked at again and again is remembered from one look
//! to the next.
//!
//! The fold knows since when a user is told to be ready for a capability. For other wants it knows only that nothing was told
//! and nothing heard since some moment, which each heartbeat moves on. Two looks know more: see [`Carrier::lasted_since`].

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::fold::Carrier;
use crate::model::{Millis, Token, Want};

/// Most users and wants that are remembered; of those beyond it is known what the fold knows.
const KNOWN_MAX: usize = 65_536;
/// What nobody looked at for so long is forgotten. Who asks again behind an answer is faster.
const KEPT: Duration = Duration::from_secs(30);

/// `<tenant>.<user>`, the capability, and the least confidence.
type Wanted = (Box<str>, Option<Box<str>>, Option<u16>);

/// How those were who were looked at, the last time.
#[derive(Debug)]
pub(crate) struct Lasting {
    known: HashMap<Wanted, Looked>,
    swept: Instant,
}

#[derive(Debug)]
struct Looked {
    partition: u16,
    since_ms: Millis,
    /// None where it was not ready.
    carriers: Vec<Carrier>,
    at: Instant,
}

impl Lasting {
    /// Nothing was looked at yet.
    pub(crate) fn new() -> Self {
        Self { known: HashMap::new(), swept: Instant::now() }
    }

    /// Itself where something is to be remembered: it matters for how long, and the fold doesn't know.
    pub(crate) fn wanted(&mut self, is_lasting: bool, want: &Want) -> Option<&mut Self> {
        (is_lasting && (want.capability.is_none() || want.min_permille.is_some())).then_some(self)
    }

    /// Since when somebody has been ready who is so by these sessions now, as far as the fold knows since `since_ms`.
    pub(crate) fn since(
        &mut self,
        partition: u16,
        (tenant, user, want): (Token<'_>, Token<'_>, &Want),
        since_ms: Millis,
        carriers: Vec<Carrier>,
    ) -> Millis {
        let at = Instant::now();
        if at.saturating_duration_since(self.swept) > KEPT / 2 {
            self.swept = at;
            self.known.retain(|_, looked| at.saturating_duration_since(looked.at) <= KEPT);
        }
        let wanted = wanted(tenant, user, want);
        let before = self.known.get(&wanted);
        let lasts = |before: &Looked| {
            carriers.iter().any(|now| before.carriers.iter().any(|carrier| now.lasted_since(carrier)))
        };
        let since_ms = match before {
            None => since_ms,
            Some(before) if lasts(before) => before.since_ms.min(since_ms),
            // Between the two looks it may have been less sure, of which nothing is told.
            Some(_) => since_ms.max(carriers.iter().map(Carrier::seen_ms).min().unwrap_or(since_ms)),
        };
        self.keep(wanted, Looked { partition, since_ms, carriers, at });
        since_ms
    }

    /// Somebody is not ready now.
    pub(crate) fn broke(&mut self, partition: u16, (tenant, user, want): (Token<'_>, Token<'_>, &Want)) {
        let looked = Looked { partition, since_ms: Millis::MAX, carriers: Vec::new(), at: Instant::now() };
        self.keep(wanted(tenant, user, want), looked);
    }

    fn keep(&mut self, wanted: Wanted, looked: Looked) {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&wanted) {
            self.known.insert(wanted, looked);
        }
    }

    /// A partition is another engine's: what it will be when it comes back was not looked at.
    pub(crate) fn forget(&mut self, partition: u16) {
        self.known.retain(|_, looked| looked.partition != partition);
    }
}

fn wanted(tenant: Token<'_>, user: Token<'_>, want: &Want) -> Wanted {
    (format!("{tenant}.{user}").into(), want.capability.clone(), want.min_permille)
}

#[cfg(test)]
mod tests;
