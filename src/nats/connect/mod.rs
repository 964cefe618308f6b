//! Where the server is and who we are → [`Nats`].

mod context;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, Event, jetstream};
use tracing::{debug, info, warn};

use super::version::{OLDEST, Version};

/// Where the server is where nothing says so.
pub const URL_DEFAULT: &str = "nats://127.0.0.1:4222";
/// Most messages that wait in this process for one subscription; beyond it they are dropped.
pub(super) const SUBSCRIPTION_CAPACITY: usize = 65_536;
/// Most commands that wait in this process for the connection; beyond it, who publishes waits.
const SENDER_CAPACITY: usize = 4_096;
/// Two unanswered pings and the connection counts as dead.
const PING_EVERY: Duration = Duration::from_secs(3);
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
const REQUEST_MAX: Duration = Duration::from_secs(5);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Where the server is and who we are.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// Server URLs, separated by commas; [`URL_DEFAULT`] if nothing says otherwise.
    pub url: Option<String>,
    /// A credentials file.
    pub creds: Option<PathBuf>,
    /// A file that holds an nkey seed.
    pub nkey: Option<PathBuf>,
    /// A user name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A token, from a context only.
    pub token: Option<String>,
    /// Certificates of authorities to trust, PEM.
    pub tls_ca: Option<PathBuf>,
    /// Our certificate, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Our certificate's key, PEM.
    pub tls_key: Option<PathBuf>,
    /// JetStream's domain, from a context only.
    pub domain: Option<String>,
    /// What inboxes begin with, from a context only.
    pub inbox_prefix: Option<String>,
    /// The name of a context of the `nats` tool; see [`ConnectOptions::with_context`].
    pub context: Option<String>,
}

impl std::fmt::Debug for ConnectOptions {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions").field("url", &self.shown_url()).finish_non_exhaustive()
    }
}

/// A connection to NATS. Clones share it.
#[derive(Debug, Clone)]
pub struct Nats {
    /// The core client.
    pub client: Client,
    /// JetStream over it.
    pub jetstream: jetstream::Context,
    options: Arc<ConnectOptions>,
}

/// Why there is no connection. Nothing was changed anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server answered.
    #[error("no NATS server answers at {url} ({cause}): {}", advice(.cause))]
    Unreachable {
        /// What was tried, without passwords.
        url: String,
        /// What happened.
        cause: String,
    },
    /// A server answered and did not let us in.
    #[error(
        "the NATS server at {url} refuses us ({cause}): check --creds, --nkey, --nats-user and --nats-password, or --context"
    )]
    Denied {
        /// What was tried, without passwords.
        url: String,
        /// What was answered.
        cause: String,
    },
    /// The server is older than this engine needs.
    #[error(
        "nats-server {found} is older than {OLDEST}, which atomic commits need: upgrade it, or run `presence up`, which brings its own"
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server has no JetStream.
    #[error(
        "nats-server {found} has no JetStream: start it with `-js`, or with a `jetstream` block in its configuration"
    )]
    NoJetStream {
        /// Its version.
        found: String,
    },
    /// The options are wrong; says which, and what would be right.
    #[error("{0}")]
    Options(String),
}

/// A handshake that fails looks like a broken connection to the client library.
fn advice(cause: &str) -> &'static str {
    let cause = cause.to_lowercase();
    if ["certificate", "tls", "alert"].iter().any(|word| cause.contains(word)) {
        "check --tls-ca, --tls-cert and --tls-key"
    } else {
        "start one with `presence up`, or name another with --server"
    }
}

impl Nats {
    /// Connects. Afterwards the client reconnects by itself, for ever.
    ///
    /// A context has to be filled in before, by [`ConnectOptions::with_context`].
    ///
    /// # Errors
    /// [`ConnectError::Options`] before anything is tried, [`ConnectError::Unreachable`] and [`ConnectError::Denied`]
    /// after it.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let urls = options.urls();
        if urls.is_empty() {
            return Err(ConnectError::Options(format!("--server names no server: write it as {URL_DEFAULT}")));
        }
        let client = options.client_options().await?.connect(&urls).await.map_err(|error| {
            let (url, cause) = (options.shown_url(), error.to_string());
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    ConnectError::Denied { url, cause }
                }
                ConnectErrorKind::ServerParse => ConnectError::Options(format!(
                    "`{url}` is not a server URL ({cause}): write it as nats://host:4222 or tls://host:4222"
                )),
                ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Tls
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects => ConnectError::Unreachable { url, cause },
            }
        })?;
        let builder = jetstream::context::ContextBuilder::new().timeout(REQUEST_MAX);
        let jetstream = match &options.domain {
            Some(domain) => builder.domain(domain).build(client.clone()),
            None => builder.build(client.clone()),
        };
        Ok(Self { client, jetstream, options: Arc::new(options.clone()) })
    }

    /// Another connection to the same servers as the same user, for what strangers send: headers that can't be read end the
    /// connection over which they come, and this one must not.
    ///
    /// # Errors
    /// As [`Nats::connect`].
    pub async fn another(&self) -> Result<Self, ConnectError> {
        Self::connect(&self.options).await
    }

    /// Checks that the server is one that this engine was built on, and that it has JetStream.
    ///
    /// # Errors
    /// [`ConnectError::TooOld`] and [`ConnectError::NoJetStream`].
    pub fn check_server(&self) -> Result<(), ConnectError> {
        let info = self.client.server_info();
        check_version(&info.version)?;
        if info.jetstream { Ok(()) } else { Err(ConnectError::NoJetStream { found: info.version }) }
    }

    /// Whether the client is connected, as far as it knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until the client is connected.
    pub async fn connected(&self) {
        while !self.is_connected() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often a connection was made: when it grows, everything that was under way may be lost.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// Checks a server's version.
///
/// # Errors
/// [`ConnectError::TooOld`], also for what is no version.
pub fn check_version(found: &str) -> Result<(), ConnectError> {
    match Version::parse(found) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => Err(ConnectError::TooOld { found: found.into() }),
    }
}

