//! Contexts of the `nats` tool: `nats context add …` writes them, `--context NAME` uses them here too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConnectError, ConnectOptions};

/// What of a context file is used. Empty texts are absent, as the tool writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    ca: String,
    cert: String,
    key: String,
    jetstream_domain: String,
    inbox_prefix: String,
}

impl ConnectOptions {
    /// Fills in from the named context what is not given; `env` looks up an environment variable.
    ///
    /// # Errors
    /// [`ConnectError::Options`] if there is no such context or it can't be read; names the file and what to do.
    pub fn with_context(mut self, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConnectError> {
        let Some(name) = &self.context else {
            return Ok(self);
        };
        let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let path = file(name, env("XDG_CONFIG_HOME"), home.as_deref())?;
        let text = std::fs::read_to_string(&path).map_err(|error| {
            ConnectError::Options(format!(
                "context `{name}` can't be read from {}: {error}; `nats context ls` shows which there are",
                path.display()
            ))
        })?;
        let context: Context = serde_json::from_str(&text).map_err(|error| {
            ConnectError::Options(format!("{} is not a context of the nats tool: {error}", path.display()))
        })?;
        self.fill(context, home.as_deref());
        Ok(self)
    }

    fn fill(&mut self, context: Context, home: Option<&Path>) {
        let path = |text: String| given(text).map(|text| expand(&text, home));
        // Who we are is taken as a whole: a password beside another user would be nobody.
        let anonymous = self.user.is_none() && self.token.is_none() && self.creds.is_none() && self.nkey.is_none();
        if anonymous {
            self.user = given(context.user);
            self.password = given(context.password);
            self.token = given(context.token);
            self.creds = path(context.creds);
            self.nkey = path(context.nkey);
        }
        self.url = self.url.take().or(given(context.url));
        self.tls_ca = self.tls_ca.take().or(path(context.ca));
        if self.tls_cert.is_none() {
            self.tls_cert = path(context.cert);
            self.tls_key = path(context.key);
        }
        self.domain = self.domain.take().or(given(context.jetstream_domain));
        self.inbox_prefix = self.inbox_prefix.take().or(given(context.inbox_prefix));
    }
}

/// Where the tool keeps the context `name`.
fn file(name: &str, config_home: Option<OsString>, home: Option<&Path>) -> Result<PathBuf, ConnectError> {
    if name.is_empty() || name.contains(['/', '\\']) || name.contains("..") {
        return Err(ConnectError::Options(format!(
            "`{name}` is not the name of a context, `nats context ls` shows them"
        )));
    }
    let base = config_home
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".config")))
        .ok_or_else(|| {
            ConnectError::Options("neither XDG_CONFIG_HOME nor HOME is set, so no context can be found; set one".into())
        })?;
    Ok(base.join("nats").join("context").join(format!("{name}.json")))
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// `~/file`, as the tool allows it.
fn expand(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(json: &str, options: ConnectOptions) -> Result<ConnectOptions, ConnectError> {
        let dir = tempfile::tempdir().unwrap();
        let contexts = dir.path().join("nats/context");
        std::fs::create_dir_all(&contexts).unwrap();
        std::fs::write(contexts.join("ops.json"), json).unwrap();
        let env = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(dir.path().into()),
            "HOME" => Some("/home/me".into()),
            _ => None,
        };
        ConnectOptions { context: Some("ops".into()), ..options }.with_context(env)
    }

    const OPS: &str = r#"{"description":"", "url":"nats://ops:4222", "user":"", "creds":"~/ops.creds", "ca":"/etc/ca.pem",
        "something_new": {"x": 1}}"#;

    #[test]
    fn a_context_fills_in_what_is_not_given() {
        let options = load(OPS, ConnectOptions::default()).unwrap();
        assert_eq!(options.url.as_deref(), Some("nats://ops:4222"));
        assert_eq!(options.creds.as_deref(), Some(Path::new("/home/me/ops.creds")));
        assert_eq!(options.tls_ca.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(options.user, None);
    }

    #[test]
    fn what_is_given_wins_over_the_context() {
        let given =
            ConnectOptions { url: Some("nats://here".into()), user: Some("me".into()), ..ConnectOptions::default() };
        let options = load(OPS, given).unwrap();
        assert_eq!((options.url.as_deref(), options.user.as_deref()), (Some("nats://here"), Some("me")));
        assert_eq!(options.creds, None, "credentials of somebody else would be somebody else");
    }

    #[test]
    fn a_missing_context_is_named_with_its_file() {
        let options = ConnectOptions { context: Some("nope".into()), ..ConnectOptions::default() };
        let error = options.with_context(|name| (name == "HOME").then(|| "/nowhere".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/.config/nats/context/nope.json"), "{error}");
    }

    #[test]
    fn a_context_name_is_no_path() {
        assert!(file("../secrets", None, Some(Path::new("/"))).is_err());
    }
}
