//! Being stopped by the user or by the machine.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, beside, body, host};

fn stopped_while_busy(signal: Signal, code: i32) {
    let folder = Folder::new();
    let worker = folder.worker("slow.wasm", body::SLOW_ECHO);
    let mut live = host(["map", &worker]).endless("a line\n").start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    // The input stays open: nothing may wait for it.
    live.send(signal);
    let ended = live.end().exits(code);
    assert!(
        ended.out().lines().all(|line| line == "a line"),
        "only whole results are written"
    );
    let done = ended.row("line").split_whitespace().nth(1).map(str::parse);
    assert_eq!(
        done,
        Some(Ok(ended.out().lines().count())),
        "what was done is written too: {}",
        ended.stderr
    );
}

#[test]
fn an_interrupt_ends_a_long_run() {
    stopped_while_busy(Signal::INT, 130);
}

#[test]
fn a_termination_ends_a_long_run() {
    stopped_while_busy(Signal::TERM, 143);
}

#[test]
fn an_interrupt_ends_a_run_that_waits_for_input() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let mut live = host(["map", &worker]).once("a line\n").start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    live.send(Signal::INT);
    live.end().exits(130).prints("a line\n");
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_reader() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    // Far more than a pipe holds, and the only thread has nothing to wait for but whoever reads it.
    let input = folder.file("in.txt", "a line\n".repeat(100_000));
    let _beside = beside();
    let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
        .args(["map", &worker, "--input", &input, "--threads", "1", "--no-cache"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until nothing more fits into the pipe.
    let (mut last, until) = (0, Instant::now() + Duration::from_secs(60));
    loop {
        assert!(Instant::now() < until, "the pipe did not fill up");
        std::thread::sleep(Duration::from_millis(500));
        let waiting = rustix::io::ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap();
        if waiting > 0 && waiting == std::mem::replace(&mut last, waiting) {
            break;
        }
    }
    let mut code = None;
    for _ in 0..2 {
        assert_eq!(code, None, "it ended at the first one");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(10));
            code = child.try_wait().unwrap().map(|status| status.code());
            if code.is_some() {
                break;
            }
        }
    }
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap().stderr;
    assert_eq!(code, Some(Some(130)), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_guest() {
    let folder = Folder::new();
    let worker = folder.worker(
        "stuck.wasm",
        // The second line never ends, and keeps one of two workers.
        &format!(
            "(if (i32.ge_u (local.get $len) (i32.const 2)) (then (loop $again (br $again)))) {}",
            body::ECHO
        ),
    );
    let args = ["map", &worker, "--workers", "2", "--fuel", "1000T", "--timeout", "1h"];
    let mut live = host(args).input("a\nbb\n").start();
    live.wait_until("a result", |stdout, _| stdout == b"a\n");
    live.send(Signal::INT);
    live.wait_until("a word about the interrupt", |_, stderr| !stderr.is_empty());
    live.send(Signal::INT);
    live.end().exits(130).prints("a\n");
}
