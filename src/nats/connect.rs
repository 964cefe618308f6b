//! Where the server is and who we are → [`Nats`].

use std::path::PathBuf;

/// Where the server is and who we are. What is given here wins over the context.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// Server URLs, separated by commas.
    pub url: Option<String>,
    /// A credentials file.
    pub creds: Option<PathBuf>,
    /// A file that holds an nkey seed.
    pub nkey: Option<PathBuf>,
    /// A user name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// Certificates of authorities to trust, PEM.
    pub tls_ca: Option<PathBuf>,
    /// Our certificate, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Our certificate's key, PEM.
    pub tls_key: Option<PathBuf>,
    /// The name of a context of the `nats` tool.
    pub context: Option<String>,
}

/// A connection to NATS. Clones share it.
#[derive(Debug, Clone)]
pub struct Nats {
    /// The core client.
    pub client: async_nats::Client,
    /// JetStream over it.
    pub jetstream: async_nats::jetstream::Context,
}

/// Why there is no connection. Nothing was changed anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server answered, or none let us in.
    #[error("{url}: {cause}")]
    Unreachable {
        /// What was tried.
        url: String,
        /// What was answered.
        cause: String,
    },
    /// The server is older than this engine needs.
    #[error("nats-server {found} is older than {wanted}")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that will do.
        wanted: String,
    },
    /// The options are wrong.
    #[error("{0}")]
    Options(String),
}

impl Nats {
    /// Connects; afterwards the client reconnects for ever.
    ///
    /// # Errors
    /// [`ConnectError::Options`] before anything is tried, [`ConnectError::Unreachable`] after it.
    pub async fn connect(_options: &ConnectOptions) -> Result<Self, ConnectError> {
        unimplemented!()
    }

    /// Checks that the server is one that this engine was built on, and that it has JetStream.
    ///
    /// # Errors
    /// [`ConnectError::TooOld`].
    pub fn check_server(&self) -> Result<(), ConnectError> {
        unimplemented!()
    }

    /// Waits until the client is connected.
    pub async fn connected(&self) {
        unimplemented!()
    }
}
