//! Text for users, compared with `tests/snapshots/<module of the test>/<name>.snap`. A text that differs fails; it is
//! stored with `INSTA_UPDATE=always cargo test --profile ci --workspace --test it -- FILTER`, to be reviewed as a change like any
//! other. Facts (exit codes, fields of JSON, figures) are asserted where the tests are, not here.

use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::BTreeSet,
    panic::Location,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::{Ended, root};

/// Patterns of text that differs between machines and runs, with replacements: applied line by line, in this order.
static NAMES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let folders = regex::escape(env!("CARGO_TARGET_TMPDIR"));
    let temporary = regex::escape(std::env::temp_dir().to_str().unwrap().trim_end_matches('/'));
    let project = regex::escape(root().to_str().unwrap());
    [
        // Colors.
        ("\u{1b}\\[[0-9;]*m".to_owned(), ""),
        // Folders of tests, whose names are random, and those of guests, which cargo chooses.
        (format!(r"{folders}/\.tmp\w{{6}}"), "DIR"),
        (format!(r"{temporary}/\.tmp\w{{6}}"), "TMP"),
        (format!(r"{project}/[\w./-]*/release/"), "GUESTS/"),
        (project, "PROJECT"),
        (r"\b20\d{6}-\d{6}-[a-z0-9]{5}\b".to_owned(), "RUN"),
        (r"\b(127\.0\.0\.1|localhost):\d{4,5}\b".to_owned(), "$1:PORT"),
        (r"\b[0-9a-f]{64}\b".to_owned(), "SHA256"),
        // Code offsets in a component depend on the compiler.
        (r"\b0x[0-9a-f]+\b".to_owned(), "OFFSET"),
        (r"\.rs:\d+:\d+".to_owned(), ".rs:LINE"),
        (r"(wasi:[\w/-]+)@0\.2\.\d+\b".to_owned(), "${1}@0.2.x"),
        (r"^( +at function )\d+$".to_owned(), "${1}N"),
        (r"thread '[^']*'( \(\d+\))? panicked".to_owned(), "thread panicked"),
        // Messages of shells and resolvers, and the folder of temporary files, differ between machines.
        (r"^sh: .*".to_owned(), "sh: …"),
        (r"(no address is known for `[^`]*`).*".to_owned(), "$1…"),
        (r"kept in a file, in `[^`]*`".to_owned(), "kept in a file, in `TMPDIR`"),
        (r"^(  size +)\d\S*$".to_owned(), "${1}SIZE"),
        (r"^(  made by ).*$".to_owned(), "${1}TOOLS"),
        (r"\b\S+(, half of this machine's)".to_owned(), "SIZE$1"),
    ]
    .map(|(pattern, mask)| (Regex::new(&pattern).unwrap(), mask))
    .into()
});

/// The same for text that depends on real time and on which worker was free.
static FIGURES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Which worker of a pool gets an action depends on timing.
        (r"\b([\w.-]+)/\d+( |#|:|\]|$)", "$1/N$2"),
        (r"^(\[\S+)#\d+\.\d+\]", "$1#ATTEMPT]"),
        // Figures that are measured.
        (
            r", in [\d.]+\w+; at most \S+ of memory",
            ", in TIME; at most SIZE of memory",
        ),
        (
            r"it has used \S+ of fuel and \S+ of memory",
            "it has used FUEL and SIZE",
        ),
        (
            r"^\d+ tasks done, (\d+) failed, (at least )?\d+ left undone",
            "N tasks done, $1 failed, ${2}N left undone",
        ),
        (r"\(first: (the batch from )?line \d+\)", "(first: ${1}line N)"),
        (r"^(\[\S+\]) \S+ of its log output", "$1 SIZE of its log output"),
        (r"(the planner's `collect` for task) \d+", "$1 N"),
        (r"numbered from 1 to \d+", "numbered from 1 to N"),
        (r"but the index is \d+", "but the index is N"),
        // What runs out of memory first, and how a compiler without memory ends.
        (r"address space left \(.*\);", "address space left (WHY);"),
        (r"broke the compiler \(signal: .*\);", "broke the compiler (HOW);"),
        (r"\b(after|for|since) \d[\d.]*(ms|s|m|h)\b", "$1 TIME"),
        (r"^ +\d[\d.]*(ms|s|m) ((?:attempt|the worker) )", "  TIME $2"),
    ]
    .map(|(pattern, mask)| (Regex::new(pattern).unwrap(), mask))
    .into()
});

/// The beginnings of lines about single tasks, attempts and workers, whose order depends on timing.
const CONCURRENT: [&str; 7] = [
    "[",
    "error: line ",
    "error: task ",
    "error: the batch ",
    "action ",
    "worker ",
    "warning: worker ",
];

/// The texts of several commands, compared as one snapshot, each text once. `Drop` fails if they were not compared.
pub(crate) struct Texts {
    name: &'static str,
    sections: RefCell<Vec<String>>,
    compared: bool,
}

