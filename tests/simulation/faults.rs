//! What may go wrong, how often.

use crate::store::StoreFaults;

/// In thousandths of the cases in which each could happen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A batch is stored or refused, and the answer is lost.
    pub(crate) answer_lost: u64,
    /// A batch is lost on its way.
    pub(crate) request_lost: u64,
    /// A batch stays under way; it lands when it lands, or never.
    pub(crate) late: u64,
    /// Its owner waits no longer, while it may still land.
    pub(crate) impatient: u64,
    /// The server refuses it though it might have taken it.
    pub(crate) refused: u64,
    /// A refusal is for good.
    pub(crate) fatal: u64,
    /// A reading of a progress is not answered.
    pub(crate) read_failed: u64,
    /// A reading of a progress is answered by a leader that is no more.
    pub(crate) read_stale: u64,
    pub(crate) store: StoreFaults,
}

impl Faults {
    /// Nothing goes wrong any more.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Much goes wrong.
    pub(crate) fn many() -> Self {
        Self {
            answer_lost: 150,
            request_lost: 100,
            late: 250,
            impatient: 150,
            refused: 100,
            fatal: 30,
            read_failed: 120,
            read_stale: 60,
            store: StoreFaults { aborted: 150, damaged: 50 },
        }
    }
}
