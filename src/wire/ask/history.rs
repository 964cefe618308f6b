//! What is asked of the past, and what is answered: the verb `history`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AskError, PAGE_DEFAULT};
use crate::model::{Millis, State};
use crate::wire::Encoding;
use crate::wire::subject::token;

/// Most segments, or users, of one page of the past: each page reads again what is kept, so pages are longer than elsewhere.
pub const HISTORY_PAGE_MAX: usize = 1_000;

/// A question about the past: what a user was between two times, or who was here at one. Names are plain text.
///
/// ```
/// use presence_engine::wire::ask::{AskedOf, HistoryQuestion};
/// let question = HistoryQuestion { user: Some("carol@x".into()), ..HistoryQuestion::default() };
/// assert!(matches!(question.check(), Ok(AskedOf::User { user, limit: 100, .. }) if user == "carol=40x"));
/// assert!(HistoryQuestion::default().check().is_err(), "neither a user nor a time");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryQuestion {
    /// Of whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// From when on; where absent, from where what is kept of the user begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<Millis>,
    /// Until when; where absent, until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<Millis>,
    /// Instead of a user: who was here at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// With `at_ms`: who was in that room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// What the page before ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many segments or users at most, 1 to 1000; 100 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A question that was checked. Names are tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedOf {
    /// What a user was.
    User {
        /// The user.
        user: String,
        /// From when on.
        from_ms: Option<Millis>,
        /// Until when, not before `from_ms`.
        to_ms: Option<Millis>,
        /// How many segments at most.
        limit: usize,
    },
    /// Who was here.
    Time {
        /// When.
        at_ms: Millis,
        /// Only who was in this room.
        room: Option<String>,
        /// Only users behind this one.
        after: Option<String>,
        /// How many users at most.
        limit: usize,
    },
}

impl HistoryQuestion {
    /// Checks every field.
    ///
    /// # Errors
    /// [`AskError::Malformed`] with the value and the limit.
    pub fn check(&self) -> Result<AskedOf, AskError> {
        let limit = self.limit()?;
        match (&self.user, self.at_ms) {
            (Some(user), None) => {
                if self.room.is_some() {
                    return Err(malformed("room goes with at_ms, and not with user: who was in it at that time"));
                }
                let after = self.after.as_deref().map(Cursor::parse).transpose()?;
                let (from_ms, to_ms) = match after {
                    Some(Cursor { from_ms, to_ms }) => (Some(from_ms), Some(to_ms)),
                    None => (self.from_ms, self.to_ms),
                };
                if let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms)
                    && from_ms > to_ms
                {
                    return Err(malformed(format!(
                        "from_ms is {from_ms}, it must not be after to_ms, which is {to_ms}"
                    )));
                }
                Ok(AskedOf::User { user: named("user", user)?, from_ms, to_ms, limit })
            }
            (None, Some(at_ms)) => {
                if self.from_ms.is_some() || self.to_ms.is_some() {
                    return Err(malformed("from_ms and to_ms go with user, and not with at_ms, which is one time"));
                }
                let room = self.room.as_deref().map(|room| named("room", room)).transpose()?;
                let after = self.after.as_deref().map(|after| named("after", after)).transpose()?;
                Ok(AskedOf::Time { at_ms, room, after, limit })
            }
            (None, None) => Err(malformed("neither user nor at_ms is there: name one of them")),
            (Some(_), Some(_)) => Err(malformed("both user and at_ms are there: name one of them")),
        }
    }

    fn limit(&self) -> Result<usize, AskError> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT as u64);
        let in_range = usize::try_from(limit).ok().filter(|limit| (1..=HISTORY_PAGE_MAX).contains(limit));
        in_range.ok_or_else(|| malformed(format!("limit is {limit}; allowed are 1 to {HISTORY_PAGE_MAX}")))
    }
}

/// Where a page of segments goes on, and where all of them end. For whoever asks it is just a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Where the next segment begins.
    pub from_ms: Millis,
    /// Where the last one ends.
    pub to_ms: Millis,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, AskError> {
        let cursor = text.split_once('-').and_then(|(from, to)| {
            let cursor = Self { from_ms: from.parse().ok()?, to_ms: to.parse().ok()? };
            // One spelling each: what no answer gave is none.
            (cursor.from_ms <= cursor.to_ms && cursor.to_string() == text).then_some(cursor)
        });
        cursor.ok_or_else(|| {
            let shown: String = text.chars().take(48).collect();
            malformed(format!(
                "after is `{shown}`, which is no end of a page: take it from the answer before, as it is"
            ))
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from_ms, self.to_ms)
    }
}

/// What is answered about the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HistoryAnswer {
    /// What a user was.
    User(UserHistory),
    /// Who was here.
    Time(WhoWasHere),
}

impl HistoryAnswer {
    /// The answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }
}

/// What a user was, as segments without a gap or an overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserHistory {
    /// The user.
    pub user: String,
    /// In their order.
    pub segments: Vec<Segment>,
    /// Ask with it for what comes behind these; `null` behind the last.
    pub after: Option<String>,
    /// When the oldest event that is kept of the user happened; `null`: none is kept.
    pub kept_from_ms: Option<Millis>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// A time in which a user was the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// What it was.
    pub state: Past,
    /// From when on.
    pub from_ms: Millis,
    /// Until when, exclusive.
    pub to_ms: Millis,
    /// Why it came into this state, which may have been in an earlier segment; `null` where no event that is kept says so.
    pub cause: Option<String>,
    /// `false`: nobody watched, so the state is what it was before.
    pub observed: bool,
}

