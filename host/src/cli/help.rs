//! Examples and exit codes of each command, for `--help` and the manual pages.

use std::fmt::Write as _;

use clap::Command;

use super::console::exit;

/// The examples and exit codes of a command.
pub(super) struct Page {
    /// The command.
    name: &'static str,
    /// Pairs of a description and a command line.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// The possible exit codes.
    codes: &'static [u8],
}

/// The meaning of each exit code.
const CODES: [(u8, &str); 9] = [
    (exit::DONE, "Success: all tasks are done, or the command is."),
    (exit::FAILED, "Some tasks failed, or the operation or a test did."),
    (
        exit::USAGE,
        "Invalid usage, manifest, component or script, or an untrusted manifest; nothing ran.",
    ),
    (
        exit::SYSTEMIC,
        "Actions had no worker left, or tasks failed while all workers of a pool were out of service.",
    ),
    (
        exit::MACHINE,
        "The machine failed: the output cannot be written, for instance.",
    ),
    (exit::BUG, "A bug of disperse-host."),
    (exit::HUNG_UP, "The run was stopped by SIGHUP."),
    (exit::INTERRUPTED, "The run was stopped by SIGINT or by drain."),
    (exit::TERMINATED, "The run was stopped by SIGTERM."),
];

/// The exit codes of commands that run guests.
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

/// The exit codes of the other commands.
const SHORT: &[u8] = &[exit::DONE, exit::USAGE, exit::MACHINE, exit::BUG];

const PAGES: [Page; 18] = [
    Page {
        name: "run",
        examples: &[
            ("Build and run the operation of this folder", "disperse-host run"),
            (
                "Pass arguments to the operation after `--`",
                "disperse-host run primes.wasm -- 1 1000000",
            ),
            (
                "Replace its workers by four of another component",
                "disperse-host run operation.wasm --worker worker.wasm=4 -i in.txt -o out.txt",
            ),
        ],
        codes: RUNNING,
    },
    Page {
        name: "map",
        examples: &[
            (
                "Process each line, with results in order",
                "disperse-host map worker.wasm < in.txt > out.txt",
            ),
            (
                "Write results as soon as they are ready, with eight workers",
                "disperse-host map worker.wasm -j8 --unordered -i in.txt -o out.txt",
            ),
            (
                "Send at most 100 requests in 10 s per worker, with a token",
                "disperse-host map fetch.wasm --http 'GET https://api.example.com/' --secret TOKEN=env:TOKEN --quota 100/10s",
            ),
            (
                "Raise the limits",
                "disperse-host map heavy.wasm --memory 1GiB --timeout 5min --fuel 1T",
            ),
        ],
        codes: RUNNING,
    },
    Page {
        name: "test",
        examples: &[
            ("Run all tests of this folder", "disperse-host test"),
            ("Update the golden logs", "disperse-host test --update"),
        ],
        codes: &[exit::DONE, exit::FAILED, exit::USAGE, exit::MACHINE, exit::BUG],
    },
    Page {
        name: "new",
        examples: &[
            (
                "Create a worker for `map`, in Python",
                "disperse-host new words --lang python --kind worker",
            ),
            (
                "Create an operation with its worker, in Rust",
                "disperse-host new primes",
            ),
        ],
        codes: SHORT,
    },
    Page {
        name: "compile",
        examples: &[(
            "Compile the components of the next run",
            "disperse-host compile worker.wasm operation.wasm",
        )],
        codes: SHORT,
    },
    Page {
        name: "inspect",
        examples: &[
            (
                "Show the grants that a component can use",
                "disperse-host inspect worker.wasm",
            ),
            ("Print JSON", "disperse-host inspect worker.wasm --format json"),
        ],
        codes: SHORT,
    },
    Page {
        name: "trust",
        examples: &[
            (
                "Show what a folder asks for, then trust it",
                "disperse-host trust --show . && disperse-host trust .",
            ),
            ("Revoke trust", "disperse-host trust --revoke ."),
        ],
        codes: SHORT,
    },
    Page {
        name: "simulate",
        examples: &[(
            "Compare policies in all scenarios",
            "disperse-host simulate --preset all",
        )],
        codes: SHORT,
    },
    Page {
        name: "explain",
        examples: &[
            ("Show the newest run", "disperse-host explain"),
            (
                "Show an action and its failed attempts",
                "disperse-host explain action 17",
            ),
            (
                "Show why a worker is quarantined",
                "disperse-host explain worker pool/a",
            ),
        ],
        codes: SHORT,
    },
    Page {
        name: "runs",
        examples: &[
            ("List the runs of this folder", "disperse-host runs"),
            ("Show all of the newest one", "disperse-host runs show"),
            (
                "Remove the journals of runs that ended more than 30 days ago",
                "disperse-host runs rm --keep 30d",
            ),
        ],
        codes: SHORT,
    },
    Page {
        name: "results",
        examples: &[
            ("Print the results of the newest run", "disperse-host results"),
            (
                "Print the errors of the tasks that failed",
                "disperse-host results --format json | jq -r 'select(.error) | [.task, .error] | @tsv'",
            ),
        ],
        codes: SHORT,
    },
    Page {
        name: "export",
        examples: &[
            (
                "Write the inputs and results to a spreadsheet",
                "disperse-host export --output results.csv",
            ),
            (
                "Write the actions as JSON Lines",
                "disperse-host export --table actions --format jsonl",
            ),
        ],
        codes: SHORT,
    },
    Page {
        name: "dead",
        examples: &[
            ("List the failed actions of the newest run", "disperse-host dead"),
            ("Show one of them", "disperse-host dead show 3-1"),
        ],
        codes: SHORT,
    },
    Page {
        name: "readmit",
        examples: &[("Readmit an evicted worker", "disperse-host readmit pool/a")],
        codes: SHORT,
    },
    Page {
        name: "workers",
        examples: &[("Add four workers", "disperse-host workers add pool --count 4")],
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
            "Install completions for bash",
            "disperse-host completions bash >> ~/.bash_completion",
        )],
        codes: SHORT,
    },
    Page {
        name: "man",
        examples: &[("Install all pages", "disperse-host man --dir ~/.local/share/man/man1")],
        codes: SHORT,
    },
];

/// The page of a command, by its name. A subcommand of a command has the page of its parent.
pub(super) fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

/// The exit codes of a command and their meanings; all of them without a page.
pub(super) fn codes(page: Option<&Page>) -> impl Iterator<Item = (u8, &'static str)> {
    let known = page.map_or(RUNNING, |page| page.codes);
    CODES.into_iter().filter(move |(code, _)| known.contains(code))
}

/// Adds examples and exit codes to the command line. `--help` shows them, `-h` does not.
pub(super) fn documented(command: Command) -> Command {
    let command = command.after_long_help(ending(None, None));
    PAGES.iter().fold(command, |command, page| {
        command.mut_subcommand(page.name, |below| {
            let notes = below.get_after_long_help().map(ToString::to_string);
            below.after_long_help(ending(notes.as_deref(), Some(page)))
        })
    })
}

/// The text after the flags.
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
