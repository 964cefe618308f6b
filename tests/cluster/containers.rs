//! NATS servers and engines, each in a container, on a network of their own.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use testcontainers::bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use testcontainers::core::{ContainerRequest, IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use super::reach::reachable;
use super::story::Story;
use crate::common::if_to_be_had;
use crate::common::port::Port;

const SERVER: (&str, &str) = ("nats", "2.15.1-alpine");
/// What scripts/engine-image makes of the binary that was built with this test.
const ENGINE: (&str, &str) = ("presence", "test");
const HOW_MANY: usize = 3;

pub(crate) struct Containers {
    pub(crate) servers: Vec<Container>,
    pub(crate) engines: Vec<Container>,
    /// Begins the name of everything that is this run's.
    run: String,
    /// Where servers are published: Docker would choose others each time, and what was theirs would be anybody's.
    _ports: Vec<Port>,
}

impl Containers {
    /// The servers, as docker-compose.cluster.yml has them; nothing where there can be no containers.
    pub(crate) async fn start(story: &Story) -> Option<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
        let run = format!("presence-{}-{now}", std::process::id());
        let image = if_to_be_had("the engine's image", make_image().await);
        image?;
        let ports: Vec<_> = (0..HOW_MANY).map(|_| Port::take()).collect();
        let servers = ports.iter().enumerate().map(|(n, port)| server(&run, n + 1, port, story));
        let servers = join_all(servers).await;
        let servers = servers.into_iter().collect::<Result<_, _>>();
        let servers = if_to_be_had("NATS in containers (start Docker, and make images by `make image`)", servers)?;
        Some(Self { servers, engines: Vec::new(), run, _ports: ports })
    }

    /// Engines that are started again when they end by themselves, as in docker-compose.cluster.yml.
    pub(crate) async fn start_engines(&mut self, config: &str, story: &Story) {
        let servers: Vec<_> = self.servers.iter().map(|server| format!("nats://{}:4222", server.name)).collect();
        let engines = (1..=HOW_MANY).map(async |n| {
            let request = GenericImage::new(ENGINE.0, ENGINE.1)
                .with_env_var("NATS_URL", servers.join(","))
                .with_env_var("PRESENCE_CONFIG", "/etc/presence.toml")
                .with_env_var("RUST_LOG", "info,async_nats=error")
                .with_copy_to("/etc/presence.toml", config.as_bytes().to_vec())
                .with_host_config_modifier(|host| host.restart_policy = Some(unless_stopped()));
            Container::start(request, &self.run, format!("engine-{n}"), story).await
        });
        let engines = join_all(engines).await;
        self.engines = engines.into_iter().map(|engine| engine.expect("an engine starts")).collect();
    }

    /// Where all servers can be reached from here.
    pub(crate) async fn url(&self) -> String {
        join_all(self.servers.iter().map(Container::url)).await.join(",")
    }

    /// The server of a name that NATS tells.
    pub(crate) fn server(&self, told: &str) -> Option<&Container> {
        self.servers.iter().find(|server| server.is(told))
    }

    /// Where all servers but that one can be reached from here.
    pub(crate) async fn url_without(&self, told: &str) -> String {
        join_all(self.servers.iter().filter(|server| !server.is(told)).map(Container::url)).await.join(",")
    }
}

fn unless_stopped() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), ..RestartPolicy::default() }
}

async fn server(run: &str, number: usize, port: &Port, story: &Story) -> Result<Container, String> {
    let routes: Vec<_> = (1..=HOW_MANY).map(|n| format!("nats://{run}-nats-{n}:6222")).collect();
    let config = include_bytes!("../../config/nats-cluster.conf").to_vec();
    let request = GenericImage::new(SERVER.0, SERVER.1)
        .with_wait_for(WaitFor::message_on_stderr("Server is ready"))
        .with_mapped_port(port.number(), 4222.tcp())
        .with_copy_to("/etc/nats/nats.conf", config)
        .with_env_var("NATS_NAME", format!("nats-{number}"))
        .with_env_var("NATS_SYNC_INTERVAL", "\"2m\"")
        // The names in the file are those of one compose project; other tests may run beside this one.
        .with_cmd(["-c".to_owned(), "/etc/nats/nats.conf".into(), "--routes".into(), routes.join(",")]);
    Container::start(request, run, format!("nats-{number}"), story).await
}

async fn make_image() -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/engine-image");
    said_by(script, &[env!("CARGO_BIN_EXE_presence"), &format!("{}:{}", ENGINE.0, ENGINE.1)]).await.map(drop)
}

/// A container that can be killed and cut off.
pub(crate) struct Container {
    /// As the network's others know it.
    name: String,
    network: String,
    container: ContainerAsync<GenericImage>,
    /// Where its log is kept if the test fails.
    folder: PathBuf,
}

impl Container {
    async fn start(
        request: ContainerRequest<GenericImage>,
        run: &str,
        role: String,
        story: &Story,
    ) -> Result<Self, String> {
        let (name, network) = (format!("{run}-{role}"), run.to_owned());
        let container = request.with_container_name(&name).with_network(&network).start().await;
        let container = container.map_err(|error| format!("{role}: {error}"))?;
        Ok(Self { name, network, container, folder: story.folder().to_owned() })
    }

    pub(crate) async fn url(&self) -> String {
        reachable(&self.container).await
    }

    /// Whether it is the server of a name that NATS tells.
    fn is(&self, told: &str) -> bool {
        self.name == format!("{}-{told}", self.network)
    }

    /// Ends it as a power switch does; what it has on its disk stays.
    pub(crate) async fn kill(&self) {
        self.docker(&["kill", &self.name]).await;
    }

    pub(crate) async fn start_again(&self) {
        self.docker(&["start", &self.name]).await;
    }

    /// Nothing goes between it and the others, while it runs on.
    pub(crate) async fn cut_off(&self) {
        self.docker(&["network", "disconnect", &self.network, &self.name]).await;
    }

    pub(crate) async fn connect_again(&self) {
        self.docker(&["network", "connect", &self.network, &self.name]).await;
    }

    /// Asks it to end and tells with which code it did.
    pub(crate) async fn terminate(&self) -> Option<i64> {
        self.container.stop_with_timeout(Some(30)).await.expect("it can be stopped");
        self.container.exit_code().await.expect("Docker tells how it ended")
    }

    /// How often it was started again since it had ended by itself.
    pub(crate) async fn restarts(&self) -> u64 {
        let told = self.docker(&["inspect", "--format", "{{.RestartCount}}", &self.name]).await;
        told.trim().parse().expect("a number")
    }

    /// All that it has said since it was made.
    pub(crate) async fn said(&self) -> String {
        self.docker(&["logs", &self.name]).await
    }

    async fn docker(&self, words: &[&str]) -> String {
        said_by("docker", words).await.expect("Docker does it")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            keep_log(&self.name, &self.folder);
        }
    }
}

fn keep_log(name: &str, folder: &Path) {
    let output = std::process::Command::new("docker").args(["logs", name]).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat());
    let kept = said.and_then(|said| std::fs::write(folder.join(name), said));
    if let Err(error) = kept {
        eprintln!("the log of {name} is lost: {error}");
    }
}

/// What a command prints, or why it failed.
async fn said_by(command: &str, words: &[&str]) -> Result<String, String> {
    let running = tokio::process::Command::new(command).args(words).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .map_err(|_| format!("{command} {words:?} took more than a minute"))?
        .map_err(|error| format!("{command} can't be started: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{command} {words:?}: {said}")) }
}
