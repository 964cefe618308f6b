use super::*;
use crate::fold;

fn reached(seq: u64, k: u32) -> Reached {
    Reached { seq, ts: seq, k, generation: 0, policy_hash: "p".into() }
}

fn outbox(told: &[Reached], messages_max: usize) -> Outbox {
    let mut outbox = Outbox::new(messages_max);
    for (partition, told) in told.iter().enumerate() {
        outbox.begin(partition as u16, told.clone());
    }
    outbox
}

fn message(partition: u16) -> OutMessage {
    OutMessage { partition, subject: "presence.v1.x".into(), headers: Vec::new(), payload: bytes::Bytes::new() }
}

fn taken() -> fold::Snapshot {
    fold::Snapshot { bytes: vec![1], segment: None, segments: Vec::new() }
}

#[test]
fn a_batch_holds_what_fits_with_one_progress_a_partition() {
    let mut outbox = outbox(&[reached(0, 0), reached(0, 0)], 5);
    outbox.tell(0, reached(1, 1), vec![message(0)]);
    outbox.tell(0, reached(1, 2), vec![message(0), message(0)]);
    outbox.tell(1, reached(2, 1), vec![message(1)]);
    let batch = outbox.next_batch().unwrap();
    assert_eq!(batch.messages.len(), 2, "two more and both progresses would be six");
    assert_eq!(batch.progress, [(0, reached(1, 1).position()), (1, reached(2, 1).position())]);
    assert!(outbox.next_batch().is_none(), "one commit of a partition at a time");
    assert!(outbox.confirm(&[0, 1]).is_empty());
    assert!(outbox.was_told(0, 1, 0) && !outbox.was_told(0, 1, 1) && outbox.was_told(1, 2, 0));
    assert_eq!(outbox.next_batch().unwrap().progress, [(0, reached(1, 2).position())]);
}

#[test]
fn what_no_entry_caused_moves_no_position() {
    let mut outbox = outbox(&[reached(7, 3)], 900);
    outbox.tell_aside(0, vec![message(0)]);
    assert_eq!(outbox.next_batch().unwrap().progress, [(0, reached(7, 3).position())]);
    outbox.confirm(&[0]);
    assert!(outbox.was_told(0, 7, 2) && !outbox.was_told(0, 7, 3));
}

/// A partial of a room with such a count.
fn partial(partition: u16, room: &str, count: &str) -> OutMessage {
    let (subject, payload) = (format!("presence.v1.partial.{partition}.main.{room}"), count.to_owned().into());
    OutMessage { subject, payload, ..message(partition) }
}

fn partitions(batch: &Batch) -> Vec<u16> {
    batch.progress.iter().map(|(partition, _)| *partition).collect()
}

fn payloads(batch: &Batch) -> Vec<&[u8]> {
    batch.messages.iter().map(|message| &*message.payload).collect()
}

#[test]
fn a_newer_count_takes_the_place_of_the_one_that_waits() {
    let mut outbox = outbox(&[reached(7, 3)], 900);
    outbox.tell_partial(partial(0, "a", "1"));
    outbox.tell(0, reached(8, 1), vec![message(0)]);
    outbox.tell_partial(partial(0, "b", "5"));
    outbox.tell_partial(partial(0, "a", "2"));
    assert_eq!(outbox.len(), 3);
    let batch = outbox.next_batch().unwrap();
    assert_eq!(payloads(&batch), [b"2".as_slice(), b"", b"5"]);
    assert_eq!(batch.progress, [(0, reached(8, 1).position())], "partials move no position");
}

#[test]
fn beside_a_count_on_its_way_the_next_one_waits_for_the_next_batch() {
    let mut outbox = outbox(&[reached(7, 3)], 900);
    outbox.tell_partial(partial(0, "a", "1"));
    assert_eq!(payloads(&outbox.next_batch().unwrap()), [b"1"]);
    outbox.tell_partial(partial(0, "a", "2"));
    outbox.tell_partial(partial(0, "a", "3"));
    assert!(outbox.next_batch().is_none() && !outbox.is_empty_of(0));
    outbox.confirm(&[0]);
    assert_eq!(payloads(&outbox.next_batch().unwrap()), [b"3"]);
    outbox.confirm(&[0]);
    assert!(outbox.is_empty_of(0));
}

#[test]
fn the_counts_of_a_partition_that_is_lost_go_with_it() {
    let mut outbox = outbox(&[reached(0, 0), reached(0, 0)], 900);
    outbox.tell_partial(partial(0, "a", "1"));
    outbox.tell_partial(partial(1, "a", "2"));
    outbox.end(0);
    outbox.begin(0, reached(1, 1));
    outbox.tell_partial(partial(0, "a", "3"));
    assert_eq!(payloads(&outbox.next_batch().unwrap()), [b"3", b"2"]);
}

