//! The rules of a commit, without clock, socket or randomness.
//!
//! A commit is one atomic batch: events, then the progress of each partition that they come from. The protocol is told
//! what became of each step and answers with the next one, until the batch has landed exactly once, or can't.
//!
//! ```text
//!            ┌────────────── unchanged ── Wait ◀───────┐
//!            ▼                                         │
//!   start ▶ Publish ── acknowledged ▶ Done             │
//!            │                          ▲              │
//!            └─ unknown, refused ▶ ReadProgress ───────┤
//!                                       │  ours: Done  │ read failed: Wait, then read again
//!                                       └─ otherwise: Lost, or Refused
//! ```
//!
//! **Why it lands once.** Every attempt carries the same content and, for each partition, the same expectation: the
//! sequence of the progress that we left there. The first attempt that lands changes these sequences, so every other
//! attempt, however late it comes out of some buffer, is refused by the server.
//!
//! **Why one partition's progress tells about all.** A batch lands whole or not at all. If the progress of one partition
//! carries our commit, all of them were written with it. If it is still what we left there, none was. If it is neither,
//! somebody else wrote it after us, and for that partition we are a zombie, whether the batch landed before that or
//! not. Then each of the others tells which it was ([`Part::left`]): it carries our commit, or it never will, since the batch
//! expects what will never be there again. So what is left of it may be sent again as another commit.
//!
//! **Why a missing or an older progress is asked for again.** Answers come from the stream's leader, but one that was
//! stopped and goes on believes for a moment that it still leads, and tells what was. A higher epoch is never old, nor is a
//! higher sequence: a fence that came too late for its owner's next commit is tried again at once.
//!
//! **Why a refusal (10071) needs more than one.** It says that one of the expectations is stale, not which. So the
//! partitions are read one after the other, until one is found that is not as we left it. If all are as we left them,
//! the server was mistaken or busy, and we try again.

/// What the protocol has to know of one partition in the batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The partition.
    pub partition: u16,
    /// The epoch that the batch writes.
    pub epoch: u64,
    /// The progress that has to be there; `None`: there must be none.
    pub expected: Option<Known>,
}

/// A partition's progress as it was left: identified twice, since a stream that was deleted and made anew counts its
/// sequences from 1 again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Known {
    /// Its sequence in the stream.
    pub seq: u64,
    /// The commit that wrote it.
    pub commit: Box<str>,
}

/// A partition's progress as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// Its sequence in the stream.
    pub seq: u64,
    /// The commit that wrote it.
    pub commit: Box<str>,
    /// Its owner.
    pub owner: Box<str>,
    /// Its epoch.
    pub epoch: u64,
}

/// What became of the last step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Of [`Step::Publish`]: it was acknowledged.
    Acked {
        /// The sequence of the batch's last message.
        last_seq: u64,
        /// How many messages were stored.
        count: u64,
    },
    /// Of [`Step::Publish`]: nobody knows.
    Unknown,
    /// Of [`Step::Publish`]: this attempt was refused. An earlier one may have landed.
    Refused {
        /// The server's error code.
        code: u64,
        /// Its words.
        description: String,
    },
    /// Of [`Step::ReadProgress`]: what the leader has.
    Progress(Option<Found>),
    /// Of [`Step::ReadProgress`]: nobody answered.
    ReadFailed,
    /// Of [`Step::Wait`]: the time is over.
    Waited,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Publish the whole batch under this batch id.
    Publish {
        /// Another one for each attempt.
        batch_id: String,
    },
    /// Read the partition's progress from the stream's leader.
    ReadProgress {
        /// The partition.
        partition: u16,
    },
    /// Wait before the next step.
    Wait {
        /// For how long.
        ms: u64,
    },
    /// It landed. Holds, in the order of the parts, what their next expectation is.
    Done(Vec<Known>),
    /// It will not land any more, or it landed and counts no more.
    Lost(Loss),
    /// The server will never take this content. It has not landed.
    Refused {
        /// The server's error code.
        code: u64,
        /// Its words.
        description: String,
    },
}

/// How a partition was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Somebody else took the fence, or still had it while we took it.
    TakenOver {
        /// The partition.
        partition: u16,
        /// Who.
        owner: Box<str>,
        /// Under which epoch.
        epoch: u64,
    },
    /// There is no progress where we had left one: it was deleted, or the stream was made anew.
    Vanished {
        /// The partition.
        partition: u16,
    },
    /// There is an older progress than we had left: the stream lost its end, or was restored.
    Rewound {
        /// The partition.
        partition: u16,
        /// The sequence that is there.
        found: u64,
        /// The sequence that we had left.
        expected: u64,
    },
}

