//! What an engine knows of who takes part and who holds what.

use std::collections::{BTreeMap, BTreeSet};

use super::assignment;

/// What is known: the members that live and the leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub(super) own: String,
    pub(super) members: BTreeSet<String>,
    /// Those of whom it is not known yet whether they live.
    pub(super) unproven: BTreeSet<String>,
    /// Those of them that hand over what they have.
    pub(super) leaving: BTreeSet<String>,
    pub(super) leases: BTreeMap<u16, Held>,
    pub(super) settled: bool,
}

/// Who holds a partition, as far as leases say. What decides is the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lessee<'a> {
    /// It was never held, it was given back, or its holder doesn't live.
    Free,
    /// The own engine.
    Own,
    /// Another engine, of this name.
    Other(&'a str),
}

/// A lease as the bucket has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// `None` where it was given back, and where the value can't be read.
    pub(super) holder: Option<String>,
    pub(super) revision: u64,
}

impl View {
    /// A settled view of `own`, who is a member whether it is named or not, with leases as they stand in the bucket
    /// (`None`: given back): for tests of what acts on views.
    #[must_use]
    pub fn of<'a>(
        own: &str,
        members: impl IntoIterator<Item = &'a str>,
        leases: impl IntoIterator<Item = (u16, Option<&'a str>)>,
    ) -> Self {
        let leases = leases.into_iter().zip(1..);
        let held = |holder: Option<&str>, revision| Held { holder: holder.map(str::to_owned), revision };
        Self {
            own: own.into(),
            members: members.into_iter().map(str::to_owned).chain([own.to_owned()]).collect(),
            unproven: BTreeSet::new(),
            leaving: BTreeSet::new(),
            leases: leases.map(|((partition, holder), revision)| (partition, held(holder, revision))).collect(),
            settled: true,
        }
    }

    /// The same, while nothing can be judged.
    #[must_use]
    pub fn unsettled(self) -> Self {
        Self { settled: false, ..self }
    }

    /// The members that live, the own engine included, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(String::as_str)
    }

    /// Whether the view can be acted on. It can't while own renewals don't come back: then nobody knows who lives.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Who holds `partition`. Only a settled view says that a holder doesn't live.
    #[must_use]
    pub fn lessee(&self, partition: u16) -> Lessee<'_> {
        match self.leases.get(&partition).and_then(|held| held.holder.as_deref()) {
            None => Lessee::Free,
            Some(holder) if holder == self.own => Lessee::Own,
            Some(holder) if self.settled && !self.members.contains(holder) && !self.unproven.contains(holder) => {
                Lessee::Free
            }
            Some(holder) => Lessee::Other(holder),
        }
    }

    /// The partitions that the own engine should hold, of all from 0 to `partitions`: none where it leaves.
    #[must_use]
    pub fn share(&self, partitions: u16) -> BTreeSet<u16> {
        let staying = self.members().filter(|member| !self.leaving.contains(*member));
        let owners = assignment::owners(staying, partitions);
        (0..).zip(owners).filter(|(_, owner)| *owner == self.own).map(|(partition, _)| partition).collect()
    }

    /// The revision that a lease has to have for a change of it; 0 where there is none.
    pub(super) fn revision(&self, partition: u16) -> u64 {
        self.leases.get(&partition).map_or(0, |held| held.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_where_nobody_who_lives_holds_it() {
        let view = View::of("me", ["other"], [(0, None), (1, Some("me")), (2, Some("other")), (3, Some("gone"))]);
        assert_eq!(view.lessee(0), Lessee::Free);
        assert_eq!(view.lessee(1), Lessee::Own);
        assert_eq!(view.lessee(2), Lessee::Other("other"));
        assert_eq!(view.lessee(3), Lessee::Free);
        assert_eq!(view.lessee(4), Lessee::Free);
    }

    #[test]
    fn a_holder_is_not_dead_while_nothing_can_be_judged() {
        let view = View::of("me", [], [(3, Some("gone"))]).unsettled();
        assert!(!view.is_settled());
        assert_eq!(view.lessee(3), Lessee::Other("gone"));
    }

    #[test]
    fn of_whom_it_is_not_known_whether_he_lives_nothing_is_taken_and_nothing_is_left_to_him() {
        let view =
            View { unproven: BTreeSet::from(["unknown".to_owned()]), ..View::of("me", [], [(0, Some("unknown"))]) };
        assert_eq!(view.lessee(0), Lessee::Other("unknown"));
        assert_eq!(view.share(64).len(), 64);
    }

    #[test]
    fn shares_are_everything_together_and_have_nothing_in_common() {
        let shares = ["a", "b", "c"].map(|own| View::of(own, ["a", "b", "c"], []).share(64));
        assert_eq!(shares.iter().map(BTreeSet::len).sum::<usize>(), 64);
        assert_eq!(shares.iter().flatten().collect::<BTreeSet<_>>().len(), 64);
        assert_eq!(View::of("a", [], []).share(64).len(), 64);
        let leaving = BTreeSet::from(["b".to_owned()]);
        let share = |own| View { leaving: leaving.clone(), ..View::of(own, ["a", "b"], []) }.share(64).len();
        assert_eq!((share("a"), share("b")), (64, 0), "who leaves is counted on no more");
    }
}
