//! Examples and exit codes of each command, for `--help` and the manual pages.

use std::fmt::Write as _;

use clap::Command;

use super::exit;

/// What is said of a command beside its flags.
pub(super) struct Page {
    /// The command.
    name: &'static str,
    /// What each example does, and the example.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// The codes that it ends with.
    codes: &'static [u8],
}

/// What ends how, in words.
const CODES: [(u8, &str); 9] = [
    (
        exit::DONE,
        "All tasks are done, or the command did what it was asked for.",
    ),
    (
        exit::FAILED,
        "Some tasks ended in an error, or the operation itself or a test failed.",
    ),
    (
        exit::USAGE,
        "The usage, a manifest, a component or a script is wrong, or a manifest is not trusted; nothing ran.",
    ),
    (
        exit::SYSTEMIC,
        "The workers, or what they depend on, failed: there were actions and nobody to perform them.",
    ),
    (
        exit::MACHINE,
        "The machine did not do its part: the output cannot be written, for instance.",
    ),
    (exit::BUG, "A bug of disperse-host."),
    (exit::HUNG_UP, "The run was stopped by SIGHUP."),
    (exit::INTERRUPTED, "The run was stopped by SIGINT or by drain."),
    (exit::TERMINATED, "The run was stopped by SIGTERM."),
];

/// Of commands that run something.
const RUNNING: &[u8] = &[
    exit::DONE,
    exit::FAILED,
    exit::USAGE,
    exit::SYSTEMIC,
    exit::MACHINE,
    exit::BUG,
    exit::HUNG_UP,
    exit::INTERRUPTED,
    exit::TERMINATED,
];

/// Of the others.
const SHORT: &[u8] = &[exit::DONE, exit::USAGE, exit::MACHINE, exit::BUG];

const PAGES: [Page; 14] = [
    Page {
        name: "run",
        examples: &[
            ("Run the operation of this folder, built first", "disperse-host run"),
            (
                "Arguments for the operation follow `--`",
                "disperse-host run primes.wasm -- 1 1000000",
            ),
            (
                "Other workers than its own: four of one component",
                "disperse-host run operation.wasm --worker worker.wasm=4 -i in.txt -o out.txt",
            ),
        ],
        codes: RUNNING,
    },
    Page {
        name: "map",
        examples: &[
            (
                "Each line to a worker, results in order",
                "disperse-host map worker.wasm < in.txt > out.txt",
            ),
            (
                "As they come, with eight workers",
                "disperse-host map worker.wasm -j8 --unordered -i in.txt -o out.txt",
            ),
            (
                "At most 100 requests in 10 s for each worker, with a token",
                "disperse-host map fetch.wasm --http 'GET https://api.example.com/' --secret TOKEN=env:TOKEN --quota 100/10s",
            ),
            (
                "More of everything",
                "disperse-host map heavy.wasm --memory 1GiB --timeout 5min --fuel 1T",
            ),
        ],
        codes: RUNNING,
    },
    Page {
        name: "test",
        examples: &[
            ("All tests of this folder", "disperse-host test"),
            ("Keep the logs as they are now", "disperse-host test --update"),
        ],
        codes: &[exit::DONE, exit::FAILED, exit::USAGE, exit::MACHINE, exit::BUG],
    },
    Page {
        name: "new",
        examples: &[
            (
                "A worker for `map`, in Python",
                "disperse-host new words --lang python --kind worker",
            ),
            ("An operation with its worker, in Rust", "disperse-host new primes"),
        ],
        codes: SHORT,
    },
    Page {
        name: "compile",
        examples: &[(
            "What the next run needs",
            "disperse-host compile worker.wasm operation.wasm",
        )],
        codes: SHORT,
    },
    Page {
        name: "inspect",
        examples: &[
            ("Which grants a component needs", "disperse-host inspect worker.wasm"),
            ("As data", "disperse-host inspect worker.wasm --format json"),
        ],
        codes: SHORT,
    },
    Page {
        name: "trust",
        examples: &[
            (
                "See what a folder asks for, then trust it",
                "disperse-host trust --show . && disperse-host trust .",
            ),
            ("Take it back", "disperse-host trust --revoke ."),
        ],
        codes: SHORT,
    },
    Page {
        name: "simulate",
        examples: &[("Workers of which some are bad", "disperse-host simulate --preset all")],
        codes: SHORT,
    },
    Page {
        name: "explain",
        examples: &[
            ("The newest run", "disperse-host explain"),
            ("What became of an action", "disperse-host explain action 17"),
            ("Why a worker is quarantined", "disperse-host explain worker pool/a"),
        ],
        codes: SHORT,
    },
    Page {
        name: "readmit",
        examples: &[("A worker that was taken out", "disperse-host readmit pool/a")],
        codes: SHORT,
    },
    Page {
        name: "workers",
        examples: &[("Four more", "disperse-host workers add pool --count 4")],
        codes: SHORT,
    },
    Page {
        name: "drain",
        examples: &[
            ("Stop the run", "disperse-host drain"),
            ("Stop one worker", "disperse-host drain pool/a"),
        ],
        codes: SHORT,
    },
    Page {
        name: "completions",
        examples: &[(
            "For bash, at each login",
            "disperse-host completions bash >> ~/.bash_completion",
        )],
        codes: SHORT,
    },
    Page {
        name: "man",
        examples: &[("All pages", "disperse-host man --dir ~/.local/share/man/man1")],
        codes: SHORT,
    },
];

/// What is said of a command, by its name. Commands of commands have that of the command above.
pub(super) fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

/// The codes of a command, or all of them.
pub(super) fn codes(page: Option<&Page>) -> impl Iterator<Item = (u8, &'static str)> {
    let known = page.map_or(RUNNING, |page| page.codes);
    CODES.into_iter().filter(move |(code, _)| known.contains(code))
}

/// The command line with its examples and exit codes, which `--help` shows and `-h` does not.
pub(super) fn documented(command: Command) -> Command {
    let command = command.after_long_help(ending(None, None));
    PAGES.iter().fold(command, |command, page| {
        command.mut_subcommand(page.name, |below| {
            let notes = below.get_after_long_help().map(ToString::to_string);
            below.after_long_help(ending(notes.as_deref(), Some(page)))
        })
    })
}

/// What follows the flags.
fn ending(notes: Option<&str>, page: Option<&Page>) -> String {
    let mut text = String::new();
    if let Some(notes) = notes {
        let _ = writeln!(text, "{notes}\n");
    }
    let examples = page.map_or(&[][..], |page| page.examples);
    if !examples.is_empty() {
        text.push_str("Examples:\n");
        for (what, line) in examples {
            let _ = writeln!(text, "  # {what}\n  {line}");
        }
        text.push('\n');
    }
    text.push_str("Exit status:");
    for (code, what) in codes(page) {
        let _ = write!(text, "\n  {code:>3}  {what}");
    }
    text
}
