//! Presence as a signal that decays.
//!
//! Heartbeats arrive on NATS subjects, JetStream orders them into one log, [`fold::Partition`] folds that log without
//! clock or I/O, and what changed goes back to JetStream exactly once. Modules in reading order:
//!
//! 1. [`model`]: what presence is: identities, signals, states, policy, events.
//! 2. [`fold`]: how a partition folds its log: observed time, timing wheel, sessions, users, checkpoints.
//! 3. [`wire`]: bytes ↔ model: subjects, JSON and MessagePack, headers, schemas.
//! 4. [`nats`]: the JetStream edge: streams, log reader, ticks, fenced commits, checkpoints, the embedded server.
//! 5. [`runtime`]: the engine's loop: fence, restore, replay, live, shutdown.
//! 6. [`config`]: text → validated configuration.
//! 7. [`cli`]: a file per verb.
//!
//! Beside them stands [`client`], which speaks to an engine: behind the feature `client`, and on [`model`] alone.
//!
//! The others are behind the feature `engine`, which is on unless a dependent turns it off, and brings `client` with it.

#![warn(unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "engine")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "engine")]
pub mod config;
#[cfg(feature = "engine")]
pub mod fold;
pub mod model;
#[cfg(feature = "engine")]
pub mod nats;
#[cfg(feature = "engine")]
pub mod runtime;
#[cfg(feature = "engine")]
pub mod wire;
