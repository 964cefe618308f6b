//! Presence.
fn main() {}
