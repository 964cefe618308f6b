//! A document that shows who really looks at it: not who once opened it.
//!
//! Three open it. One closes the lid without a word, one leaves, and one goes invisible; what the others see follows.
//!
//!     make examples                             or, beside `make up`:
//!     cargo run --example who_is_here

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Story, expect, stage};
use futures::StreamExt;
use presence_engine::client::{Beats, Change, Filter, Heartbeats, Intent, Presence, State, Watch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Story {
    let (client, tenant) = stage("who-is-here").await?;
    let presence = Presence::of(client.clone(), &tenant)?;
    let beats = |every| Beats::every(Duration::from_secs(every)).profile("demo").rooms(["document-1"]);
    let ada = Heartbeats::start(client.clone(), &tenant, "ada", "tab", beats(1))?;
    let bob = Heartbeats::start(client.clone(), &tenant, "bob", "tab", beats(1))?;
    // She beats as any client of NATS could, and promises nothing.
    let carol = tokio::spawn(beating(client, format!("presence.v1.signal.{tenant}.carol.tab")));
    ada.acknowledged().await?;
    bob.acknowledged().await?;
    let mut room = presence.members("document-1", None).await?;
    for _ in 0..200 {
        if room.density.users.all() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        room = presence.members("document-1", None).await?;
    }
    for member in &room.members {
        println!("{} has the document open: {}", member.user, member.state.as_str());
    }
    expect(room.density.users.all() == 3, format!("three should be here: {:?}", room.density.users))?;

    let mut watch = presence.watch(Filter::users()).await?;
    let mut here = BTreeMap::new();
    bob.leave().await?;
    until(&mut watch, &mut here, "bob", State::Offline).await?;
    carol.abort();
    println!("carol closes the lid, and nobody is told so");
    for state in [State::Idle, State::Away, State::Stale, State::Offline] {
        until(&mut watch, &mut here, "carol", state).await?;
    }
    let left: Vec<_> =
        here.iter().filter(|(_, state)| **state != State::Offline).map(|(user, _)| user.as_str()).collect();
    println!("who is really here: {}", left.join(", "));
    expect(left == ["ada"], format!("ada alone should be here: {left:?}"))?;
    let room = presence.room("document-1").await?;
    println!("the room has {}, each as sure as {} in 1000", room.density.users.all(), room.density.expected_permille);
    expect(room.density.users.all() == 1, format!("one should be here: {:?}", room.density.users))?;

    println!("ada goes invisible");
    ada.set_intent(Intent::Invisible, None);
    until(&mut watch, &mut here, "ada", State::Offline).await?;
    let own = presence.session("ada", "tab").await?;
    expect(own.now.state != State::Offline, "to herself she should be here")?;
    println!("to the others she has left; to herself she is {}", own.now.state.as_str());
    ada.leave().await?;
    Ok(())
}

/// A beat each second.
async fn beating(client: async_nats::Client, subject: String) {
    for seq in 1_u64.. {
        let beat = format!(r#"{{"epoch":1,"seq":{seq},"profile":"demo","rooms":["document-1"]}}"#);
        client.publish(subject.clone(), beat.into()).await.ok();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Follows until a user is in a state.
async fn until(watch: &mut Watch, here: &mut BTreeMap<String, State>, user: &str, state: State) -> Story {
    let patience = tokio::time::sleep(Duration::from_secs(30));
    tokio::pin!(patience);
    while here.get(user) != Some(&state) {
        let change = tokio::select! {
            change = watch.next() => change.ok_or("what is followed has ended")??,
            () = &mut patience => return Err(format!("{user} was not told {} within 30 s: {here:?}", state.as_str()).into()),
        };
        match change {
            Change::Here(somebody) => drop(here.insert(somebody.user, somebody.state)),
            Change::User(event) => {
                if event.from != event.to {
                    println!("{} is {} now: {}", event.user, event.to.as_str(), event.cause);
                }
                here.insert(event.user, event.to);
            }
            _ => {}
        }
    }
    Ok(())
}
