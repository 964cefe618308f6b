//! Configuration: text → a validated [`Config`]. Opens nothing and asks no environment; the command line reads the file.
//!
//! `config/presence.toml` holds every key with its default and the reason for it.

mod error;
mod flap;
mod read;
mod reader;
mod similar;
mod table;
mod value;

use std::time::Duration;

use crate::model::Policy;

pub use error::{ConfigError, ConfigErrors};
pub use flap::Warning;

/// All that an engine must be told, valid as a whole.
///
/// ```
/// use presence_engine::config::Config;
/// let config = Config::parse("[engine]\npartitions = 8\n[profile.default]\nidle_after = \"90s\"").unwrap();
/// assert_eq!(config.engine.partitions, 8);
/// assert_eq!(config.policy.profiles[0].1.idle_after, 90_000);
///
/// let errors = Config::parse("[engine]\npartitons = 8").unwrap_err();
/// assert_eq!(errors.to_string(), "line 2: there is no key engine.partitons; did you mean engine.partitions?");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// How the engine runs, and what its streams are.
    pub engine: EngineConfig,
    /// What the fold must know; checked by [`Policy::check`].
    pub policy: Policy,
    /// How events are written.
    pub encoding: Encoding,
    /// Which rooms count as load where somebody is looked for, see [`matches`](crate::model::ready::matches).
    pub load_rooms: LoadRooms,
    /// Limits of the engine's loop; the fold's own are in the policy.
    pub limits: EngineLimits,
}

/// Section `[engine]` without what belongs to the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Partitions of the log, 1 to [`PARTITIONS_MAX`](crate::model::PARTITIONS_MAX). Fixed once the log's stream exists.
    pub partitions: u16,
    /// Copies of each stream in a cluster, 1 to 5.
    pub replicas: u8,
    /// Where the streams are kept.
    pub storage: Storage,
    /// Least time between two ticks; 10 ms to 1 s.
    pub tick: Duration,
    /// Time between two checkpoints of a partition; 1 s to 1 h.
    pub checkpoint_every: Duration,
    /// How long the log keeps its entries; at least four times `checkpoint_every`.
    pub log_retention: Duration,
    /// How long events are kept for replay and history.
    pub event_retention: Duration,
    /// An engine that is silent for so long is taken for dead; 100 ms to 1 min.
    pub lease_ttl: Duration,
}

/// A pattern of rooms; `*` in it stands for any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRooms(pub Box<str>);

impl Default for LoadRooms {
    fn default() -> Self {
        Self("call-*".into())
    }
}

/// Where streams are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// On the servers' disks.
    #[default]
    File,
    /// In the servers' memory: gone when they are.
    Memory,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// MessagePack.
    MsgPack,
}

/// Limits of the engine's loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Most events that wait for their commit; at it the engine stops reading the log until a commit is done.
    pub pending_events: usize,
    /// Most messages of one atomic batch, at most the server's 1,000.
    pub batch_messages: usize,
    /// Most questions that one engine is at, but for those that wait; more are answered 429.
    pub questions: usize,
    /// Most questions that wait in one engine.
    pub waits: usize,
    /// Most of one tenant's that do.
    pub waits_per_tenant: usize,
    /// Most messages of PRESENCE_EVENTS that one question about the past reads.
    pub history_events: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            partitions: 64,
            replicas: 1,
            storage: Storage::default(),
            tick: Duration::from_millis(100),
            checkpoint_every: Duration::from_secs(30),
            log_retention: Duration::from_secs(15 * 60),
            event_retention: Duration::from_secs(7 * 24 * 3_600),
            lease_ttl: Duration::from_secs(3),
        }
    }
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            pending_events: 100_000,
            batch_messages: 900,
            questions: 1_024,
            waits: 20_000,
            waits_per_tenant: 10_000,
            history_events: 1_000_000,
        }
    }
}

impl Config {
    /// Reads `text`, TOML with the sections that `config/presence.toml` shows. An absent key has its default.
    ///
    /// # Errors
    /// Every unknown key, wrong type and value out of range, each with its path and line, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, ConfigErrors> {
        read::config(text)
    }

    /// Makes `name` the profile of sessions that name none.
    ///
    /// # Errors
    /// [`ConfigError::NoProfile`]; the configuration is as before.
    pub fn use_profile(&mut self, name: &str) -> Result<(), ConfigError> {
        if self.policy.profile_index(name).is_none() {
            return Err(ConfigError::no_profile(name, None, &self.policy));
        }
        self.policy.default_profile = name.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