impl ConnectOptions {
    fn urls(&self) -> Vec<String> {
        let urls = self.url.as_deref().unwrap_or(URL_DEFAULT);
        urls.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect()
    }

    /// The URLs without user names and passwords.
    fn shown_url(&self) -> String {
        let shown = |url: &String| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            (_, None) => url.clone(),
        };
        self.urls().iter().map(shown).collect::<Vec<_>>().join(",")
    }

    async fn client_options(&self) -> Result<async_nats::ConnectOptions, ConnectError> {
        let mut options = async_nats::ConnectOptions::new()
            .name("presence")
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .client_capacity(SENDER_CAPACITY)
            .ping_interval(PING_EVERY)
            .connection_timeout(HANDSHAKE_MAX)
            .request_timeout(Some(REQUEST_MAX))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(|event| async move { tell(&event) });
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        options = self.identify(options).await?;
        self.encrypt(options)
    }

    /// Who we are: the most particular of what is given.
    async fn identify(&self, options: async_nats::ConnectOptions) -> Result<async_nats::ConnectOptions, ConnectError> {
        if let Some(path) = &self.creds {
            return options.credentials_file(path).await.map_err(|error| {
                ConnectError::Options(format!("{} is not a credentials file: {error}", path.display()))
            });
        }
        if let Some(path) = &self.nkey {
            let seed = tokio::fs::read_to_string(path).await.map_err(|error| {
                ConnectError::Options(format!("the nkey seed can't be read from {}: {error}", path.display()))
            })?;
            return Ok(options.nkey(seed.trim().to_owned()));
        }
        if let Some(user) = &self.user {
            return Ok(options.user_and_password(user.clone(), self.password.clone().unwrap_or_default()));
        }
        Ok(match &self.token {
            Some(token) => options.token(token.clone()),
            None => options,
        })
    }

    fn encrypt(&self, mut options: async_nats::ConnectOptions) -> Result<async_nats::ConnectOptions, ConnectError> {
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(readable(ca, "--tls-ca")?).require_tls(true);
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(options
                .add_client_certificate(readable(cert, "--tls-cert")?, readable(key, "--tls-key")?)
                .require_tls(true)),
            (None, None) => Ok(options),
            (Some(_), None) => Err(ConnectError::Options("--tls-cert needs --tls-key beside it".into())),
            (None, Some(_)) => Err(ConnectError::Options("--tls-key needs --tls-cert beside it".into())),
        }
    }
}

fn readable(path: &std::path::Path, option: &str) -> Result<PathBuf, ConnectError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(ConnectError::Options(format!("{option} {} can't be read: {error}", path.display()))),
    }
}

/// At once, then 2, 4, 8 … ms, at most a second.
fn reconnect_delay(attempts: usize) -> Duration {
    match u32::try_from(attempts) {
        Ok(0 | 1) => Duration::ZERO,
        Ok(attempts @ 2..=10) => Duration::from_millis(1 << (attempts - 1)),
        Ok(11..) | Err(_) => RECONNECT_DELAY_MAX,
    }
}

fn tell(event: &Event) {
    match event {
        Event::Connected => info!("connected to NATS"),
        Event::Disconnected => warn!("the connection to NATS is lost, trying to connect again"),
        Event::LameDuckMode => info!("the NATS server is shutting down, it will send us elsewhere"),
        Event::SlowConsumer(sid) => {
            warn!(subscription = sid, "messages of a subscription are dropped: more than {SUBSCRIPTION_CAPACITY} wait");
        }
        Event::ServerError(error) => warn!(%error, "the NATS server complains"),
        // One for each failed attempt.
        Event::ClientError(error) => debug!(%error, "the NATS client complains"),
        Event::Draining | Event::Closed => debug!(%event, "the connection to NATS ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_named_with_what_to_do() {
        let error = check_version("2.10.29").unwrap_err().to_string();
        assert!(error.contains("2.10.29") && error.contains("2.15.1") && error.contains("presence up"), "{error}");
        assert!(check_version("2.15.1").is_ok());
        assert!(check_version("2.16.0-dev").is_ok());
    }

    #[test]
    fn passwords_in_urls_are_never_shown() {
        let url = Some("nats://me:secret@one:4222, two:4222,me:secret@three".to_owned());
        let options = ConnectOptions { url, ..ConnectOptions::default() };
        assert_eq!(options.shown_url(), "nats://one:4222,two:4222,three");
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn reconnects_wait_a_second_at_most() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert_eq!(reconnect_delay(10), Duration::from_millis(512));
        assert_eq!(reconnect_delay(usize::MAX), Duration::from_secs(1));
    }
}