/// One commit on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommitProtocol {
    owner: Box<str>,
    commit: Box<str>,
    parts: Vec<Part>,
    count: u64,
    attempt: u32,
    retries: u32,
    suspicions: u32,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    /// An attempt is out.
    Publishing,
    /// The progress of `parts[at]` is being read.
    Reading { at: usize, doubt: Doubt },
    /// A pause before the next attempt (`None`) or the next reading.
    Waiting(Option<(usize, Doubt)>),
    /// The last step was given.
    Over,
}

/// Why we are reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doubt {
    /// Nobody knows whether it landed: one partition tells.
    Landed,
    /// Some expectation is stale: look for it.
    Stale,
    /// It will never be taken: did an earlier attempt land?
    Fatal { code: u64, description: String },
}

/// Wrong last sequence: an expectation is stale.
const WRONG_LAST_SEQUENCE: u64 = 10_071;

/// Refusals of what we send, not of when: the same content would be refused for ever.
const FATAL: [u64; 12] = [
    10_054, // message size exceeds maximum allowed
    10_060, // expected stream does not match
    10_111, // rollup failed: not permitted, or the same subject twice in a batch
    10_165, // per-message TTL is invalid
    10_166, // per-message TTL is disabled
    10_174, // atomic publish is disabled
    10_175, // batch sequence missing
    10_177, // unsupported header in a batch
    10_179, // invalid batch id
    10_199, // batch too large
    10_200, // invalid batch commit
    10_201, // batch contains a duplicate message id
];

/// Longest pause between two attempts.
pub const WAIT_MS_MAX: u64 = 1_000;

/// So many answers in a row have to say that our progress is gone.
pub(super) const SUSPICIONS_MAX: u32 = 3;
/// The pause between them.
pub(super) const SUSPICION_MS: u64 = 500;

impl CommitProtocol {
    /// Starts a commit of `count` messages, of which the last ones are the progress of `parts`, in this order. `commit`
    /// must never have been used before; batch ids are `<commit>.<attempt>`.
    ///
    /// # Panics
    /// If there is no part, or a partition comes twice.
    #[must_use]
    pub fn start(owner: &str, commit: &str, parts: Vec<Part>, count: u64) -> (Self, Step) {
        assert!(!parts.is_empty() && count >= parts.len() as u64, "a batch ends with the progress of its partitions");
        let mut partitions: Vec<_> = parts.iter().map(|part| part.partition).collect();
        partitions.sort_unstable();
        partitions.dedup();
        assert_eq!(partitions.len(), parts.len(), "a partition's progress is in a batch once");
        let mut protocol = Self {
            owner: owner.into(),
            commit: commit.into(),
            parts,
            count,
            attempt: 0,
            retries: 0,
            suspicions: 0,
            state: State::Over,
        };
        let step = protocol.publish();
        (protocol, step)
    }

