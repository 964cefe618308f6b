//! A call that rings when both can hear it, and not before.
//!
//! Bob's tab is hidden when Ada calls. She is told why he is not ready, waits, and is connected when he looks.
//!
//!     make examples                             or, beside `make up`:
//!     cargo run --example av_call

#[path = "common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Story, expect, stage};
use presence_engine::client::{Beats, Heartbeats, Presence, Visibility, Wait};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Story {
    let (client, tenant) = stage("av-call").await?;
    let presence = Presence::of(client.clone(), &tenant)?;
    // Bob is out of sight for as long as `hidden_after` of the profile: away from the first beat on, says profile `seed`.
    let beats = || Beats::every(Duration::from_secs(1)).profile("seed").can(["audio", "video"]);
    let ada = Heartbeats::start(client.clone(), &tenant, "ada", "laptop", beats())?;
    let bob = Heartbeats::start(client, &tenant, "bob", "laptop", beats().visibility(Visibility::Hidden))?;
    ada.acknowledged().await?;
    bob.acknowledged().await?;
    println!("ada and bob are online; bob looks at something else");

    let call = Wait::users(["ada", "bob"]).ready_for("audio").hold(Duration::from_millis(200));
    let is_bob = |why: &[(String, String)]| matches!(why, [(user, why)] if user == "bob" && why == "state");
    let mut why = Vec::new();
    // The engine may not have heard both yet.
    for _ in 0..40 {
        let first = presence.wait(&call, Duration::from_millis(500)).await?;
        expect(!first.is_ready(), "the call was connected although nobody at bob's could see it")?;
        why = first.missing.into_iter().map(|missing| (missing.user, missing.why)).collect();
        if is_bob(&why) {
            break;
        }
    }
    for (user, why) in &why {
        println!("ada calls: {user} is not ready for audio ({why})");
    }
    expect(is_bob(&why), format!("bob alone should be missing, for his state: {why:?}"))?;

    println!("ada holds the line");
    let ringing = presence.wait(&call, Duration::from_secs(30));
    let looking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("bob looks at the tab");
        bob.set_visibility(Visibility::Visible);
        bob.input();
    };
    let (ringing, ()) = tokio::join!(ringing, looking);
    let ringing = ringing?;
    expect(ringing.is_ready(), format!("the call was not connected: {:?}", ringing.missing))?;
    for user in &ringing.ready {
        println!("{} is ready, {} in 1000 sure", user.user, user.confidence_permille);
    }
    println!("connected");

    ada.leave().await?;
    bob.leave().await?;
    Ok(())
}