impl Texts {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            sections: RefCell::default(),
            compared: false,
        }
    }

    /// Adds a text under a heading.
    pub(crate) fn add(&self, heading: &str, text: &str) {
        self.sections.borrow_mut().push(section(heading, text));
    }

    /// Compares all that was added.
    #[track_caller]
    pub(crate) fn match_snapshot(mut self) {
        self.compared = true;
        let mut seen = BTreeSet::new();
        let sections = self.sections.take();
        let sections: Vec<_> = sections
            .iter()
            .filter(|section| seen.insert(*section))
            .map(|section| &**section)
            .collect();
        compare(self.name, &sections.join("\n"));
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        assert!(
            self.compared || self.sections.borrow().is_empty() || std::thread::panicking(),
            "the texts of `{}` were not compared",
            self.name
        );
    }
}

impl Ended {
    /// Compares stderr with a snapshot.
    #[track_caller]
    pub(crate) fn stderr_is(self, name: &str) -> Self {
        compare(name, &section(&self.heading(), &self.stderr));
        self
    }

    /// Compares stdout with a snapshot.
    #[track_caller]
    pub(crate) fn stdout_is(self, name: &str) -> Self {
        compare(name, &section(&self.heading(), self.out()));
        self
    }

    /// Adds stderr to texts that are compared together.
    pub(crate) fn stderr_to(self, texts: &Texts) -> Self {
        texts.add(&self.heading(), &self.stderr);
        self
    }

    /// Adds stdout to texts that are compared together.
    pub(crate) fn stdout_to(self, texts: &Texts) -> Self {
        texts.add(&self.heading(), self.out());
        self
    }

    /// Compares the first failure on stderr and the notes about lines that are not shown.
    #[track_caller]
    pub(crate) fn failure_is(self, name: &str) -> Self {
        compare(name, &section(&self.heading(), &failure_in(&self.stderr)));
        self
    }

    /// Adds the first failure on stderr and the notes about lines that are not shown.
    pub(crate) fn failure_to(self, heading: &str, texts: &Texts) -> Self {
        texts.add(heading, &failure_in(&self.stderr));
        self
    }

    /// Adds the kinds of lines on stdout, for reports whose figures and waiting lines depend on the progress of the run.
    pub(crate) fn stdout_kinds_to(self, texts: &Texts) -> Self {
        let lines: Vec<_> = self
            .out()
            .lines()
            .filter(|line| !line.starts_with("  waiting "))
            .collect();
        texts.add(
            &kinds_of_lines(&self.heading()),
            &kinds_of_lines(&masked(&lines.join("\n"))),
        );
        self
    }

    /// Adds the kinds of lines on stderr, where timing decides which ones of many are shown.
    pub(crate) fn stderr_kinds_to(self, texts: &Texts) -> Self {
        texts.add(&self.heading(), &kinds_of_lines(&masked(&self.stderr)));
        self
    }

    /// The command line, with long words cut.
    fn heading(&self) -> String {
        let words = self.words.iter().map(|word| {
            let word = masked(word).replace('\n', "\\n");
            match word.char_indices().nth(200) {
                Some((cut, _)) => format!("{}…", &word[..cut]),
                None => word,
            }
        });
        format!("$ {}", words.collect::<Vec<_>>().join(" "))
    }
}

/// The first failure in a text, without its backtrace, and the kinds of guest lines that are not shown.
fn failure_in(text: &str) -> String {
    let text = masked(text);
    let mut lines = text.lines();
    let first = lines.find(|line| line.starts_with("error: ")).unwrap_or(&text);
    let more = lines.take_while(|line| line.starts_with(' ') || line.starts_with("hint: "));
    let more = more.filter(|line| !line.trim_start().starts_with("at "));
    let hidden: BTreeSet<_> = text.lines().filter_map(hidden_in).collect();
    std::iter::once(first)
        .chain(more)
        .chain(hidden)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The part of a log line about lines that are not shown.
pub(crate) fn hidden_in(line: &str) -> Option<&str> {
    Some(&line[line.find("of its log output was dropped")?..])
}

/// The kinds of lines in a text, without figures: each once, at its first place.
pub(crate) fn kinds_of_lines(text: &str) -> String {
    // At the beginning of a line together with the blanks before it, whose number depends on its length.
    static FIGURE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)(^ +)?\b[0-9][0-9.#]*((ms|s|m|h|[KMG]?i?B)\b)?").unwrap());
    let text = FIGURE.replace_all(text, "N");
    let mut seen = BTreeSet::new();
    let lines: Vec<_> = text.lines().filter(|line| seen.insert(*line)).collect();
    lines.join("\n")
}

/// Compares a text in virtual time with a snapshot: every figure in it counts.
#[track_caller]
pub(crate) fn snapshot(name: &str, text: &str) {
    let lines: Vec<_> = text.lines().map(|line| mask(line, &NAMES)).collect();
    compare(name, &lines.join("\n"));
}

/// Compares a text in real time with a snapshot.
#[track_caller]
pub(crate) fn masked_snapshot(name: &str, text: &str) {
    compare(name, &masked(text));
}

#[track_caller]
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder_of(Location::caller().file()));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The folder of the snapshots of a file of tests: for `tests/hostile/files.rs`, `tests/snapshots/hostile/files`.
fn folder_of(file: &str) -> PathBuf {
    let (_, module) = file.rsplit_once("tests/").expect("tests are in `tests`");
    root()
        .join("tests/snapshots")
        .join(Path::new(module).with_extension(""))
}

