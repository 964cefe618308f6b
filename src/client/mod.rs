//! A client of the engine: a session that beats by itself, and who is here.
//!
//! It needs no more of this crate than the feature `client`, and speaks what any client of NATS could: see the subjects and
//! payloads in `SERVICES.md` and `schemas/`. Names are plain text everywhere; they are escaped into subjects here.
//!
//! ```no_run
//! use std::time::Duration;
//! use presence_engine::client::{Beats, Heartbeats, Presence, Route, Wait};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//!
//! // A session that beats by itself until it leaves.
//! let tab = Heartbeats::start(client.clone(), "main", "ada", "tab-1", Beats::default().can(["audio"]))?;
//!
//! // Who is here, and how sure that is.
//! let presence = Presence::of(client, "main")?;
//! let bob = presence.get("bob").await?;
//! println!("bob is {}, {} in 1000", bob.now.state.as_str(), bob.now.confidence_permille);
//!
//! // Until both can hear each other; else who can't, and why.
//! let call = presence.wait(&Wait::users(["ada", "bob"]).ready_for("audio"), Duration::from_secs(30)).await?;
//! for user in &call.missing {
//!     println!("{} is missing: {}", user.user, user.why);
//! }
//!
//! // Whom to turn to, held for a moment so that nobody else does.
//! let route = Route::room("support").ready_for("audio").reserve(Duration::from_secs(15));
//! if let Some(agent) = presence.route(&route).await?.reservation {
//!     println!("ringing {}", agent.user());
//!     agent.release().await?;
//! }
//! tab.leave().await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod ask;
mod beats;
mod certainty;
mod error;
mod event;
mod facts;
mod filter;
mod gateway;
mod heartbeats;
mod name;
mod presence;
mod question;
mod reader;
mod reservation;
mod resume;
mod voice;
mod watch;

/// What README.md says of it compiles.
#[cfg(doctest)]
#[expect(rustdoc::invalid_codeblock_attributes, reason = "its other blocks say how they are run")]
#[doc = include_str!("../../README.md")]
struct Readme;

pub use self::answer::{
    Candidate, HistoryPage, Latest, Missing, Now, ReadyUser, RoomNow, Segment, Somebody, Status, Then, ThenPage,
    UsersPage, Waited,
};
pub use self::beats::Beats;
pub use self::certainty::{Certainty, Heard, confidence_now};
pub use self::error::Error;
pub use self::event::{Counts, Density, MemberEvent, Next, ReadyEvent, RoomEvent, SessionEvent, UserEvent};
pub use self::filter::{Change, Filter};
pub use self::gateway::{Gateway, GatewayCounts, Gathering};
pub use self::heartbeats::Heartbeats;
pub use self::presence::Presence;
pub use self::question::{History, Page, Route, Wait};
pub use self::reservation::{Reservation, Routed};
pub use self::resume::Resume;
pub use self::watch::Watch;
pub use crate::model::{Intent, Order, State, Transport, Visibility};
