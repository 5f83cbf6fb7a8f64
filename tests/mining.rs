//! `examples/api-mining`: many tokens, each within its quota, over three windows.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Folder, Live, becomes_true, beside, host, of_type, root, wasm};

/// Three windows of the five working accounts, 50 units each, are 750 units. This many pages of 25 items are 784: two units for
/// a page, one for an item and one more for each of the 28 items that get a 503 the first time.
const PAGES: u64 = 28;
const ITEMS: u64 = 25 * PAGES;

const ACCOUNTS: [&str; 5] = ["a", "b", "c", "d", "shared"];
const FULL_WINDOWS: [&str; 3] = ["0", "1", "2"];

/// How long a run may take, including the example's own build.
const DEADLINE: Duration = Duration::from_secs(180);

/// The arguments of the README's command that begins like this.
fn command(begin: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("examples/api-mining/README.md")).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let line = lines.find(|line| line.starts_with(begin));
    let line = line.unwrap_or_else(|| panic!("README.md has no command `{begin}`"));
    line.split_whitespace().map(str::to_owned).collect()
}

/// The example's server, which ends when its input is closed.
struct Catalogue {
    process: Child,
    address: String,
}

impl Catalogue {
    fn start(options: &[&str]) -> Self {
        let words = command("cargo run").into_iter().skip(1);
        let mut process = Command::new("cargo")
            .args(words.map(|word| word.replace("8000", "0")))
            .args(options)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, said) = mpsc::channel();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            drop(stdout.read_line(&mut line));
            say.send(line)
        });
        let line = said.recv_timeout(DEADLINE).unwrap();
        let address = line.trim().strip_prefix("http://").expect("an address").to_owned();
        Self { process, address }
    }

    fn stats(&self) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"GET /stats HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).expect(body)
    }
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Starts the example against this server, as its README does.
fn mine(server: &Catalogue, reports: &str, options: &[&str]) -> Live {
    let words = command("disperse-host run").into_iter().skip(1);
    let words = words.map(|word| word.replace("127.0.0.1:8000", &server.address));
    let options = ["--env", reports].into_iter().chain(options.iter().copied());
    host(words.chain(options.map(str::to_owned))).start().within(DEADLINE)
}

