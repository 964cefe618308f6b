//! Whose transitions are meant, and which: the arguments that `watch` and `replay` share.

use super::CliError;
use super::global::Global;
use crate::wire::subject::{self, token};

/// What is wanted beside users' transitions.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Beside {
    /// Sessions' transitions too
    #[arg(long)]
    sessions: bool,
    /// Changes of what users are ready for too
    #[arg(long)]
    ready: bool,
    /// How many are in rooms, and who enters and leaves them
    #[arg(long)]
    rooms: bool,
}

/// The subjects of users' transitions, and of what is wanted beside them; of one user or of the whole tenant.
pub(super) fn subjects(global: &Global, user: Option<&str>, beside: Beside) -> Result<Vec<String>, CliError> {
    let tenant = global.tenant()?;
    let user = user.map(|user| token("user", user)).transpose()?.unwrap_or_else(|| "*".to_owned());
    let mut subjects = vec![subject::user(&subject::user_key(&tenant, &user))];
    if beside.ready {
        subjects.push(subject::ready(&subject::user_key(&tenant, &user)));
    }
    if beside.sessions {
        subjects.push(subject::session(&subject::session_key(&tenant, &user, "*")));
    }
    if beside.rooms {
        subjects.push(subject::room(&subject::room_key(&tenant, "*")));
        subjects.push(subject::member(&subject::room_key(&tenant, "*"), &user));
    }
    Ok(subjects)
}

/// Whether `subject` is one of `patterns`, in which `*` stands for one token.
pub(super) fn is_among(subject: &str, patterns: &[String]) -> bool {
    let matches = |pattern: &String| {
        subject.split('.').count() == pattern.split('.').count()
            && subject.split('.').zip(pattern.split('.')).all(|(token, wanted)| wanted == "*" || token == wanted)
    };
    patterns.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_token() {
        let patterns = ["presence.v1.user.main.*".to_owned()];
        assert!(is_among("presence.v1.user.main.alice", &patterns));
        assert!(!is_among("presence.v1.user.other.alice", &patterns));
        assert!(!is_among("presence.v1.user.main.alice.tab", &patterns));
    }
}
