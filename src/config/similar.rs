//! What somebody may have meant.

/// The one of `known` that is nearest to `word`, if it is near enough to be a slip of the hand.
pub(super) fn similar<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|other| (distance(word, other), other))
        .filter(|(distance, other)| *distance <= 1 + other.len().min(word.len()) / 5)
        .min()
        .map(|(_, other)| other)
}

/// Levenshtein's distance with swapped neighbours counted once: inserted, dropped, replaced and swapped bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        assert_eq!(distance("tick", "tikc"), 1);
        assert_eq!(distance("", "abc"), 3);
        let known = ["tick", "storage", "partitions"];
        assert_eq!(similar("tik", known.into_iter()), Some("tick"));
        assert_eq!(similar("partitons", known.into_iter()), Some("partitions"));
        assert_eq!(similar("stop", known.into_iter()), None);
    }
}
