//! The stories of examples/ come out as they say, in Rust and in Python, beside an engine with profile `demo`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::engine::Engine;
use common::{TestServer, soon};
use tokio::process::Command;

const DEMO: &str = "[engine]\nprofile = \"demo\"\npartitions = 8\n";

/// Cargo builds examples beside the binary when it builds all tests; for one test alone, `cargo build --examples` does.
fn of_rust(name: &str) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_presence")).with_file_name("examples").join(name);
    assert!(built.is_file(), "{} is missing: `cargo build --examples` builds it", built.display());
    Command::new(built)
}

fn of_python(name: &str) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let nats = root.join(".tools/python");
    assert!(nats.is_dir(), "{} is missing: `make tools` fetches it", nats.display());
    let mut command = Command::new("python3");
    command.arg(root.join("examples/python").join(name).with_extension("py")).env("PYTHONPATH", nats);
    command
}

/// Plays a story to its end; what it printed.
async fn play(mut story: Command) -> String {
    let server = TestServer::start().await;
    let _engine = Engine::start(&server.url(), DEMO).await;
    story.env("NATS_URL", server.url()).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("the story ends", story.output()).await.expect("it can be started");
    let (told, trouble) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{told}{trouble}", output.status);
    told.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_rings_when_both_can_hear_it() {
    for story in [of_rust("av_call"), of_python("av_call")] {
        let told = play(story).await;
        assert!(told.ends_with("connected\n"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_desk_rings_one_agent_for_one_customer() {
    for story in [of_rust("support_desk"), of_python("support_desk")] {
        let told = play(story).await;
        assert!(told.contains("customer-3 has to wait") && told.contains("customer-3 rings"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_shows_who_is_really_there() {
    for story in [of_rust("who_is_here"), of_python("who_is_here")] {
        let told = play(story).await;
        assert!(told.contains("who is really here: ada\n"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_many_connections_publishes_them_together() {
    for story in [of_rust("gateway"), of_python("gateway")] {
        let told = play(story).await;
        assert!(
            told.contains("30 are here") && told.contains("29 are here") && told.contains("the log has 91 signals"),
            "{told}"
        );
    }
}
