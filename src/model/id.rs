//! Identities: the subject tokens of tenants, users, sessions and rooms.

use std::fmt;

/// Longest token in bytes, escapes included.
pub const TOKEN_BYTES_MAX: usize = 192;

/// A valid subject token: 1 to 192 bytes of `A-Z a-z 0-9 - _ =`, where `=` starts an escape `=XX` of a byte that could
/// not stand for itself. Two different tokens are two different names: nothing has two spellings.
///
/// ```
/// use presence_engine::model::{Token, id::{escape, unescape}};
/// assert_eq!(escape("a@b.c").unwrap(), "a=40b=2Ec");
/// assert_eq!(unescape(Token::parse("a=40b=2Ec").unwrap()), "a@b.c");
/// assert!(Token::parse("=61").is_err(), "`a` stands for itself");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token<'a>(&'a str);

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// There is nothing in it.
    Empty,
    /// It is longer than [`TOKEN_BYTES_MAX`]; holds its length.
    TooLong(usize),
    /// A byte that has to be escaped stands bare; holds its position.
    Bare(usize),
    /// `=` is not followed by two upper-case hexadecimal digits, or escapes a byte that stands for itself; holds its position.
    Escape(usize),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a name must not be empty"),
            Self::TooLong(len) => {
                write!(f, "a name of {len} bytes (escaped) is above the limit of {TOKEN_BYTES_MAX}")
            }
            Self::Bare(at) => write!(
                f,
                "the byte at {at} has to be escaped as =XX (upper-case hexadecimal), only A-Z a-z 0-9 - _ stand for themselves"
            ),
            Self::Escape(at) => write!(
                f,
                "the escape at byte {at} is not `=` and two upper-case hexadecimal digits of a byte that needs it"
            ),
        }
    }
}

impl std::error::Error for TokenError {}

const STANDS_FOR_ITSELF: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

fn stands_for_itself(byte: u8) -> bool {
    STANDS_FOR_ITSELF[usize::from(byte)]
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

impl<'a> Token<'a> {
    /// Checks that `text` is a token.
    ///
    /// # Errors
    /// A [`TokenError`] that names the first fault and where it is.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if let Some(token) = Self::of_plain(text) {
            return Ok(token);
        }
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(TokenError::Empty);
        }
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong(bytes.len()));
        }
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b'=' {
                let digit = |i: usize| bytes.get(i).copied().and_then(hex);
                match (digit(at + 1), digit(at + 2)) {
                    (Some(high), Some(low)) if !stands_for_itself(high << 4 | low) => at += 3,
                    _ => return Err(TokenError::Escape(at)),
                }
            } else if stands_for_itself(bytes[at]) {
                at += 1;
            } else {
                return Err(TokenError::Bare(at));
            }
        }
        Ok(Self(text))
    }

    /// The token of a plain name, where all of its bytes stand for themselves: then it is that name. `None`: it has to be
    /// escaped, or can be none.
    #[must_use]
    pub fn of_plain(plain: &'a str) -> Option<Self> {
        let is_one = !plain.is_empty() && plain.len() <= TOKEN_BYTES_MAX;
        (is_one && plain.bytes().all(|byte| STANDS_FOR_ITSELF[usize::from(byte)])).then_some(Self(plain))
    }

    /// The token as it stands in a subject.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The token of a plain name.
///
/// # Errors
/// [`TokenError::Empty`] and [`TokenError::TooLong`].
pub fn escape(plain: &str) -> Result<String, TokenError> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut token = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        if stands_for_itself(byte) {
            token.push(char::from(byte));
        } else {
            token.push('=');
            token.push(char::from(DIGITS[usize::from(byte >> 4)]));
            token.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Token::parse(&token)?;
    Ok(token)
}

/// Whether the bytes that a token stands for are text, so that its plain name leads back to it.
#[must_use]
pub fn is_text(token: Token<'_>) -> bool {
    std::str::from_utf8(&bytes(token)).is_ok()
}

/// The plain name of a token; bytes that are not UTF-8 become the replacement character.
#[must_use]
pub fn unescape(token: Token<'_>) -> String {
    String::from_utf8(bytes(token)).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn bytes(token: Token<'_>) -> Vec<u8> {
    let bytes = token.as_str().as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'=' {
            let digit = |i: usize| hex(bytes[i]).expect("a token's escapes are two hexadecimal digits");
            plain.push(digit(at + 1) << 4 | digit(at + 2));
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    plain
}

/// Who speaks: the identity that a signal's subject carries, as it stands there, `tenant.user.session`.
///
/// ```
/// use presence_engine::model::Address;
/// let address = Address::parse("main.alice.laptop").unwrap();
/// assert_eq!(address.user().as_str(), "alice");
/// assert!(Address::parse("main.alice").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address<'a> {
    text: &'a str,
    /// The lengths of tenant and user: a token is no longer.
    tenant: u8,
    user: u8,
}

/// What stands before the first dot, and what behind it. Tokens are so short that a search by words takes longer.
pub(crate) fn at_dot(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'.')?;
    Some((&text[..at], &text[at + 1..]))
}