/// The numbers of the items in an output, rising.
fn ids(output: &str) -> Vec<u64> {
    let mut ids: Vec<u64> = output
        .lines()
        .map(|line| {
            let item: Value = serde_json::from_str(line).expect(line);
            item["id"].as_u64().unwrap()
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// Checks that every item is in the results once, and was fetched once.
fn everything_once(ended: &Ended, stats: &Value) {
    let events = ended.events();
    let text: String = of_type(&events, "output")
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert_eq!(ids(&text), (1..=ITEMS).collect::<Vec<_>>());
    assert_eq!(stats["items"]["distinct"], ITEMS, "{stats:#}");
    assert_eq!(stats["items"]["most"], 1, "{stats:#}");
}

/// Checks that no account exceeded its quota in a window, and that each used it up.
fn every_window_is_full_and_none_is_overrun(stats: &Value) {
    for (account, quota) in stats["accounts"].as_object().unwrap() {
        assert_eq!(quota["rejected"], 0, "429 for {account}: {stats:#}");
    }
    for account in ACCOUNTS {
        let quota = &stats["accounts"][account];
        let limit = quota["limit"].as_u64().unwrap();
        for window in FULL_WINDOWS {
            let used = quota["used"][window].as_u64().unwrap_or(0);
            assert!(
                used * 100 >= limit * 97,
                "{used} of {limit} in window {window} of {account}: {stats:#}"
            );
        }
    }
}

/// Checks that the worker with the revoked token is evicted, and that the one that always fails is in quarantine.
fn bad_tokens_are_taken_out(ended: &Ended, stats: &Value) {
    let events = ended.events();
    let became = |worker: &str, health: &str| {
        let changes = of_type(&events, "health");
        changes
            .iter()
            .any(|event| event["worker"] == worker && event["health"] == health)
    };
    assert!(became("tokens/g", "evicted"), "{events:?}");
    assert!(became("tokens/h", "quarantined"), "{events:?}");
    let failed = of_type(&events, "attempt-failed");
    let of_g: Vec<_> = failed.iter().filter(|event| event["worker"] == "tokens/g").collect();
    assert!(!of_g.is_empty());
    for event in of_g {
        assert_eq!(event["class"], "worker-fault", "{event}");
        assert_eq!(event["message"], "the token was revoked", "{event}");
    }
    for good in ["a", "b", "c", "d", "e", "f"] {
        let worker = format!("tokens/{good}");
        assert!(!became(&worker, "evicted") && !became(&worker, "quarantined"), "{good}");
    }
    // At most the attempts that were in flight when the failure was detected.
    for token in ["demo-revoked", "demo-broken"] {
        let requests = stats["tokens"][token]["requests"].as_u64().unwrap();
        assert!((1..50).contains(&requests), "{token}: {requests}");
    }
}

#[test]
fn every_quota_is_used_up_and_none_is_overrun_with_and_without_reports() {
    // Built first, so that neither run waits for it.
    wasm("api_mining");
    let building = beside();
    let runs: Vec<_> = [(&["--no-headers"][..], "REPORTS=0"), (&[][..], "REPORTS=1")]
        .into_iter()
        .map(|(options, reports)| {
            let pages = PAGES.to_string();
            let options: Vec<&str> = ["--pages", &pages].into_iter().chain(options.iter().copied()).collect();
            (Catalogue::start(&options), reports)
        })
        .collect();
    drop(building);
    let runs: Vec<_> = runs
        .into_iter()
        .map(|(server, reports)| {
            let run = mine(&server, reports, &["--format", "json"]);
            (server, run, reports)
        })
        .collect();
    for (server, run, reports) in runs {
        let ended = run.end().exits(0);
        let stats = server.stats();
        eprintln!("{reports}: {stats:#}");
        everything_once(&ended, &stats);
        every_window_is_full_and_none_is_overrun(&stats);
        bad_tokens_are_taken_out(&ended, &stats);
    }
}

/// Kills a run ten times, each time with requests in flight, and resumes it. Returns what the server counted.
fn mine_with_kills(server: &Catalogue, reports: &str, pages: u64) -> Value {
    const KILLS: u64 = 10;
    let (folder, items) = (Folder::new(), 25 * pages);
    let (journal, output) = (folder.path("run.journal"), folder.path("items"));
    let mut run = mine(server, reports, &[&format!("--journal={journal}"), "--output", &output]);
    for kill in 1..=KILLS {
        let enough = items * kill / (KILLS + 1);
        let fetched = || server.stats()["items"]["distinct"].as_u64().unwrap() >= enough;
        assert!(becomes_true(DEADLINE, || fetched() || !run.is_running()));
        assert!(run.is_running(), "it ended before kill {kill}");
        run.send(Signal::KILL);
        run.end();
        run = host(["resume", &journal]).start().within(DEADLINE);
    }
    run.end().exits(0);
    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(ids(&written), (1..=items).collect::<Vec<_>>());
    server.stats()
}

#[test]
fn quotas_are_not_overrun_however_often_the_run_is_killed() {
    const PAGES: &str = "14";
    wasm("api_mining");
    let building = beside();
    let servers = [(&["--no-headers"][..], "REPORTS=0"), (&[][..], "REPORTS=1")].map(|(options, reports)| {
        let options: Vec<&str> = ["--pages", PAGES].into_iter().chain(options.iter().copied()).collect();
        (Catalogue::start(&options), reports)
    });
    drop(building);
    let pages = PAGES.parse().unwrap();
    thread::scope(|scope| {
        let runs = servers
            .each_ref()
            .map(|(server, reports)| scope.spawn(move || mine_with_kills(server, reports, pages)));
        for (run, (_, reports)) in runs.into_iter().zip(&servers) {
            let stats = run.join().unwrap();
            for (account, quota) in stats["accounts"].as_object().unwrap() {
                assert_eq!(quota["rejected"], 0, "{reports}: 429 for {account}: {stats:#}");
            }
            // The worker with this token is evicted once, and not after each kill.
            let requests = stats["tokens"]["demo-revoked"]["requests"].as_u64().unwrap();
            assert!(requests < 30, "{reports}: {requests} requests with a revoked token");
        }
    });
}
