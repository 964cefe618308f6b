//! Logs of one partition, as tests write them down.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use presence_engine::fold::{BatchItem, Body, Entry};
use presence_engine::model::{Address, Millis, Policy, Rejection, Signal, Token};

/// Names whose concatenations coincide.
pub(super) const TENANTS: [&str; 2] = ["a", "ab"];
const USERS: [&str; 3] = ["b", "bb", "c"];
pub(super) const SESSIONS: [&str; 3] = ["s", "t", "u"];

/// A log: its entries in their order.
#[derive(Clone)]
pub(crate) struct Log(pub Vec<Line>);

/// One entry of a log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) ts: Millis,
    pub(crate) what: What,
}

/// What an entry says.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Signal(Who, Signal),
    Rejected,
    Tick {
        failed: u32,
    },
    Policy(Arc<Policy>),
    /// Of a tenant's gateway.
    Batch(&'static str, &'static str, Vec<BatchItem<'static>>),
    Other,
    /// The first entry of another log, since the one before is lost.
    NewLog,
}

/// Tenant, user, session.
pub(crate) type Who = (&'static str, &'static str, &'static str);

impl Line {
    pub(crate) fn entry(&self) -> Entry<'_> {
        let body = match &self.what {
            What::Signal(who, signal) => Body::of(address(*who), signal),
            What::Rejected => {
                Body::Rejected { subject: "presence.v1.log.7.x", reason: Rejection::Payload("torn".into()) }
            }
            What::Tick { failed } => Body::Tick { failed: *failed },
            What::Policy(policy) => Body::Policy(policy),
            What::Batch(tenant, gateway, items) => {
                Body::Batch { tenant: token(tenant), gateway: token(gateway), items }
            }
            What::Other | What::NewLog => Body::Other,
        };
        Entry { seq: self.seq, ts: self.ts, body }
    }
}

impl What {
    /// Its signals, each with who it is of.
    pub(crate) fn signals(&self) -> Vec<(Address<'static>, Cow<'_, Signal>)> {
        match self {
            Self::Signal(who, signal) => vec![(address(*who), Cow::Borrowed(signal))],
            Self::Batch(.., items) => {
                let signals = items.iter().filter_map(|item| match item {
                    BatchItem::Signal(who, said, _) => Some((*who, said.signal())),
                    BatchItem::Rejected(_) => None,
                });
                signals.collect()
            }
            Self::Rejected | Self::Tick { .. } | Self::Policy(_) | Self::Other | Self::NewLog => Vec::new(),
        }
    }

    /// Whether it has a signal of this session, or of any session of this user.
    pub(crate) fn is_of(&self, (tenant, user): (&str, &str), session: Option<&str>) -> bool {
        let is_of = |who: Address<'_>| {
            let names = (who.tenant().as_str(), who.user().as_str());
            names == (tenant, user) && session.is_none_or(|name| name == who.session().as_str())
        };
        self.signals().into_iter().any(|(who, _)| is_of(who))
    }
}

impl Log {
    /// The same entries under policies that `change` has changed.
    pub(crate) fn under(mut self, change: impl Fn(&mut Policy)) -> Self {
        for line in &mut self.0 {
            if let What::Policy(policy) = &mut line.what {
                change(Arc::make_mut(policy));
                policy.check().expect("still a valid policy");
            }
        }
        self
    }

    /// The same entries, numbered by their places.
    pub(crate) fn renumbered(mut self) -> Self {
        let mut seq = 0;
        for line in &mut self.0 {
            seq = if matches!(line.what, What::NewLog) { 1 } else { seq + 1 };
            line.seq = seq;
        }
        self
    }
}

/// Everybody who may be in a log.
pub(crate) fn everybody() -> impl Iterator<Item = Who> {
    TENANTS.iter().flat_map(|t| USERS.iter().flat_map(move |u| SESSIONS.iter().map(move |s| (*t, *u, *s))))
}

fn token(text: &'static str) -> Token<'static> {
    Token::parse(text).expect("a token")
}

/// The addresses that tests speak of, each kept for as long as they run.
static ADDRESSES: Mutex<BTreeMap<Who, &str>> = Mutex::new(BTreeMap::new());

pub(crate) fn address(who: Who) -> Address<'static> {
    let (tenant, user, session) = who;
    let mut addresses = ADDRESSES.lock().expect("no other test fails while it looks here");
    let text = addresses.entry(who).or_insert_with(|| format!("{tenant}.{user}.{session}").leak());
    Address::parse(text).expect("an address")
}

/// A log as a story, an entry a line.
impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before: Option<Millis> = None;
        for Line { seq, ts, what } in &self.0 {
            let step = before.map_or(0, |before| *ts as i64 - before as i64);
            before = Some(*ts);
            write!(f, "\n{seq:>4} at {ts} ({step:+}) ")?;
            match what {
                What::Signal(who, signal) => write!(f, "{}.{}.{} {}", who.0, who.1, who.2, tell(signal))?,
                What::Batch(tenant, gateway, items) => {
                    write!(f, "batch of {tenant}.{gateway}")?;
                    for item in items {
                        match item {
                            BatchItem::Signal(who, said, age) => {
                                let (user, session) = (who.user().as_str(), who.session().as_str());
                                write!(f, "\n         {user}.{session} of {age} ms ago {}", tell(&said.signal()))?;
                            }
                            BatchItem::Rejected(reason) => write!(f, "\n         {reason:?}")?,
                        }
                    }
                }
                other => write!(f, "{other:?}")?,
            }
        }
        Ok(())
    }
}

/// The fields of a signal that are there.
fn tell(signal: &Signal) -> String {
    let mut text = format!("{:?}", signal.kind);
    let debug = format!("{signal:?}");
    for field in debug.trim_start_matches("Signal { ").trim_end_matches(" }").split(", ") {
        if !field.starts_with("kind") && !field.ends_with("None") {
            write!(text, " {field}").expect("a String takes it");
        }
    }
    text
}
