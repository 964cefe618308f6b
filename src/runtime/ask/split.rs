//! Who has to be asked about which partitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::partition_of;
use crate::nats::{Lessee, View};
use crate::wire::ask::owned::Question;

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

/// The same question about each of these sets of its partitions, of a log that has `count`: of users each is asked for theirs. What is
/// in none of the sets is asked nowhere.
pub(super) fn parts(question: &Question, sets: Vec<BTreeSet<u16>>, count: u16) -> Vec<Question> {
    let mut users: Vec<BTreeSet<String>> = vec![BTreeSet::new(); sets.len()];
    for user in question.users().into_iter().flatten() {
        let partition = partition_of(&question.tenant, user, count);
        if let Some(at) = sets.iter().position(|set| set.contains(&partition)) {
            users[at].insert(user.clone());
        }
    }
    sets.into_iter().zip(users).map(|(partitions, users)| question.about(partitions, users)).collect()
}

/// The users that a question is about by name, by the partition of a log that has `count`.
pub(super) fn users_by_partition(question: &Question, count: u16) -> BTreeMap<u16, Vec<&String>> {
    let mut users: BTreeMap<u16, Vec<&String>> = BTreeMap::new();
    for user in question.users().into_iter().flatten() {
        users.entry(partition_of(&question.tenant, user, count)).or_default().push(user);
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ask::owned::What;

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
        let sets = vec![BTreeSet::from([0, 3]), BTreeSet::from([1]), (4..8).collect()];
        let mut found = BTreeSet::new();
        for (part, set) in parts(&question, sets.clone(), 8).into_iter().zip(sets) {
            assert_eq!((part.at_least, &part.partitions), (7, &set));
            let theirs = part.users().unwrap();
            assert!(theirs.iter().all(|user| set.contains(&partition_of("main", user, 8))));
            found.extend(theirs.clone());
        }
        let by_partition = users_by_partition(&question, 8);
        found.extend(by_partition[&2].iter().map(|user| (*user).clone()));
        assert_eq!(found, users);
    }
}
