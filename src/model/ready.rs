//! Whom others may count on: what they want of somebody, whether it is so, and in which order several are asked.

use serde::{Deserialize, Serialize};

use super::{Millis, State};

/// What somebody has to be ready for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// This capability; `None`: any ready state will do.
    pub capability: Option<Box<str>>,
    /// With this confidence at least, in thousandths; `None`: that of the policy.
    pub min_permille: Option<u16>,
}

/// Whether a user is ready for what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It is.
    Ready {
        /// Since when at least, in log time.
        since_ms: Millis,
        /// How probable it is now that the surest session that makes it ready is still there, in thousandths.
        permille: u16,
    },
    /// It isn't.
    Missing(Lack),
}

/// Why a user isn't ready: the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// It is offline, unknown or invisible.
    Offline,
    /// It doesn't want to be disturbed.
    Intent,
    /// No session is in a state of `ready.states`.
    State,
    /// None of those is connected.
    Closed,
    /// None of those can do it.
    Incapable,
    /// None of those is sure enough.
    Unsure,
    /// It is, and not yet for as long as was asked.
    Holding,
}

/// In which order those who are ready are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Best state, then confidence in steps of a tenth, then the least load, then the latest input.
    #[default]
    Best,
    /// The earliest input first.
    LongestIdle,
    /// The least load, then by chance.
    Spread,
}

/// Somebody who is ready, and what decides when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// User token.
    pub user: Box<str>,
    /// The user's state.
    pub state: State,
    /// Since when it has been ready, in log time.
    pub since_ms: Millis,
    /// How probable it is that it is still there, in thousandths.
    pub permille: u16,
    /// The last input of any session, in log time.
    pub last_input_ms: Millis,
    /// In how many rooms it is that count as load.
    pub load: u32,
}

impl Order {
    /// Leaves the first so many, in order.
    pub fn first(self, id: &str, limit: usize, candidates: &mut Vec<Candidate>) {
        if candidates.len() > limit {
            // Those behind need no order.
            candidates.select_nth_unstable_by(limit, |a, b| self.compare(id, a, b));
            candidates.truncate(limit);
        }
        candidates.sort_unstable_by(|a, b| self.compare(id, a, b));
    }

    /// Whether `a` is asked before `b`, by a question of this id. Equal users alone are equal.
    ///
    /// ```
    /// use presence_engine::model::{Candidate, Order, State};
    /// let ada = Candidate {
    ///     user: "ada".into(), state: State::Idle, since_ms: 0, permille: 1_000, last_input_ms: 5, load: 0,
    /// };
    /// let bob = Candidate { user: "bob".into(), state: State::Active, last_input_ms: 9, load: 1, ..ada.clone() };
    /// assert!(Order::Best.compare("id", &bob, &ada).is_lt());
    /// assert!(Order::LongestIdle.compare("id", &ada, &bob).is_lt());
    /// assert!(Order::Spread.compare("id", &ada, &bob).is_lt());
    /// ```
    #[must_use]
    pub fn compare(self, id: &str, a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
        let by_name = || a.user.cmp(&b.user);
        match self {
            Self::Best => {
                let rank = |of: &Candidate| {
                    let (sure, recent) = (u16::MAX - of.permille / 100, Millis::MAX - of.last_input_ms);
                    (of.state, sure, of.load, recent)
                };
                rank(a).cmp(&rank(b)).then_with(by_name)
            }
            Self::LongestIdle => a.last_input_ms.cmp(&b.last_input_ms).then_with(by_name),
            Self::Spread => {
                let chance = |of: &Candidate| lot(id, &of.user);
                a.load.cmp(&b.load).then_with(|| chance(a).cmp(&chance(b))).then_with(by_name)
            }
        }
    }
}

/// Whether a name matches a pattern in which `*` stands for any bytes.
///
/// ```
/// use presence_engine::model::ready::matches;
/// assert!(matches("call-*", "call-7") && !matches("call-*", "recall"));
/// ```
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut rest = rest;
    while let Some((middle, behind)) = rest.split_once('*') {
        let Some(at) = left.find(middle) else { return false };
        (left, rest) = (&left[at + middle.len()..], behind);
    }
    left.ends_with(rest)
}

/// The lot that a user draws in a question: another in each, the same whoever is asked. FNV-1a (64 bits), its bits mixed.
fn lot(id: &str, user: &str) -> u64 {
    let bytes = id.bytes().chain([0]).chain(user.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(user: &str) -> Candidate {
        let (state, permille) = (State::Active, 1_000);
        Candidate { user: user.into(), state, since_ms: 0, permille, last_input_ms: 100, load: 0 }
    }

    fn first(order: Order, candidates: &[Candidate]) -> &str {
        let first = candidates.iter().min_by(|a, b| order.compare("call-1", a, b));
        &first.expect("there is one").user
    }

    #[test]
    fn the_best_is_the_most_present_then_the_surest_then_the_least_busy_then_the_latest_heard() {
        let base = candidate("base");
        let idle = Candidate { state: State::Idle, ..candidate("idle") };
        let unsure = Candidate { permille: 899, ..candidate("unsure") };
        let busy = Candidate { load: 1, ..candidate("busy") };
        let earlier = Candidate { last_input_ms: 99, ..candidate("earlier") };
        for worse in [idle, unsure, busy, earlier] {
            assert_eq!(first(Order::Best, &[worse, base.clone()]), "base");
        }
        let hardly = Candidate { permille: 950, last_input_ms: 101, ..candidate("hardly") };
        let surer = Candidate { permille: 999, ..base };
        assert_eq!(first(Order::Best, &[surer, hardly]), "hardly", "a twentieth is no difference");
    }

    #[test]
    fn lots_spread_questions_over_all_who_are_equal() {
        let users: Vec<_> = (0..8).map(|n| candidate(&format!("agent-{n}"))).collect();
        let mut asked = std::collections::BTreeMap::new();
        for n in 0..800 {
            let id = format!("call-{n}");
            let first = users.iter().min_by(|a, b| Order::Spread.compare(&id, a, b)).unwrap();
            *asked.entry(&first.user).or_insert(0) += 1;
        }
        assert_eq!(asked.len(), 8);
        assert!(asked.values().all(|count| (50..200).contains(count)), "{asked:?}");
    }
}
