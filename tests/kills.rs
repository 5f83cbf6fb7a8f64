//! Runs that are killed at random moments, again and again, and resumed: what they write is what a run without an interruption writes.

use std::{fs, time::Duration};

use rustix::process::Signal;

use crate::support::{Folder, becomes_true, body, host, player, wasm};

/// How often the runs of an example are killed.
const KILLS: u32 = 100;

/// The longest time from when a run has its journal to when it is killed.
const LONGEST: u64 = 100;

/// Moments by xorshift, the same in each run of a test.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % (LONGEST + 1))
    }
}

/// Kills runs with these arguments, and those that resume them. What each leaves in its file, once it has come to its end, is what the
/// first one does, which is not killed.
fn survives(folder: &Folder, arguments: &[&str]) {
    let (output, journal) = (folder.path("out"), folder.path("run.journal"));
    let begin = |place: &str| {
        let (path, rest) = arguments.split_first().unwrap();
        let first = ["run", path, "--output", &output, place];
        let all = first.iter().chain(rest);
        all.map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    host(begin("--no-journal")).run().exits(0);
    let expected = fs::read(&output).unwrap();
    let recorded = begin(&format!("--journal={journal}"));
    let resumed = vec!["resume".to_owned(), journal.clone()];
    let mut moments = Moments(0x9e37_79b9_7f4a_7c15);
    let (mut kills, mut is_over) = (0, false);
    let mut next = &recorded;
    while kills < KILLS || !is_over {
        let mut live = host(next).start();
        let has_begun = if next == &resumed {
            becomes_true(Duration::from_secs(60), || {
                live.says("resuming the run") || !live.is_running()
            })
        } else {
            let lock = folder.path("run.lock");
            becomes_true(Duration::from_secs(60), || {
                fs::exists(&lock).unwrap() || !live.is_running()
            })
        };
        assert!(has_begun, "it does not begin");
        // The moment of the kill.
        std::thread::sleep(moments.next());
        is_over = kills == KILLS || !live.is_running();
        if is_over {
            let ended = live.end();
            // It was killed while the journal was created.
            let is_empty = ended.code == 2 && ended.stderr.contains("its creation was interrupted");
            if !is_empty {
                assert!(
                    fs::read(&output).unwrap() == expected,
                    "after {kills} kills: {}",
                    ended.exits(0).stderr
                );
            }
            is_over = !is_empty;
            fs::remove_file(&journal).unwrap();
            next = &recorded;
        } else {
            live.send(Signal::KILL);
            live.end();
            kills += 1;
            next = if fs::exists(&journal).unwrap() {
                &resumed
            } else {
                &recorded
            };
        }
    }
}

#[test]
fn killed_picture_is_the_same() {
    let size = ["--width", "400", "--height", "300", "--iterations", "2000"];
    let component = wasm("mandelbrot");
    let arguments: Vec<&str> = [component.as_str(), "--"].into_iter().chain(size).collect();
    survives(&Folder::new(), &arguments);
}

#[test]
fn killed_count_is_the_same() {
    let folder = Folder::new();
    let text: String = (0..400_000).map(|n| format!("word{} another\n", n % 5_000)).collect();
    let input = folder.file("text", text);
    let component = wasm("word_count");
    survives(&folder, &[&component, "--input", &input, "--", "--top", "20"]);
}

#[test]
fn killed_tasks_with_many_actions_are_the_same() {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    let tasks: Vec<String> = (1..=60)
        .map(|n| format!("all k a{n} b{n} c{n}; ask k d{n}; submit k e{n}; submit k f{n}; take"))
        .collect();
    let component = player();
    let flags = [component.as_str(), "--worker", &worker, "--ordered", "--"];
    let arguments: Vec<&str> = flags.into_iter().chain(tasks.iter().map(String::as_str)).collect();
    survives(&folder, &arguments);
}
