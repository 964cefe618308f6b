//! Who says what: by the tokens of a subject, or by the fields of a line.

use serde_json::{Map, Value};

use crate::model::Token;
use crate::model::id::{is_text, unescape};

/// A signal of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) tenant: String,
    pub(super) user: String,
    pub(super) session: String,
    pub(super) payload: Vec<u8>,
}

/// Tenant, user and session as plain text, from the last tokens of a subject; without its token where the `tenant` is known.
pub(super) fn names(subject: &str, tenant: Option<&str>) -> Result<[String; 3], String> {
    let mut tokens = subject.rsplit('.');
    let mut name = |what: &str| {
        let text = tokens.next().ok_or_else(|| format!("the subject has no token for the {what}"))?;
        let token = Token::parse(text).map_err(|error| format!("the {what} in the subject: {error}"))?;
        if is_text(token) { Ok(unescape(token)) } else { Err(format!("the {what} in the subject is no UTF-8 text")) }
    };
    let (session, user) = (name("session")?, name("user")?);
    let tenant = tenant.map_or_else(|| name("tenant"), |tenant| Ok(tenant.to_owned()))?;
    Ok([tenant, user, session])
}

/// A line of JSON: `u` and `s`, perhaps `t`, and a signal's fields.
pub(super) fn line(text: &[u8], tenant: &str) -> Result<Said, String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(text)
        .map_err(|error| format!("it is no JSON object ({error}); write one as {{\"u\":\"ada\",\"s\":\"tab-1\"}}"))?;
    let mut name = |key: &str, what: &str| match fields.remove(key) {
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(format!("`{key}` is no text; it has to name the {what}")),
        None => Ok(None),
    };
    let missing = |key: &str, what: &str| format!("`{key}` is missing; it has to name the {what}");
    let user = name("u", "user")?.ok_or_else(|| missing("u", "user"))?;
    let session = name("s", "session")?.ok_or_else(|| missing("s", "session"))?;
    let tenant = name("t", "tenant")?.unwrap_or_else(|| tenant.to_owned());
    let payload = if fields.is_empty() { Vec::new() } else { Value::Object(fields).to_string().into_bytes() };
    Ok(Said { tenant, user, session, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tokens_of_a_subject_are_names() {
        let of = |subject, tenant| names(subject, tenant).map(|names| names.join("|"));
        assert_eq!(of("feed.acme.a=40b.tab", None), Ok("acme|a@b|tab".to_owned()));
        assert_eq!(of("feed.a=40b.tab", Some("other")), Ok("other|a@b|tab".to_owned()));
        assert_eq!(of("acme.tab", None), Err("the subject has no token for the tenant".to_owned()));
        assert!(of("feed.acme.a@b.tab", None).unwrap_err().starts_with("the user in the subject: the byte at 1"));
        assert_eq!(of("feed.acme.a=FF.tab", None), Err("the user in the subject is no UTF-8 text".to_owned()));
    }

    #[test]
    fn a_line_names_its_session_and_says_a_signal() {
        let said = line(br#"{"u":"a@b","s":"tab","seq":5}"#, "main").unwrap();
        let expected = ("main", "a@b", "tab", &br#"{"seq":5}"#[..]);
        assert_eq!((&*said.tenant, &*said.user, &*said.session, &*said.payload), expected);
        let plain = line(br#" {"t":"acme","u":"a","s":"b"} "#, "main").unwrap();
        assert_eq!((&*plain.tenant, &*plain.payload), ("acme", &b""[..]));
        let refused = |text: &str| line(text.as_bytes(), "main").unwrap_err();
        assert_eq!(refused(r#"{"s":"tab"}"#), "`u` is missing; it has to name the user");
        assert_eq!(refused(r#"{"u":"a","s":7}"#), "`s` is no text; it has to name the session");
        assert!(
            refused("hello").starts_with("it is no JSON object (expected value at line 1 column 1); write one as {")
        );
    }
}
