//! Whose transitions are meant: the arguments that `watch` and `replay` share.

use super::CliError;
use super::global::Global;
use crate::wire::subject::{self, Form, token};

/// The subjects of users' transitions, and of sessions' if they are wanted; of one user or of the whole tenant.
pub(super) fn subjects(global: &Global, user: Option<&str>, sessions: bool) -> Result<Vec<String>, CliError> {
    let tenant = global.tenant()?;
    let user = user.map(|user| token("user", user)).transpose()?.unwrap_or_else(|| "*".to_owned());
    let mut subjects = vec![subject::user(Form::Told, &subject::user_key(&tenant, &user))];
    if sessions {
        subjects.push(subject::session(Form::Told, &subject::session_key(&tenant, &user, "*")));
    }
    Ok(subjects)
}
