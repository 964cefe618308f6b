//! What an engine has to do about a partition, by what it sees of the others. Pure.

use crate::nats::{Lessee, View};

/// Where a partition stands within this engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing of it is here; a lease may be.
    Absent,
    /// It is being acquired.
    Acquiring,
    /// Its log is read.
    Followed,
    /// It is on its way to the next owner.
    Leaving,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty<'a> {
    Nothing,
    /// Lease, fence, restore, follow.
    Acquire,
    /// Commit, checkpoint, give the lease back.
    HandOver,
    /// The lease is that of an engine of this name, which lives: what is here is of no use any more.
    GiveUp(&'a str),
    /// The fence is ours, and the lease is gone: the bucket was emptied, or it is not seen yet.
    LeaseAgain,
    /// A lease whose partition could not be restored, and which is somebody else's share by now.
    GiveBack,
}

impl Duty<'_> {
    /// By a settled view; `is_due` where the partition is in the own share.
    pub(crate) fn of(view: &View, partition: u16, standing: Standing, is_due: bool) -> Duty<'_> {
        match (standing, view.lessee(partition)) {
            (Standing::Followed | Standing::Leaving, Lessee::Other(engine)) => Duty::GiveUp(engine),
            (Standing::Followed, Lessee::Own | Lessee::Free) if !is_due => Duty::HandOver,
            (Standing::Followed, Lessee::Free) => Duty::LeaseAgain,
            (Standing::Absent, Lessee::Own | Lessee::Free) if is_due => Duty::Acquire,
            (Standing::Absent, Lessee::Own) => Duty::GiveBack,
            (Standing::Followed, Lessee::Own)
            | (Standing::Absent, Lessee::Free | Lessee::Other(_))
            | (Standing::Leaving, Lessee::Own | Lessee::Free)
            | (Standing::Acquiring, _) => Duty::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is to be done where a lease is held so: where the partition is in the own share, and where it is not.
    fn duties(standing: Standing, holder: Option<&str>) -> [String; 2] {
        let view = View::of("me", ["other"], [(7, holder)]);
        [true, false].map(|is_due| format!("{:?}", Duty::of(&view, 7, standing, is_due)))
    }

    #[test]
    fn what_is_followed_stays_while_it_is_ours_and_due() {
        assert_eq!(duties(Standing::Followed, Some("me")), ["Nothing", "HandOver"]);
        assert_eq!(duties(Standing::Followed, None), ["LeaseAgain", "HandOver"]);
        assert_eq!(duties(Standing::Followed, Some("gone")), ["LeaseAgain", "HandOver"]);
        assert_eq!(duties(Standing::Followed, Some("other")), ["GiveUp(\"other\")", "GiveUp(\"other\")"]);
    }

    #[test]
    fn what_is_due_is_acquired_from_whoever_does_not_live() {
        assert_eq!(duties(Standing::Absent, None), ["Acquire", "Nothing"]);
        assert_eq!(duties(Standing::Absent, Some("gone")), ["Acquire", "Nothing"]);
        assert_eq!(duties(Standing::Absent, Some("other")), ["Nothing", "Nothing"]);
    }

    #[test]
    fn a_lease_of_what_could_not_be_restored_is_used_again_or_given_back() {
        assert_eq!(duties(Standing::Absent, Some("me")), ["Acquire", "GiveBack"]);
    }

    #[test]
    fn what_is_on_its_way_is_left_alone_unless_another_has_it() {
        assert_eq!(duties(Standing::Leaving, Some("me")), ["Nothing", "Nothing"]);
        assert_eq!(duties(Standing::Leaving, Some("other")), ["GiveUp(\"other\")", "GiveUp(\"other\")"]);
        assert_eq!(duties(Standing::Acquiring, Some("me")), ["Nothing", "Nothing"]);
    }
}