/// A text under a heading, without the parts that differ between runs and machines.
fn section(heading: &str, text: &str) -> String {
    format!("{}\n{}\n", masked(heading).trim_end(), masked(text).trim_end())
}

/// A text without the parts that differ between runs and machines.
fn masked(text: &str) -> String {
    let mut in_table = false;
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !is_passing(line)) {
        // Tables of the final report contain figures. Tests assert those that matter.
        let is_head = line.starts_with("  ") && line.contains("  failed  ");
        in_table = is_head || in_table && line.starts_with("  ");
        if is_head {
            let columns: Vec<_> = line.split_whitespace().collect();
            blocks.push(format!("  {}\n  …", columns.join("  ")));
        }
        if in_table {
            continue;
        }
        let line = mask(&mask(line, &NAMES), &FIGURES);
        match blocks.last_mut() {
            // How many functions without a name there are depends on the compiler that made the guest.
            Some(block) if line.ends_with("at function N") && block.ends_with(&line) => {}
            Some(block) if line.starts_with(' ') && is_concurrent(block) => *block += &format!("\n{line}"),
            _ => blocks.push(line),
        }
    }
    in_order(blocks).join("\n")
}

/// Whether a line appears only because something takes long, or depends on other work at that moment.
fn is_passing(line: &str) -> bool {
    static PASSING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r" in flight · |^compiled \S+ in |note: run with `RUST_BACKTRACE|",
            r"^worker \S+: (healthy|suspect|on probation)",
        ))
        .unwrap()
    });
    PASSING.is_match(line)
}

fn mask(line: &str, masks: &[(Regex, &str)]) -> String {
    masks.iter().fold(line.to_owned(), |line, (pattern, mask)| {
        pattern.replace_all(&line, *mask).into_owned()
    })
}

fn is_concurrent(block: &str) -> bool {
    CONCURRENT.iter().any(|beginning| block.starts_with(beginning))
}

/// Sorts the lines about single tasks by their numbers, at the place of the first of them, and keeps each text once.
fn in_order(blocks: Vec<String>) -> Vec<String> {
    let Some(first) = blocks.iter().position(|block| is_concurrent(block)) else {
        return blocks;
    };
    let (concurrent, mut others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| is_concurrent(block));
    let mut seen = BTreeSet::new();
    let mut concurrent: Vec<_> = concurrent
        .into_iter()
        .filter(|block| seen.insert(block.clone()))
        .collect();
    concurrent.sort_by(|one, other| by_number(one, other));
    others.splice(first..first, concurrent);
    others
}

/// By the first number in each, and then as texts.
fn by_number(one: &str, other: &str) -> Ordering {
    let key = |text: &str| {
        let from = text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(text.len());
        let (words, rest) = text.split_at(from);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (words.to_owned(), digits.parse::<u64>().unwrap_or(0))
    };
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

/// Every snapshot belongs to a test: its name is in the source file of that test.
#[test]
fn every_snapshot_is_compared_in_a_test() {
    let mut folders = vec![root().join("tests/snapshots")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = folder.strip_prefix(root().join("tests/snapshots")).unwrap();
            let tests = std::fs::read_to_string(root().join("tests").join(module).with_extension("rs"));
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(path.extension().unwrap(), "snap", "{} waits for review", path.display());
            let tests = tests.unwrap();
            // As a name of its own, or as that of a row of `attacks!`.
            let is_named = [format!("\"{name}\""), format!("    {name}: ")]
                .iter()
                .any(|name| tests.contains(name));
            assert!(is_named, "no test compares {}", path.display());
        }
    }
}

#[test]
fn order_and_figures_are_masked_and_other_text_is_not() {
    let one = "run 20261130-064955-abcde\nerror: line 10: it says no\n    attempt 1 on w/2: no\nerror: line 9: it says no\n\
               1 tasks done, 2 failed, in 5ms; at most 2.2MiB of memory for guests\n";
    let other = "run 20270101-000000-zzzzz\nerror: line 9: it says no\nerror: line 10: it says no\n    attempt 1 on w/1: no\n\
                 1 tasks done, 2 failed, in 1.2s; at most 64KiB of memory for guests\n";
    assert_eq!(masked(one), masked(other));
    for (word, another) in [("says", "said"), ("line 9", "line 8"), ("2 failed", "3 failed")] {
        assert_ne!(masked(one), masked(&other.replace(word, another)), "{word}");
    }
}