#[test]
fn a_count_is_committed_before_the_snapshot_behind_it_is_stored() {
    let mut outbox = outbox(&[reached(1, 1)], 2);
    outbox.tell_partial(partial(0, "a", "1"));
    assert!(outbox.keep(Snapshot { partition: 0, reached: reached(1, 1), taken: taken() }));
    outbox.tell_partial(partial(0, "a", "2"));
    assert_eq!(payloads(&outbox.next_batch().unwrap()), [b"2"], "it waited before the snapshot");
    assert_eq!(outbox.confirm(&[0]).len(), 1);
}

#[test]
fn a_snapshot_in_the_midst_of_a_replay_takes_no_progress_back() {
    let mut outbox = outbox(&[reached(7, 3)], 900);
    for behind in [reached(3, 9), reached(7, 2)] {
        assert!(!outbox.keep(Snapshot { partition: 0, reached: behind, taken: taken() }));
        assert!(outbox.next_batch().is_none());
    }
    assert!(outbox.keep(Snapshot { partition: 0, reached: reached(7, 3), taken: taken() }));
    assert_eq!(outbox.next_batch().unwrap().progress, [(0, reached(7, 3).position())]);
}

#[test]
fn a_snapshot_is_stored_only_behind_its_commit() {
    let mut outbox = outbox(&[reached(0, 0)], 2);
    outbox.tell(0, reached(1, 1), vec![message(0)]);
    assert!(outbox.keep(Snapshot { partition: 0, reached: reached(1, 1), taken: taken() }));
    outbox.tell(0, reached(2, 1), vec![message(0)]);
    assert_eq!(outbox.next_batch().unwrap().messages.len(), 1);
    assert_eq!(outbox.confirm(&[0]).len(), 1);
    assert_eq!(outbox.next_batch().unwrap().progress[0].1.input_seq, 2);
}

#[test]
fn a_partition_that_is_lost_takes_nothing_of_the_others_with_it() {
    let mut outbox = outbox(&[reached(0, 0), reached(0, 0)], 900);
    outbox.tell(0, reached(1, 1), vec![message(0)]);
    outbox.tell(1, reached(2, 1), vec![message(1)]);
    assert_eq!(outbox.next_batch().unwrap().progress.len(), 2);
    outbox.tell(0, reached(3, 1), vec![message(0)]);
    outbox.tell(1, reached(4, 1), vec![message(1)]);
    outbox.end(0);
    assert!(outbox.is_empty_of(0) && !outbox.is_empty_of(1));
    outbox.begin(0, reached(1, 1));
    outbox.confirm(&[0, 1]);
    assert!(outbox.was_told(1, 2, 0) && !outbox.was_told(1, 4, 0) && outbox.was_told(0, 1, 0));
    assert_eq!(outbox.next_batch().unwrap().progress, [(1, reached(4, 1).position())]);
}

#[test]
fn who_has_little_to_tell_waits_for_nobody_who_has_much() {
    let mut outbox = outbox(&[reached(0, 0), reached(0, 0), reached(0, 0)], 9);
    for seq in 1..=100 {
        outbox.tell(0, reached(seq, 1), vec![message(0)]);
    }
    outbox.tell(2, reached(101, 1), vec![message(2), message(2)]);
    let batch = outbox.next_batch().unwrap();
    assert_eq!(batch.progress, [(0, reached(5, 1).position()), (2, reached(101, 1).position())]);
    assert_eq!((batch.messages.len(), outbox.len()), (7, 101));
    outbox.confirm(&[0, 2]);
    assert!(outbox.is_empty_of(2) && outbox.was_told(0, 5, 0) && !outbox.was_told(0, 6, 0));
    assert_eq!(outbox.len(), 95);
}