/// Why a text is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// It has not three names; holds how many it has.
    Names(usize),
    /// One of them is no token; says which and why.
    Token(&'static str, TokenError),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(count) => write!(f, "there are {count} names, tenant, user and session have to be there"),
            Self::Token(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for AddressError {}

impl<'a> Address<'a> {
    /// Takes `tenant.user.session` apart.
    ///
    /// # Errors
    /// An [`AddressError`] that names the first fault.
    pub fn parse(text: &'a str) -> Result<Self, AddressError> {
        let names = at_dot(text).and_then(|(tenant, rest)| at_dot(rest).map(|(user, session)| (tenant, user, session)));
        let Some((tenant, user, session)) = names.filter(|(_, _, session)| at_dot(session).is_none()) else {
            return Err(AddressError::Names(text.split('.').count()));
        };
        for (what, name) in [("tenant", tenant), ("user", user), ("session", session)] {
            Token::parse(name).map_err(|error| AddressError::Token(what, error))?;
        }
        Ok(Self { text, tenant: tenant.len() as u8, user: user.len() as u8 })
    }

    /// The address of a text that was put together of tokens, whose tenant and user have so many bytes.
    #[cfg(feature = "engine")]
    pub(crate) fn of(text: &'a str, tenant: u8, user: u8) -> Self {
        let address = Self { text, tenant, user };
        debug_assert_eq!(Self::parse(text), Ok(address), "it is put together of tokens");
        address
    }

    /// The address of these three, written behind what `buffer` holds.
    pub fn join(buffer: &'a mut String, tenant: Token<'_>, user: Token<'_>, session: Token<'_>) -> Self {
        let from = buffer.len();
        for part in [tenant.0, ".", user.0, ".", session.0] {
            buffer.push_str(part);
        }
        Self { text: &buffer[from..], tenant: tenant.0.len() as u8, user: user.0.len() as u8 }
    }

    /// The address as it stands in a subject.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(self) -> Token<'a> {
        Token(&self.text[..self.tenant.into()])
    }

    /// The user within the tenant.
    #[must_use]
    pub fn user(self) -> Token<'a> {
        Token(&self.of_user()[usize::from(self.tenant) + 1..])
    }

    /// The session within the user: a tab, a device, an SDK instance.
    #[must_use]
    pub fn session(self) -> Token<'a> {
        Token(&self.text[self.of_user().len() + 1..])
    }

    /// `tenant.user`.
    #[must_use]
    pub fn of_user(self) -> &'a str {
        &self.text[..usize::from(self.tenant) + 1 + usize::from(self.user)]
    }
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_exactly_one_spelling() {
        for byte in 0..=255_u8 {
            let escaped = format!("={byte:02X}");
            let own = [byte];
            let bare = std::str::from_utf8(&own).is_ok_and(|text| Token::parse(text).is_ok());
            assert_ne!(bare, Token::parse(&escaped).is_ok(), "byte {byte:#04x}");
        }
    }

    #[test]
    fn an_address_is_its_three_names() {
        let mut buffer = String::from("before");
        let token = |text| Token::parse(text).unwrap();
        let address = Address::join(&mut buffer, token("acme"), token("a=40b"), token("tab-1"));
        assert_eq!((address.as_str(), address.of_user()), ("acme.a=40b.tab-1", "acme.a=40b"));
        let names = [address.tenant(), address.user(), address.session()].map(Token::as_str);
        assert_eq!(names, ["acme", "a=40b", "tab-1"]);
        assert_eq!(Address::parse("acme.a=40b.tab-1"), Ok(address));
        assert_eq!(Address::parse("a.b.c.d"), Err(AddressError::Names(4)));
        assert_eq!(Address::parse("a..c"), Err(AddressError::Token("user", TokenError::Empty)));
    }

    #[test]
    fn plain_names_survive_the_round_trip() {
        for plain in ["alice", "a@b.c", "Ünï code", "=", "..", "*", ">", "a b\n", "\u{0}"] {
            let token = escape(plain).unwrap();
            let token = Token::parse(&token).unwrap();
            assert_eq!((unescape(token).as_str(), is_text(token)), (plain, true));
        }
    }

    #[test]
    fn a_plain_name_is_its_token_where_nothing_has_to_be_escaped() {
        for plain in ["alice", "a-b_C9", "a@b", "a=40b", "=", "", "ü"] {
            let token = escape(plain).ok().filter(|token| token == plain);
            assert_eq!(Token::of_plain(plain).map(Token::as_str), token.as_deref(), "{plain}");
        }
        assert_eq!(Token::of_plain(&"x".repeat(193)), None);
    }

    #[test]
    fn bytes_that_are_no_text_have_no_plain_name_of_their_own() {
        let token = Token::parse("a=FF").unwrap();
        assert_eq!((unescape(token).as_str(), is_text(token)), ("a\u{fffd}", false));
    }

    #[test]
    fn faults_are_named_with_their_place() {
        assert_eq!(Token::parse(""), Err(TokenError::Empty));
        assert_eq!(Token::parse("a.b"), Err(TokenError::Bare(1)));
        assert_eq!(Token::parse("a=4"), Err(TokenError::Escape(1)));
        assert_eq!(Token::parse("a=2e"), Err(TokenError::Escape(1)));
        assert_eq!(escape(&"x".repeat(193)), Err(TokenError::TooLong(193)));
        assert!(escape(&"x".repeat(192)).is_ok());
    }
}
