//! What `presence up` and `presence run` print once the engine is live.

use std::path::Path;

use serde_json::json;

use super::CliError;
use super::check::duration;
use super::global::{Global, Output, TENANT_DEFAULT};
use super::output;
use crate::config::Config;
use crate::nats::connect::URL_DEFAULT;
use crate::wire::subject;

/// What is to be told once the engine is live: where it is, its subjects, and what to try.
pub(super) struct Announcement {
    output: Output,
    tenant: String,
    tenant_option: String,
    profile: String,
    ladder: String,
    url: String,
    data: Option<String>,
    /// How the person would call this program again.
    program: String,
}

impl Announcement {
    pub(super) fn new(global: &Global, config: &Config) -> Result<Self, CliError> {
        let (name, profile) = &config.policy.profiles[config.policy.default_index()];
        let ladder = [
            ("idle", profile.idle_after),
            ("away", profile.away_after),
            ("stale", profile.stale_after),
            ("offline", profile.offline_after),
        ];
        let ladder: Vec<_> = ladder.iter().map(|(state, after)| format!("{state} {}", duration(*after))).collect();
        let url = global.server.as_deref().map_or_else(|| URL_DEFAULT.to_owned(), without_password);
        Ok(Self {
            output: global.output,
            tenant: global.tenant()?,
            tenant_option: tenant_option(global.tenant_name()),
            profile: name.to_string(),
            ladder: ladder.join(", "),
            url,
            data: None,
            program: std::env::args().next().unwrap_or_else(|| "presence".to_owned()),
        })
    }

    /// The same for a server of our own.
    pub(super) fn with_server(self, url: &str, data: &Path) -> Self {
        Self { url: url.to_owned(), data: Some(data.display().to_string()), ..self }
    }

    /// Prints it. Nobody to read it is no reason not to run.
    pub(super) fn tell(&self) {
        let told = match self.output {
            Output::Text => output::line(&self.text()),
            Output::Json => output::json(&json!({
                "url": self.url,
                "data": self.data,
                "profile": self.profile,
                "subjects": {
                    "signal": self.signal("<user>", "<session>"),
                    "user": self.user(),
                    "session": self.session(),
                },
            })),
        };
        if let Err(error) = told {
            tracing::debug!(%error, "nobody reads standard output");
        }
    }

    fn text(&self) -> String {
        let Self { url, profile, ladder, program, .. } = self;
        let data = self.data.as_ref().map_or_else(String::new, |data| format!(", data in {data}"));
        let (options, server) = (self.options(), self.server_option());
        let (signal, user, session) = (self.signal("<user>", "<session>"), self.user(), self.session());
        let from_nats = self.signal("alice", "phone");
        format!(
            "presence is live at {url}{data}
profile {profile}: {ladder}

  heartbeats in      {signal}
  transitions out    {user}
                     {session}

In another terminal, try

  {program}{options} watch --sessions
  {program}{options} signal alice laptop
  nats{server} pub {from_nats} ''

Ctrl-C ends it.
"
        )
    }

    fn signal(&self, user: &str, session: &str) -> String {
        format!("{}.{}", subject::SIGNAL, subject::session_key(&self.tenant, user, session))
    }

    fn user(&self) -> String {
        subject::user(&subject::user_key(&self.tenant, "<user>"))
    }

    fn session(&self) -> String {
        subject::session(&subject::session_key(&self.tenant, "<user>", "<session>"))
    }

    /// What other verbs need to find the same server and tenant.
    fn options(&self) -> String {
        format!("{}{}", self.server_option(), self.tenant_option)
    }

    fn server_option(&self) -> String {
        if self.url == URL_DEFAULT { String::new() } else { format!(" --server {}", quoted(&self.url)) }
    }
}

fn tenant_option(tenant: &str) -> String {
    if tenant == TENANT_DEFAULT { String::new() } else { format!(" --tenant {}", quoted(tenant)) }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Server URLs without who we are.
fn without_password(urls: &str) -> String {
    let bare = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => url.to_owned(),
    };
    urls.split(',').map(bare).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_the_shell_stay_one_word() {
        assert_eq!(quoted("nats://127.0.0.1:4333"), "nats://127.0.0.1:4333");
        assert_eq!(quoted("a b'c"), "'a b'\\''c'");
        assert_eq!(tenant_option("main"), "");
    }

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_password("nats://me:secret@one:4222,me:secret@two"), "nats://one:4222,two");
    }
}
