//! The differences of two texts, by lines, for people.

use std::fmt::Write as _;

use similar::TextDiff;

/// How many equal lines are shown around a difference.
const AROUND: usize = 3;

/// The most lines shown. Arbitrary: two screens.
const SHOWN_MAX: usize = 100;

/// Lines only in `old` with `-`, lines only in `new` with `+`, and a few equal ones around them. Empty if nothing differs.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let diff = TextDiff::from_slices(&old, &new);
    let mut text = String::new();
    let mut shown = 0;
    for group in diff.grouped_ops(AROUND) {
        let first = group.first().map_or(0, |op| op.old_range().start);
        let _ = writeln!(text, "@@ line {} @@", first + 1);
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if shown == SHOWN_MAX {
                let _ = writeln!(text, "… and more");
                return text;
            }
            let _ = writeln!(text, "{}{}", change.tag(), change.value());
            shown += 1;
        }
    }
    text
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
