//! A commit under way: drives the engine's own protocol.

use std::sync::Arc;

use presence_engine::nats::commit::protocol::{CommitProtocol, Known, Loss, Outcome, Step};

use crate::log::told;
use crate::owner::Effects;
use crate::stream::{Batch, Flight, WRONG_LAST_SEQUENCE};
use crate::world::Mutation;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    protocol: CommitProtocol,
    pub(crate) batch: Arc<Batch>,
    /// The partition whose progress is being read; `None`: an attempt is out, and its answer is awaited.
    pub(crate) reading: Option<u16>,
    /// Its last attempt was refused since an expectation was stale.
    pub(crate) was_refused: bool,
}

/// What became of a commit.
#[derive(Debug)]
pub(crate) enum End {
    Done(Vec<Known>),
    Lost(Loss),
}

impl Work {
    pub(crate) fn start(batch: Batch, effects: &mut Effects<'_>) -> Self {
        let (protocol, step) = CommitProtocol::start(&batch.owner, &batch.commit, batch.parts.clone(), batch.count());
        let mut work = Self { protocol, batch: Arc::new(batch), reading: None, was_refused: false };
        let end = work.follow(step, effects);
        assert!(end.is_none(), "a commit begins with an attempt");
        work
    }

    /// Takes what became of the last step, and does what the protocol says until somebody has to answer.
    pub(crate) fn hear(&mut self, outcome: Outcome, effects: &mut Effects<'_>) -> Option<End> {
        self.was_refused |= matches!(outcome, Outcome::Refused { code: WRONG_LAST_SEQUENCE, .. });
        let step = self.protocol.next(outcome);
        self.follow(step, effects)
    }

    fn follow(&mut self, mut step: Step, effects: &mut Effects<'_>) -> Option<End> {
        loop {
            step = match step {
                Step::Publish { batch_id } => {
                    if effects.mutation == Mutation::ContentGrows && self.protocol.attempts() > 1 {
                        self.grow();
                    }
                    effects.sent.push(Flight { id: batch_id, batch: self.batch.clone(), is_awaited: true });
                    self.reading = None;
                    self.was_refused = false;
                    return None;
                }
                Step::ReadProgress { partition } => {
                    self.reading = Some(partition);
                    return None;
                }
                Step::Wait { .. } => self.protocol.next(Outcome::Waited),
                Step::Done(known) => return Some(End::Done(known)),
                Step::Lost(loss) => return Some(End::Lost(loss)),
                Step::Refused { code, description } => {
                    unreachable!("no server of the model refuses for good: {code} {description}")
                }
            };
        }
    }

    /// Takes the next event of one of its partitions into the batch, under the same commit.
    fn grow(&mut self) {
        let batch = Arc::make_mut(&mut self.batch);
        let at = |partition: u16| batch.parts.iter().position(|part| part.partition == partition);
        let next = told().find(|event| at(event.partition).is_some_and(|at| batch.places[at] < event.place));
        if !batch.is_fence()
            && let Some(event) = next
            && let Some(at) = at(event.partition)
        {
            batch.events.push(event);
            batch.places[at] = event.place;
        }
    }
}