#[test]
fn one_is_told_after_the_other_where_a_batch_is_too_small_for_two() {
    let mut outbox = outbox(&vec![reached(0, 0); 5], 4);
    for seq in 1..=5 {
        (0..5).for_each(|partition| outbox.tell(partition, reached(seq, 1), vec![message(partition)]));
    }
    let mut batches: Vec<Vec<u16>> = Vec::new();
    while !outbox.is_empty() {
        let told = partitions(&outbox.next_batch().unwrap());
        outbox.confirm(&told);
        batches.push(told);
    }
    assert_eq!(batches.concat(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
}

/// So many partitions have so much to tell each.
fn waiting(count: u16, each: u64, messages_max: usize) -> Outbox {
    let mut outbox = outbox(&vec![reached(0, 0); count.into()], messages_max);
    for seq in 1..=each {
        (0..count).for_each(|partition| outbox.tell(partition, reached(seq, 1), vec![message(partition)]));
    }
    outbox
}

#[test]
fn of_those_who_have_much_whoever_was_begun_is_finished() {
    let mut outbox = waiting(40, 500, 800);
    let mut batches = Vec::new();
    while !outbox.is_empty() {
        let told = partitions(&outbox.next_batch().unwrap());
        outbox.confirm(&told);
        batches.push(told);
    }
    assert_eq!(batches.len(), 26, "as few as there can be: 20,000 messages and the progress of some");
    let progress: usize = batches.iter().map(Vec::len).sum();
    assert!(progress < 2 * 40, "{progress}: most of them are in one batch or in two");
    assert_eq!(outbox.told(39), Some(&reached(500, 1)));
}

#[test]
fn of_those_who_have_much_the_fewest_go_first() {
    let mut outbox = waiting(40, 500, 800);
    outbox.begin(40, reached(0, 0));
    (1..=100).for_each(|seq| outbox.tell(40, reached(500 + seq, 1), vec![message(40)]));
    assert_eq!(partitions(&outbox.next_batch().unwrap()), [0, 1, 40]);
    assert_eq!(outbox.queues[0].in_flight + outbox.queues[1].in_flight, 800 - 100 - 3);
}

#[test]
fn who_has_the_most_has_a_turn_however_much_the_others_get() {
    let mut outbox = waiting(3, 500, 100);
    (501..=5_000).for_each(|seq| outbox.tell(2, reached(seq, 1), vec![message(2)]));
    let mut turns = [0; 3];
    for round in 0..24 {
        let told = partitions(&outbox.next_batch().unwrap());
        told.iter().for_each(|partition| turns[usize::from(*partition)] += 1);
        outbox.confirm(&told);
        // As much again as was told, so that they never have more than the third.
        for partition in [0, 1] {
            let missing = 500 - outbox.queues[usize::from(partition)].items.len() as u32;
            (1..=missing).for_each(|k| outbox.tell(partition, reached(1_000 + round, k), vec![message(partition)]));
        }
    }
    assert!(turns[2] >= 2, "{turns:?}");
}

#[test]
fn who_has_little_to_tell_goes_before_all_who_have_much() {
    let mut outbox = waiting(40, 500, 800);
    outbox.begin(40, reached(0, 0));
    outbox.tell(40, reached(501, 1), vec![message(40)]);
    let told = partitions(&outbox.next_batch().unwrap());
    assert!(told.contains(&40) && told.contains(&0), "{told:?}");
}

#[test]
fn those_who_have_little_leave_half_of_a_batch_to_who_has_much() {
    for each in [1, 10] {
        let mut outbox = waiting(500, each, 800);
        outbox.begin(500, reached(0, 0));
        (1..=900).for_each(|seq| outbox.tell(500, reached(1_000 + seq, 1), vec![message(500)]));
        let batch = outbox.next_batch().unwrap();
        let of_much = batch.messages.iter().filter(|message| message.partition == 500).count();
        assert!((380..=400).contains(&of_much), "{each}: {of_much}");
    }
}

#[test]
fn those_who_have_little_are_asked_in_turn_whoever_has_much_beside_them() {
    let mut outbox = waiting(60, 1, 32);
    let mut turns = [0; 60];
    for round in 2..62 {
        for partition in 0..60 {
            let count = if [20, 21].contains(&partition) { 40 } else { u32::from(outbox.is_empty_of(partition)) };
            (1..=count).for_each(|k| outbox.tell(partition, reached(round, k), vec![message(partition)]));
        }
        let told = partitions(&outbox.next_batch().unwrap());
        told.iter().for_each(|partition| turns[usize::from(*partition)] += 1);
        outbox.confirm(&told);
    }
    assert!(turns.iter().all(|turns| *turns >= 4), "{turns:?}");
}

#[test]
fn beside_a_commit_another_begins_where_other_partitions_fill_it() {
    let mut outbox = waiting(8, 100, 100);
    let (one, other) = (partitions(&outbox.next_batch().unwrap()), partitions(&outbox.next_batch().unwrap()));
    assert!(one.iter().all(|partition| !other.contains(partition)), "{one:?} {other:?}");
    assert!(outbox.next_batch().is_none(), "two are enough");
    outbox.confirm(&other);
    assert!(other.iter().all(|partition| outbox.told(*partition) != Some(&reached(0, 0))));
    assert!(one.iter().all(|partition| outbox.told(*partition) == Some(&reached(0, 0))), "the first is under way");
    let third = partitions(&outbox.next_batch().unwrap());
    assert!(one.iter().all(|partition| !third.contains(partition)), "{one:?} {third:?}");
}

#[test]
fn beside_a_commit_what_fills_no_other_waits_and_grows() {
    let mut outbox = waiting(8, 100, 100);
    let one = partitions(&outbox.next_batch().unwrap());
    (0..8).filter(|partition| !one.contains(partition)).for_each(|partition| outbox.end(partition));
    assert!(outbox.next_batch().is_none(), "nothing is left but of those that have one under way");
    outbox.confirm(&one);
    assert!(outbox.next_batch().is_some());

    let mut outbox = waiting(2, 1, 100);
    assert_eq!(partitions(&outbox.next_batch().unwrap()), [0, 1]);
    outbox.begin(2, reached(0, 0));
    (1..100).for_each(|seq| outbox.tell(2, reached(seq, 1), vec![message(2)]));
    assert!(outbox.next_batch().is_none(), "one less than a batch takes");
    outbox.tell(2, reached(100, 1), vec![message(2)]);
    assert_eq!(partitions(&outbox.next_batch().unwrap()), [2]);
}
