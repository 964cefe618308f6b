//! Options that every verb takes: where the server is, who we are, which tenant, which configuration, how to print.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::CliError;
use crate::config::Config;
use crate::nats::{ConnectOptions, Nats};
use crate::wire::subject::token;

/// The options. Without `Debug`, since a password is among them.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// NATS servers, separated by commas [default: nats://127.0.0.1:4222]
    #[arg(short, long, global = true, env = "NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(super) server: Option<String>,
    /// Connect as this context of the `nats` tool does
    #[arg(long, global = true, env = "NATS_CONTEXT", value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Credentials file
    #[arg(long, global = true, env = "NATS_CREDS", value_name = "FILE")]
    creds: Option<PathBuf>,
    /// File with an nkey seed
    #[arg(long, global = true, env = "NATS_NKEY", value_name = "FILE")]
    nkey: Option<PathBuf>,
    /// User name at the server
    #[arg(long, global = true, env = "NATS_USER", value_name = "NAME")]
    nats_user: Option<String>,
    /// Password at the server; better given by the environment
    #[arg(long, global = true, env = "NATS_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    nats_password: Option<String>,
    /// Authorities to trust, PEM
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, global = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Our certificate's key, PEM
    #[arg(long, global = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The tenant
    #[arg(short, long, global = true, env = "PRESENCE_TENANT", default_value = TENANT_DEFAULT, value_name = "NAME")]
    tenant: String,
    /// Configuration; without it every key has its default, see config/presence.toml
    #[arg(long, global = true, env = "PRESENCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to print results
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(super) output: Output,
}

/// The tenant where nothing names one.
pub(super) const TENANT_DEFAULT: &str = "main";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    // Comments and not documentation: these would make every page of help twice as long.
    // For people.
    Text,
    // For programs: a JSON value a line.
    Json,
}

impl Global {
    /// Connects, and checks that the server will do.
    pub(super) async fn connect(&self) -> Result<Nats, CliError> {
        let nats = Nats::connect(&self.connect_options()?).await?;
        nats.check_server()?;
        Ok(nats)
    }

    fn connect_options(&self) -> Result<ConnectOptions, CliError> {
        let options = ConnectOptions {
            url: self.server.clone().filter(|url| !url.is_empty()),
            creds: self.creds.clone(),
            nkey: self.nkey.clone(),
            user: self.nats_user.clone(),
            password: self.nats_password.clone(),
            tls_ca: self.tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            context: self.context.clone(),
            ..ConnectOptions::default()
        };
        Ok(options.with_context(|name| std::env::var_os(name))?)
    }

    /// The tenant's token.
    pub(super) fn tenant(&self) -> Result<String, CliError> {
        Ok(token("tenant", &self.tenant)?)
    }

    /// The tenant as it was given.
    pub(super) fn tenant_name(&self) -> &str {
        &self.tenant
    }

    /// The configuration that was named, or the default one.
    pub(super) fn config(&self) -> Result<Config, CliError> {
        self.config.as_deref().map_or_else(|| Ok(Config::default()), Self::config_of)
    }

    /// The configuration in a file.
    pub(super) fn config_of(path: &Path) -> Result<Config, CliError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::Usage(format!(
                "the configuration {} can't be read: {error}; name another by --config or PRESENCE_CONFIG, or none",
                path.display()
            ))
        })?;
        Config::parse(&text).map_err(|errors| {
            let told: Vec<_> = errors.0.iter().map(|error| format!("\n  {error}")).collect();
            CliError::Usage(format!("the configuration {} is refused:{}", path.display(), told.concat()))
        })
    }

    /// The configuration with `profile` as the one of sessions that name none.
    pub(super) fn config_with_profile(&self, profile: Option<&str>) -> Result<Config, CliError> {
        let mut config = self.config()?;
        if let Some(profile) = profile {
            config.use_profile(profile).map_err(|error| CliError::Usage(format!("--profile: {error}")))?;
        }
        Ok(config)
    }

    /// Whether a configuration was named.
    pub(super) fn names_config(&self) -> bool {
        self.config.is_some()
    }

    /// What the configuration came from, for people.
    pub(super) fn config_name(&self) -> String {
        self.config.as_ref().map_or_else(|| "the built-in configuration".to_owned(), |path| path.display().to_string())
    }
}