/// A state in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Past {
    /// Active.
    Active,
    /// Idle.
    Idle,
    /// Away.
    Away,
    /// Stale.
    Stale,
    /// Not here, for whatever reason.
    Offline,
    /// What is kept does not reach that far.
    Unknown,
}

impl Past {
    /// The name in payloads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => State::Active.as_str(),
            Self::Idle => State::Idle.as_str(),
            Self::Away => State::Away.as_str(),
            Self::Stale => State::Stale.as_str(),
            Self::Offline => State::Offline.as_str(),
            Self::Unknown => "unknown",
        }
    }
}

impl From<State> for Past {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Idle => Self::Idle,
            State::Away => Self::Away,
            State::Stale => Self::Stale,
            State::Offline => Self::Offline,
        }
    }
}

/// Who was here at some time, by the order of the users' tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoWasHere {
    /// When.
    pub at_ms: Millis,
    /// The room, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// All who were not offline.
    pub users: Vec<WasHere>,
    /// The last of them, to ask for those behind it; `null` where nobody is.
    pub after: Option<String>,
    /// When the oldest event that is kept of any user of the tenant happened; `null`: none of that time is kept.
    pub kept_from_ms: Option<Millis>,
    /// The log time up to which the answer knows.
    pub as_of_ms: Millis,
}

/// One who was here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WasHere {
    /// The user.
    pub user: String,
    /// What it was; with a room, in that room.
    #[schemars(schema_with = "crate::wire::schema::names::<State>")]
    pub state: State,
    /// Since when it was that, there; `null` where what is kept does not reach that far.
    pub since_ms: Option<Millis>,
}

fn named(what: &'static str, plain: &str) -> Result<String, AskError> {
    token(what, plain).map_err(|error| AskError::Malformed(error.to_string()))
}

fn malformed(why: impl Into<String>) -> AskError {
    AskError::Malformed(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str) -> Result<AskedOf, String> {
        let question: HistoryQuestion = serde_json::from_str(question).map_err(|error| error.to_string())?;
        question.check().map_err(|error| error.to_string())
    }

    #[test]
    fn a_question_is_of_a_user_or_of_a_time() {
        let user = AskedOf::User { user: "ada".into(), from_ms: Some(5), to_ms: Some(5), limit: 1_000 };
        assert_eq!(asked(r#"{"user":"ada","from_ms":5,"to_ms":5,"limit":1000,"new":true}"#), Ok(user));
        let time = AskedOf::Time { at_ms: 9, room: Some("a=20b".into()), after: Some("c=40x".into()), limit: 100 };
        assert_eq!(asked(r#"{"at_ms":9,"room":"a b","after":"c@x"}"#), Ok(time));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_value_and_the_limit() {
        for (question, why) in [
            ("{}", "neither user nor at_ms is there: name one of them"),
            (r#"{"user":"ada","at_ms":1}"#, "both user and at_ms are there: name one of them"),
            (r#"{"user":""}"#, "user: a name must not be empty"),
            (r#"{"at_ms":1,"room":""}"#, "room: a name must not be empty"),
            (r#"{"at_ms":1,"after":""}"#, "after: a name must not be empty"),
            (r#"{"user":"ada","room":"lobby"}"#, "room goes with at_ms, and not with user: who was in it at that time"),
            (r#"{"at_ms":1,"to_ms":1}"#, "from_ms and to_ms go with user, and not with at_ms, which is one time"),
            (r#"{"user":"ada","from_ms":6,"to_ms":5}"#, "from_ms is 6, it must not be after to_ms, which is 5"),
            (r#"{"user":"ada","limit":0}"#, "limit is 0; allowed are 1 to 1000"),
            (r#"{"user":"ada","limit":1001}"#, "limit is 1001; allowed are 1 to 1000"),
            (
                r#"{"user":"ada","after":"07-9"}"#,
                "after is `07-9`, which is no end of a page: take it from the answer before, as it is",
            ),
        ] {
            assert_eq!(asked(question), Err(why.to_owned()), "{question}");
        }
        assert!(asked(r#"{"user":"ada","from_ms":-1}"#).is_err());
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_whatever_else_is_asked() {
        let after = Cursor { from_ms: 7, to_ms: 9 }.to_string();
        let question = HistoryQuestion {
            user: Some("ada".into()),
            from_ms: Some(1),
            after: Some(after),
            ..HistoryQuestion::default()
        };
        let user = AskedOf::User { user: "ada".into(), from_ms: Some(7), to_ms: Some(9), limit: 100 };
        assert_eq!(question.check(), Ok(user));
    }

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let segment = Segment { state: Past::Unknown, from_ms: 1, to_ms: 2, cause: None, observed: false };
        let user = HistoryAnswer::User(UserHistory {
            user: "ada".into(),
            segments: vec![segment],
            after: None,
            kept_from_ms: None,
            as_of_ms: 3,
        });
        let text = serde_json::to_string(&user).unwrap();
        assert_eq!(
            text,
            r#"{"user":"ada","segments":[{"state":"unknown","from_ms":1,"to_ms":2,"cause":null,"observed":false}],"after":null,"kept_from_ms":null,"as_of_ms":3}"#
        );
        assert_eq!(serde_json::from_str::<HistoryAnswer>(&text).unwrap(), user);
        let time = HistoryAnswer::Time(WhoWasHere {
            at_ms: 1,
            room: None,
            users: vec![WasHere { user: "ada".into(), state: State::Idle, since_ms: None }],
            after: None,
            kept_from_ms: Some(1),
            as_of_ms: 3,
        });
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<HistoryAnswer>(&text).unwrap(), time);
    }
}
