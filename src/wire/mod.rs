//! Bytes ↔ model: subjects, payloads, headers, schemas.

mod progress;

pub use progress::Progress;
