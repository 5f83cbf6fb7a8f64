//! The differences of two texts, by lines, for people.

use std::fmt::Write as _;

/// How many equal lines are shown around a difference.
const AROUND: usize = 3;

/// The most lines shown. Arbitrary: two screens.
const SHOWN_MAX: usize = 100;

/// The most pairs of lines compared. Beyond it all lines between the first and the last difference count as different.
const PAIRS_MAX: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// Lines only in `old` with `-`, lines only in `new` with `+`, and a few equal ones around them. Empty if the texts are
/// equal.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let lines = lines(&old, &new);
    let differs: Vec<usize> = (0..lines.len())
        .filter(|at| lines.get(*at).is_some_and(|line| line.0 != Side::Both))
        .collect();
    let mut text = String::new();
    let (mut shown, mut next) = (0, 0);
    let mut old_number = 1;
    for (at, (side, line)) in lines.iter().enumerate() {
        let near = differs.partition_point(|differs| differs + AROUND < at);
        if differs.get(near).is_some_and(|differs| *differs <= at + AROUND) {
            if shown == SHOWN_MAX {
                let _ = writeln!(text, "… and more");
                break;
            }
            if next != at || at == 0 {
                let _ = writeln!(text, "@@ line {old_number} @@");
            }
            let mark = match side {
                Side::Both => ' ',
                Side::Old => '-',
                Side::New => '+',
            };
            let _ = writeln!(text, "{mark}{line}");
            (shown, next) = (shown + 1, at + 1);
        }
        old_number += usize::from(*side != Side::New);
    }
    text
}

/// All lines of both texts, each with the side it is on: as many as possible on both (a longest common subsequence).
fn lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = tail.take_while(|(one, other)| one == other).count();
    let inner = |rest: &[&'a str]| rest.get(..rest.len() - tail).unwrap_or_default().to_vec();
    let both = |lines: &[&'a str]| lines.iter().map(|line| (Side::Both, *line)).collect::<Vec<_>>();
    let mut all = both(old.get(..head).unwrap_or_default());
    all.extend(between(&inner(old_rest), &inner(new_rest)));
    all.extend(both(old_rest.get(old_rest.len() - tail..).unwrap_or_default()));
    all
}

fn between<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let all = |side, lines: &[&'a str]| lines.iter().map(|line| (side, *line)).collect::<Vec<_>>();
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return [all(Side::Old, old), all(Side::New, new)].concat();
    }
    // The length of the longest common subsequence from here on.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    let get = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or_default();
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let best = if one == other {
                get(&common, i + 1, j + 1) + 1
            } else {
                get(&common, i + 1, j).max(get(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::with_capacity(old.len() + new.len());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                lines.push((Side::Both, *one));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other) if other.is_none() || get(&common, i + 1, j) >= get(&common, i, j + 1) => {
                lines.push((Side::Old, *one));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push((Side::New, *other));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_with_equal_lines_around() {
        assert_eq!(diff("a\nb\n", "a\nb\n"), "");
        let old = "1\n2\n3\n4\n5\nsix\n7\n8\n9\n10\n11\n12\n13\n14\nx\n";
        let new = "1\n2\n3\n4\n5\nsix!\nmore\n7\n8\n9\n10\n11\n12\n13\n14\n";
        let wanted = "@@ line 3 @@\n 3\n 4\n 5\n-six\n+six!\n+more\n 7\n 8\n 9\n@@ line 12 @@\n 12\n 13\n 14\n-x\n \n";
        assert_eq!(diff(old, new), wanted);
        assert_eq!(diff("", "a\n"), "@@ line 1 @@\n+a\n \n");
    }

    #[test]
    fn long_differences_are_cut() {
        let many = |word: &str| (0..5000).map(|n| format!("{word} {n}\n")).collect::<String>();
        let diff = diff(&many("old"), &many("new"));
        assert_eq!(diff.lines().count(), SHOWN_MAX + 2);
        assert!(diff.ends_with("… and more\n"));
    }
}
