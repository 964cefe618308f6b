//! `presence status` for people.

use std::time::Duration;

use super::gather::{Overview, Partition};
use crate::cli::output::{printable, time};

/// All lines; one for each partition if `every` says so, else one for each owner.
pub(super) fn lines(overview: &Overview, every: bool) -> Vec<String> {
    let (engines, count) = (overview.engines.len(), overview.partitions.len());
    let mut lines = vec![format!(
        "{} {count} partitions; the log ends at entry {}",
        if engines == 1 { "1 engine has".to_owned() } else { format!("{engines} engines share") },
        overview.log_seq
    )];
    if !overview.engines.is_empty() {
        lines.push(String::new());
        lines.push(row(&["engine", "state", "owns", "lag", "host", "pid", "since"]));
    }
    for engine in &overview.engines {
        let member = &engine.member;
        let lag = engine.lag.map_or("-".into(), |lag| lag.to_string());
        let (owned, pid, host) = (engine.owned.to_string(), member.pid.to_string(), printable(&member.host));
        let name = printable(&member.engine);
        lines.push(row(&[&name, engine.state, &owned, &lag, &host, &pid, &time(member.since_ms)]));
    }
    lines.push(String::new());
    if every {
        lines.push(of_partition(["partition", "owner", "epoch", "told up to", "lag", "checkpoint", "age"]));
        lines.extend(overview.partitions.iter().map(partition));
    } else {
        lines.extend(by_owner(&overview.partitions));
    }
    lines.push(String::new());
    if overview.unseen.is_empty() {
        lines.push("nothing went unseen in that time".into());
    }
    for unseen in &overview.unseen {
        let took = duration(unseen.to_ms - unseen.from_ms);
        let partitions =
            if unseen.partitions == 1 { "1 partition".into() } else { format!("{} partitions", unseen.partitions) };
        lines.push(format!("{}  {:<16}  {took:<8}  {partitions}", time(unseen.from_ms), printable(&unseen.what)));
    }
    lines
}

fn row(cells: &[&str; 7]) -> String {
    let [name, state, owns, lag, host, pid, since] = cells;
    format!("{name:<22}  {state:<9}  {owns:>4}  {lag:>7}  {host:<16}  {pid:>7}  {since}").trim_end().to_owned()
}

fn of_partition(cells: [&str; 7]) -> String {
    let [partition, owner, epoch, told, lag, checkpoint, age] = cells;
    format!("{partition:>9}  {owner:<22}  {epoch:>5}  {told:>12}  {lag:>7}  {checkpoint:>12}  {age:>8}")
}

fn partition(of: &Partition) -> String {
    let owner = of.owner.as_deref().map_or("nobody".into(), printable);
    let [number, epoch, told, lag] =
        [u64::from(of.partition), of.epoch, of.told_seq, of.lag].map(|number| number.to_string());
    let checkpoint = of.checkpoint_seq.map_or("none".into(), |seq| seq.to_string());
    let age = of.checkpoint_age_ms.map_or("-".into(), duration);
    of_partition([&number, &owner, &epoch, &told, &lag, &checkpoint, &age])
}

/// What each owner has, in the order of its first partition.
fn by_owner(all: &[Partition]) -> Vec<String> {
    let mut owners = Vec::<&Option<String>>::new();
    for partition in all {
        if !owners.contains(&&partition.owner) {
            owners.push(&partition.owner);
        }
    }
    let line = |owner: &&Option<String>| {
        let owned: Vec<_> = all.iter().filter(|partition| partition.owner == **owner).collect();
        let numbers: Vec<_> = owned.iter().map(|partition| partition.partition).collect();
        let (least, most) = (owned.iter().map(|of| of.epoch).min(), owned.iter().map(|of| of.epoch).max());
        let epochs = match (least.unwrap_or(0), most.unwrap_or(0)) {
            (least, most) if least == most => format!("epoch {least}"),
            (least, most) => format!("epochs {least} to {most}"),
        };
        let without = owned.iter().filter(|of| of.checkpoint_seq.is_none()).count();
        let oldest = owned.iter().filter_map(|of| of.checkpoint_age_ms).max();
        let checkpoints = match (oldest, without) {
            (None, _) => "no checkpoints".to_owned(),
            (Some(age), 0) => format!("oldest checkpoint {}", duration(age)),
            (Some(age), without) => format!("oldest checkpoint {}, {without} without", duration(age)),
        };
        let name = owner.as_deref().map_or("nobody".into(), printable);
        let lag = owned.iter().map(|of| of.lag).max().unwrap_or(0);
        format!("{name:<22}  {}: {epochs}, lag {lag}, {checkpoints}", partitions(&numbers))
    };
    owners.iter().map(line).collect()
}

/// `partitions 0-3, 7`: the numbers, in order, as ranges.
pub(super) fn partitions(numbers: &[u16]) -> String {
    let mut ranges = Vec::<(u16, u16)>::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let written =
        |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let ranges: Vec<_> = ranges.iter().map(written).collect();
    format!("{} {}", if numbers.len() == 1 { "partition" } else { "partitions" }, ranges.join(", "))
}

/// To a tenth of a second below a minute, else to the second.
fn duration(ms: u64) -> String {
    let rounded = if ms < 60_000 { ms / 100 * 100 } else { ms / 1_000 * 1_000 };
    humantime::format_duration(Duration::from_millis(rounded)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_written_as_ranges() {
        assert_eq!(partitions(&[0, 1, 2, 3, 7, 9, 10]), "partitions 0-3, 7, 9-10");
        assert_eq!(partitions(&[5]), "partition 5");
    }

    #[test]
    fn each_owner_is_told_with_what_it_has() {
        let of = |partition, owner: Option<&str>, epoch, age| Partition {
            partition,
            owner: owner.map(str::to_owned),
            epoch,
            lag: u64::from(partition),
            checkpoint_seq: age,
            checkpoint_age_ms: age,
            ..Partition::default()
        };
        let all = [of(0, Some("a"), 3, Some(12_340)), of(1, None, 1, None), of(2, Some("a"), 5, Some(100))];
        assert_eq!(
            by_owner(&all),
            [
                "a                       partitions 0, 2: epochs 3 to 5, lag 2, oldest checkpoint 12s 300ms",
                "nobody                  partition 1: epoch 1, lag 1, no checkpoints",
            ]
        );
    }
}