    /// Takes what became of the last step and gives the next one.
    ///
    /// # Panics
    /// If `outcome` is none of the last step's.
    pub fn next(&mut self, outcome: Outcome) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), outcome) {
            (State::Publishing, outcome) => self.published(outcome),
            (State::Reading { at, doubt }, Outcome::Progress(found)) => self.read(at, doubt, found),
            (State::Reading { at, doubt }, Outcome::ReadFailed) => self.wait(Some((at, doubt))),
            (State::Waiting(Some((at, doubt))), Outcome::Waited) => self.ask(at, doubt),
            (State::Waiting(None), Outcome::Waited) => self.publish(),
            (state, outcome) => panic!("{outcome:?} answers no step of {state:?}"),
        }
    }

    /// How many attempts were made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    fn published(&mut self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Acked { last_seq, count } if count == self.count => self.done(self.parts.len() - 1, last_seq),
            // An acknowledgement of something else tells nothing.
            Outcome::Acked { .. } | Outcome::Unknown => self.ask(0, Doubt::Landed),
            Outcome::Refused { code: WRONG_LAST_SEQUENCE, .. } => self.ask(0, Doubt::Stale),
            Outcome::Refused { code, description } if FATAL.contains(&code) => {
                self.ask(0, Doubt::Fatal { code, description })
            }
            // The batch was incomplete (10176), its subjects were busy (10164), too many were open (10210), the stream
            // was moving: nothing that the next attempt could not mend. But an earlier attempt may have landed.
            Outcome::Refused { .. } => self.ask(0, Doubt::Landed),
            Outcome::Progress(_) | Outcome::ReadFailed | Outcome::Waited => {
                panic!("{outcome:?} answers no publishing")
            }
        }
    }

    fn read(&mut self, at: usize, doubt: Doubt, found: Option<Found>) -> Step {
        if let Some(found) = &found
            && found.commit == self.commit
        {
            return self.done(at, found.seq);
        }
        if !self.parts[at].is_unchanged(found.as_ref()) {
            return self.changed(at, doubt, found);
        }
        self.suspicions = 0;
        match doubt {
            Doubt::Stale if at + 1 < self.parts.len() => self.ask(at + 1, Doubt::Stale),
            Doubt::Stale | Doubt::Landed => self.wait(None),
            Doubt::Fatal { code, description } => Step::Refused { code, description },
        }
    }

    /// The progress is neither ours of now nor ours of before.
    fn changed(&mut self, at: usize, doubt: Doubt, found: Option<Found>) -> Step {
        let loss = self.parts[at].loss(&self.owner, found);
        match loss {
            // Epochs and sequences only grow, so this can't have been an old answer.
            Loss::TakenOver { .. } => Step::Lost(loss),
            // This can: a leader that was stopped and goes on answers until it learns that there is another one.
            Loss::Vanished { .. } | Loss::Rewound { .. } => {
                self.suspicions += 1;
                if self.suspicions >= SUSPICIONS_MAX {
                    return Step::Lost(loss);
                }
                self.state = State::Waiting(Some((at, doubt)));
                Step::Wait { ms: SUSPICION_MS }
            }
        }
    }

    fn publish(&mut self) -> Step {
        self.attempt += 1;
        self.state = State::Publishing;
        Step::Publish { batch_id: format!("{}.{}", self.commit, self.attempt) }
    }

    fn ask(&mut self, at: usize, doubt: Doubt) -> Step {
        self.state = State::Reading { at, doubt };
        Step::ReadProgress { partition: self.parts[at].partition }
    }

    fn wait(&mut self, reading: Option<(usize, Doubt)>) -> Step {
        let ms = (5 << self.retries.min(8)).min(WAIT_MS_MAX);
        self.retries += 1;
        self.state = State::Waiting(reading);
        Step::Wait { ms }
    }

    /// The batch landed, and the progress of `parts[at]` has the sequence `seq`: a batch has its sequences in one row.
    fn done(&mut self, at: usize, seq: u64) -> Step {
        let first = seq - at as u64;
        let known = |i| Known { seq: first + i as u64, commit: self.commit.clone() };
        Step::Done((0..self.parts.len()).map(known).collect())
    }
}

/// What a partition's progress says of a commit that has lost another partition of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// The batch had landed whole; what is left here is this progress.
    Landed(Known),
    /// The batch has not landed, and never will: of the other partition it expects what will never be there again.
    Open,
    /// The partition is lost too.
    Lost(Loss),
}

impl Part {
    /// What this partition's progress, read after `commit` of `owner` had lost another partition, says of that commit. Where an
    /// old answer is taken for [`Left::Open`], what is sent again is refused, and the partition is given up.
    #[must_use]
    pub fn left(&self, owner: &str, commit: &str, found: Option<Found>) -> Left {
        match found {
            Some(Found { seq, commit: by, .. }) if *by == *commit => Left::Landed(Known { seq, commit: by }),
            found if self.is_unchanged(found.as_ref()) => Left::Open,
            found => Left::Lost(self.loss(owner, found)),
        }
    }

    fn is_unchanged(&self, found: Option<&Found>) -> bool {
        match (&self.expected, found) {
            (None, None) => true,
            (Some(expected), Some(found)) => expected.seq == found.seq && expected.commit == found.commit,
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    fn loss(&self, owner: &str, found: Option<Found>) -> Loss {
        let partition = self.partition;
        match (&self.expected, found) {
            (_, None) => Loss::Vanished { partition },
            // What lies behind what we had left is no old answer: the owner before has committed once more while we took
            // its fence, or a former attempt of ours to take it has come late.
            (Some(expected), Some(found))
                if found.seq <= expected.seq
                    && (found.epoch < self.epoch || (found.epoch == self.epoch && *found.owner == *owner)) =>
            {
                Loss::Rewound { partition, found: found.seq, expected: expected.seq }
            }
            (_, Some(found)) => Loss::TakenOver { partition, owner: found.owner, epoch: found.epoch },
        }
    }
}

#[cfg(test)]
mod tests;
