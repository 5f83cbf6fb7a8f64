//! Being stopped by the user or by the machine.

use rustix::process::Signal;

use crate::support::{Folder, body, host};

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
