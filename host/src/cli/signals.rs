//! Signals: the first one stops the run gently, the second one ends the process. Before a run has begun, while it is built or compiled,
//! the first one does.
//!
//! A thread of its own waits for them, so that neither guests that hold every thread of the run nor a reader that never reads
//! keeps the second one from ending the process within two seconds.

use std::{
    io,
    pin::pin,
    process::exit,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use super::{error::say, exit as code};
use crate::{
    limits::{TICK, tick},
    run::Stopper,
    sandbox,
};

/// How long a run that is ended at once has for its final counts.
const LAST_COUNTS: Duration = Duration::from_secs(1);

/// How long the process has to exit by itself after that, before it is killed.
const EXIT: Duration = Duration::from_millis(500);

/// How long a final line may take to be written. Arbitrary: a terminal or a file takes it at once, and a pipe that is full never.
const LAST_LINE: Duration = Duration::from_millis(200);

/// How long after the failure of a build a signal may be seen that ended it: Ctrl-C reaches the programs of a terminal in any order.
/// Arbitrary: little beside a build, and much beside what a thread takes to wake up.
const LATE: Duration = Duration::from_millis(200);

/// What a signal stops: a run, once there is one. Locked for good once the process is being ended without one.
static RUN: Mutex<Option<Stopper>> = Mutex::new(None);

/// Has signals stop this run from now on. Does not return if one is ending the process.
pub(super) fn stop_from_now_on(stopper: Stopper) {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopper);
}

/// Waits for a signal that may have ended what this process has started. Returns if there was none; if there was, it ends this process
/// too.
pub(super) fn await_late() {
    thread::sleep(LATE);
    drop(RUN.lock());
}

/// Which signal stopped a run, if any did.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopped(Arc<AtomicU8>);

impl Stopped {
    /// The exit code of the last signal, or 0.
    pub(super) fn code(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens to SIGINT, SIGTERM and SIGHUP from now on: the first drains the run, the second ends the process, in any mixture. Where
/// there is no run yet, the first one ends the process, and what it has started. `quiet`: prints no counts at
/// the end; `early`: what is printed where there is no run. SIGHUP stays ignored where the parent process had it ignored, as `nohup` does.
///
/// # Errors
/// No thread can be had, or no signal can be listened to.
pub(super) fn listen(quiet: bool, early: &'static str) -> io::Result<Stopped> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let mut signals = {
        let _within = runtime.enter();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // A file that may not grow any more (`ulimit -f`) is an error of the write, and no end of the process. Once it was listened to,
        // the signal does nothing else.
        drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        let mut hangup = match hangup_is_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        async move || {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => code::INTERRUPTED,
                _ = terminate.recv() => code::TERMINATED,
                _ = hung_up => code::HUNG_UP,
            }
        }
    };
    let stopped = Stopped::default();
    let seen = stopped.clone();
    // Here, before there is anything whose time could run: on a busy machine the thread may be late.
    tick();
    thread::Builder::new().name("signals".into()).spawn(move || {
        seen.0.store(runtime.block_on(ticking(signals())), Ordering::Relaxed);
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stopper) = run.clone() else {
            // The lock is kept, so that no run begins meanwhile, and nothing is said of a build that is killed.
            say_in_time(early.to_owned());
            return exit_at_once(seen.code());
        };
        drop(run);
        aside(|| say("stopping: attempts that run are let end; once more ends at once"));
        stopper.stop();
        seen.0.store(runtime.block_on(ticking(signals())), Ordering::Relaxed);
        stopper.cancel();
        // The main thread ends the process meanwhile if the run does end.
        thread::sleep(LAST_COUNTS);
        if let Some(counts) = stopper.unreported().filter(|_| !quiet) {
            say_in_time(format!("{counts}: ended before all results were written"));
        }
        exit_at_once(seen.code());
    })?;
    Ok(stopped)
}

/// Waits for a signal, and shows meanwhile that the process runs.
async fn ticking(signal: impl Future<Output = u8>) -> u8 {
    let mut signal = pin!(signal);
    loop {
        tick();
        if let Ok(code) = timeout(TICK, &mut signal).await {
            return code;
        }
    }
}

/// Ends the process and all that it has started, with this exit code.
fn exit_at_once(code: u8) {
    aside(|| {
        thread::sleep(EXIT);
        // An exit runs code of libraries, which may wait for a thread that is held.
        let _ = kill_process(getpid(), Signal::KILL);
    });
    sandbox::kill_programs();
    exit(code.into());
}

/// Says a last line, unless that takes too long.
fn say_in_time(text: String) {
    let (done, said) = mpsc::channel();
    aside(move || {
        say(&text);
        let _ = done.send(());
    });
    let _ = said.recv_timeout(LAST_LINE);
}

/// Does this in another thread: it may block, as a write to a full pipe does.
fn aside(what: impl FnOnce() + Send + 'static) {
    // Without a thread it is left undone.
    let _ = thread::Builder::new().spawn(what);
}

/// Whether this process was started with SIGHUP ignored. Where that cannot be read, it was not.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, Signal::HUP))
}

/// Whether the text of `/proc/PID/status` has this signal among those that are ignored.
fn ignores(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, Signal::HUP));
        assert!(ignores(status, Signal::PIPE));
        assert!(!ignores(status, Signal::INT));
        assert!(!ignores("", Signal::HUP));
    }
}
