//! Shortages of the machine: they count neither against a guest nor against a worker.

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Duration};

use rustix::process::Signal;

use crate::support::{Ended, Folder, Host, becomes_true, body, has, host, probe, shell};

/// A run under process limits that this shell command sets.
fn limited(limits: &str, args: &[&str]) -> Host {
    shell(&format!("{limits} && exec disperse-host {}", args.join(" ")))
}

fn lines(count: u32, line: &str) -> String {
    format!("{line}\n").repeat(count as usize)
}

/// Checks that no message blames a worker, an action or the host for the machine's shortage.
fn blames_no_worker(ended: &Ended) {
    for word in ["quarantined", "evicted", "broke the contract", "panicked", "bug of"] {
        assert!(!ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
fn eight_workers_run_and_compile_in_three_gigabytes_of_address_space() {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    for flag in ["--no-cache", "", ""] {
        let ended = limited("ulimit -v 3000000", &["map", &worker, "--workers 8", flag])
            .input(lines(200, "x"))
            .run()
            .exits(0);
        assert_eq!(ended.out().lines().count(), 200);
        blames_no_worker(&ended);
    }
}

#[test]
fn memory_that_never_becomes_free_ends_the_run_with_exit_code_4() {
    let folder = Folder::new();
    // It needs 2.4 GB at once.
    let hungry = format!("(drop (memory.grow (i32.const 40000))) {}", body::ECHO);
    let hungry = folder.worker("hungry.wasm", &hungry);
    let flags = ["map", &hungry, "--workers 4 --memory 4GiB --host-memory 32GiB"];
    let ended = limited("ulimit -v 2000000", &flags).input(lines(9, "x")).run().exits(4);
    blames_no_worker(&ended);
    let ended = ended.prints("");
    ended.failure_is("memory_that_never_becomes_free_ends_the_run_with_exit_code_4");
    // Without that limit it succeeds.
    host(["map", &hungry, "--memory", "4GiB", "--host-memory", "32GiB"])
        .input(lines(1, "x"))
        .run()
        .exits(0);
}

#[test]
fn programs_wait_for_open_files_and_no_attempt_is_spent() {
    let flags = ["map", &probe(), "--workers 60 --attempts 1 --exec '/bin/sleep *'"];
    let ended = limited("ulimit -n 120", &flags)
        .input(lines(120, "run /bin/sleep 0.1"))
        .run()
        .exits(0);
    assert_eq!(ended.out().lines().count(), 120);
    blames_no_worker(&ended);
}

/// A control group for threads, until it is dropped.
struct ThreadGroup(PathBuf);

impl ThreadGroup {
    /// None if it cannot be created; only the superuser can.
    fn new() -> Option<Self> {
        let name = format!("disperse-test-{}", std::process::id());
        let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        let folder = roots.map(|root| PathBuf::from(root).join(&name));
        let group = folder.into_iter().find(|folder| std::fs::create_dir(folder).is_ok())?;
        let group = Self(group);
        group.set(64).then_some(group)
    }

    fn set(&self, threads: u32) -> bool {
        std::fs::write(self.0.join("pids.max"), threads.to_string()).is_ok()
    }

    fn run(&self, args: &[&str]) -> Ended {
        let enter = format!("echo $$ > {}/cgroup.procs", self.0.display());
        limited(&enter, args).input("x\n").run()
    }
}

impl Drop for ThreadGroup {
    fn drop(&mut self) {
        // Processes that have just ended may be in it for a moment.
        becomes_true(Duration::from_secs(10), || std::fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn too_few_threads_are_a_machine_error_or_suffice() {
    let Some(group) = ThreadGroup::new() else {
        eprintln!("skipped: no control group for threads can be made here");
        return;
    };
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    let mut codes = Vec::new();
    for (threads, cache) in (1..=12).flat_map(|threads| [(threads, ""), (threads, "--no-cache")]) {
        assert!(group.set(threads));
        let ended = group.run(&["map -q", &worker, cache]);
        assert!(
            ended.code == 0 || ended.code == 4,
            "{threads}: {} {}",
            ended.code,
            ended.stderr
        );
        assert_eq!(ended.code == 0, ended.stderr.is_empty(), "{}", ended.stderr);
        blames_no_worker(&ended);
        assert!(!ended.stderr.contains("--compile-memory"), "{}", ended.stderr);
        codes.push(ended.code);
    }
    assert_eq!(codes.first(), Some(&4));
    assert_eq!(codes.last(), Some(&0));
    // A larger number than the machine allows means as many as it allows.
    assert!(group.set(32));
    let is_enough = || {
        let ended = group.run(&["map -q", &worker, "--threads 64"]);
        assert!(ended.code == 0 || ended.code == 4, "{}", ended.stderr);
        ended.code == 0 && ended.out() == "x\n"
    };
    // On a busy machine, ended threads are counted for a moment longer.
    assert!(becomes_true(Duration::from_secs(30), is_enough));
}

#[test]
fn lower_limits_of_the_user_stay_in_force_for_the_compiler() {
    // The superuser may raise limits, if the tests run as the superuser.
    let dropped = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource";
    let dropped = match shell(&format!("{dropped} true")).run().code {
        0 => dropped,
        _ => "",
    };
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    for limit in [
        "ulimit -v 3900000",
        "ulimit -t 100",
        "ulimit -Sv 3900000",
        "ulimit -c 0",
    ] {
        shell(&format!(
            "{limit} && exec {dropped} disperse-host map --no-cache {worker}"
        ))
        .input("x\n")
        .run()
        .exits(0)
        .prints("x\n");
    }
    // If one is too low, the error names it. Just above what a pool of instances takes, little is left to all else.
    let low = |limit: u32| {
        let ended = shell(&format!(
            "ulimit -Sv {limit} && exec disperse-host map --no-cache {worker}"
        ))
        .input("x\n")
        .run();
        assert!(ended.code == 0 || ended.code == 4, "{limit}: {}", ended.stderr);
        if ended.code == 4 {
            has("stderr", &ended.stderr, &["ulimit -v"]);
        }
    };
    std::thread::scope(|scope| {
        for limit in (340_000..=480_000).step_by(20_000) {
            scope.spawn(move || low(limit));
        }
    });
}

#[test]
fn time_while_the_process_is_stopped_does_not_count_for_the_attempt() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert_eq!(shell(&format!("mkfifo {pipe}")).run().code, 0);
    let run = host([
        "map",
        &probe(),
        "--attempts",
        "1",
        "--timeout",
        "6s",
        "--exec",
        "/bin/cat *",
    ])
    .input(format!("run /bin/cat {pipe}\n"))
    .start();
    // The pipe opens once the program reads: the attempt has begun.
    let mut writer: Option<File> = None;
    let opened = becomes_true(Duration::from_secs(30), || {
        let mut options = File::options();
        let options = options
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        writer = options.open(&pipe).ok();
        writer.is_some()
    });
    assert!(opened, "nothing reads the pipe");
    run.send(Signal::STOP);
    std::thread::sleep(Duration::from_secs(7));
    run.send(Signal::CONT);
    // Long enough for a timeout to be noticed.
    std::thread::sleep(Duration::from_secs(1));
    drop(writer);
    run.end().exits(0).prints("Some(0) \n");
}

#[test]
fn stack_limit_of_the_user_has_no_effect() {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    let ended = limited("ulimit -s 64", &["map", &worker, "--no-cache"])
        .input("x\n")
        .run();
    ended.exits(0).prints("x\n");
}

#[test]
fn too_few_open_files_are_an_error_that_names_the_limit_to_raise() {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    // With fewer the system cannot start any program.
    for files in [6, 8, 10, 12, 16, 20, 24] {
        let ended = limited(&format!("ulimit -n {files}"), &["map", &worker, "--no-cache"])
            .input("x\n")
            .run();
        match ended.code {
            0 => drop(ended.prints("x\n")),
            // Which file cannot be opened first differs between machines.
            _ => has("stderr", &ended.exits(4).stderr, &["ulimit -n"]),
        }
    }
}
