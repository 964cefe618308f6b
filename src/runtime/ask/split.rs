//! Who has to be asked about which partitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::partition_of;
use crate::nats::{Lessee, View};
use crate::wire::ask::owned::{Question, What};

/// Partitions by who owns them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) own: BTreeSet<u16>,
    pub(super) others: BTreeMap<String, BTreeSet<u16>>,
    pub(super) nobodys: BTreeSet<u16>,
}

impl Split {
    pub(super) fn of(view: &View, partitions: &BTreeSet<u16>) -> Self {
        let mut split = Self::default();
        for partition in partitions {
            let owned = match view.lessee(*partition) {
                Lessee::Own => &mut split.own,
                Lessee::Other(engine) => split.others.entry(engine.to_owned()).or_default(),
                Lessee::Free => &mut split.nobodys,
            };
            owned.insert(*partition);
        }
        split
    }
}

/// The same question about some of its partitions, of a log that has `count`: of users only theirs are asked for.
pub(super) fn about(question: &Question, partitions: BTreeSet<u16>, count: u16) -> Question {
    let is_theirs = |user: &&String| partitions.contains(&partition_of(&question.tenant, user, count));
    let theirs = |users: &BTreeSet<String>| users.iter().filter(is_theirs).cloned().collect();
    let what = match &question.what {
        What::Users(users) => What::Users(theirs(users)),
        What::Ready { users, want } => What::Ready { users: theirs(users), want: want.clone() },
        What::Candidates { users, want, load } => {
            What::Candidates { users: theirs(users), want: want.clone(), load: load.clone() }
        }
        What::Session { .. }
        | What::Page { .. }
        | What::Room(_)
        | What::Members { .. }
        | What::ReadyIn { .. }
        | What::CandidatesIn { .. }
        | What::Tenant => question.what.clone(),
    };
    Question { tenant: question.tenant.clone(), partitions, at_least: question.at_least, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_split_by_who_holds_them() {
        let view = View::of("me", ["other"], [(0, Some("me")), (1, Some("other")), (2, None), (3, Some("other"))]);
        let split = Split::of(&view, &BTreeSet::from([0, 1, 3, 4]));
        let others = BTreeMap::from([("other".to_owned(), BTreeSet::from([1, 3]))]);
        assert_eq!(split, Split { own: BTreeSet::from([0]), others, nobodys: BTreeSet::from([4]) });
    }

    #[test]
    fn each_user_is_asked_for_where_it_belongs_and_nowhere_else() {
        let users: BTreeSet<String> = (0..50).map(|user| format!("u{user}")).collect();
        let tenant = "main".to_owned();
        let question = Question { tenant, partitions: (0..8).collect(), at_least: 7, what: What::Users(users.clone()) };
        let mut found = BTreeSet::new();
        for partition in 0..8 {
            let part = about(&question, BTreeSet::from([partition]), 8);
            assert_eq!((part.at_least, &part.partitions), (7, &BTreeSet::from([partition])));
            let What::Users(part) = part.what else { panic!("it asks for users") };
            assert!(part.iter().all(|user| partition_of("main", user, 8) == partition));
            found.extend(part);
        }
        assert_eq!(found, users);
    }
}
