//! Signals: the first one drains the run, the second one ends the process. Before the run has begun, during a build or compiling, the
//! first one ends the process.
//!
//! A separate thread waits for signals, so that the second one ends the process within two seconds even if guests block every
//! thread of the run, or a reader of the output never reads.

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

use crate::{
    cli::console::{exit as code, print_stderr},
    limits::{TICK, tick},
    report::unreported,
    run::Stopper,
    sandbox,
};

/// Time for the final counts of a run that is ended at once.
const LAST_COUNTS: Duration = Duration::from_secs(1);

/// Time for the process to exit after that, before it is killed.
const EXIT: Duration = Duration::from_millis(500);

/// Time for writing a final line. Arbitrary: a terminal or a file accepts it at once, a full pipe never does.
const LAST_LINE: Duration = Duration::from_millis(200);

/// How long after the failure of a build to wait for the signal that may have ended it: Ctrl-C reaches the programs of a terminal in
/// any order. Arbitrary: short beside a build, and long beside the wake-up of a thread.
const LATE: Duration = Duration::from_millis(200);

/// The run that a signal stops, once it exists. Stays locked if the process is being ended without a run.
static RUN: Mutex<Option<Stopper>> = Mutex::new(None);

/// Makes signals stop this run from now on. Does not return if a signal is ending the process.
pub(crate) fn stop_from_now_on(stopper: Stopper) {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopper);
}

/// Waits for a signal that may have ended a child of this process. Returns if there was none; otherwise the signal ends this process
/// too.
pub(crate) fn await_late() {
    thread::sleep(LATE);
    drop(RUN.lock());
}

/// The signal that stopped a run, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopped(Arc<AtomicU8>);

impl Stopped {
    /// The exit code of the last signal, or 0.
    pub(crate) fn code(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens to SIGINT, SIGTERM and SIGHUP from now on: the first one, of any kind, drains the run, the second one ends the process.
/// Before there is a run, the first one ends the process and its children. `quiet`: no counts at the end; `early`: the line that is
/// printed before there is a run. SIGHUP stays ignored if the parent process had it ignored, as `nohup` does.
///
/// # Errors
/// The thread cannot be started, or a signal handler cannot be installed.
pub(crate) fn listen(quiet: bool, early: &'static str) -> io::Result<Stopped> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let mut signals = {
        let _within = runtime.enter();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // At the file size limit (`ulimit -f`) a write must fail instead of ending the process. Once SIGXFSZ has had a handler,
        // it has no other effect.
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
    // Here, before any timeout can start: on a busy machine the thread may start late.
    tick();
    thread::Builder::new().name("signals".into()).spawn(move || {
        seen.0.store(runtime.block_on(ticking(signals())), Ordering::Relaxed);
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stopper) = run.clone() else {
            // The lock is held, so that no run begins meanwhile, and the killed build is not reported as failed.
            print_in_time(early.to_owned());
            return exit_at_once(seen.code());
        };
        drop(run);
        aside(|| print_stderr("stopping: running attempts may finish; a second signal ends them at once"));
        stopper.stop();
        seen.0.store(runtime.block_on(ticking(signals())), Ordering::Relaxed);
        stopper.cancel();
        // If the run ends meanwhile, the main thread ends the process.
        thread::sleep(LAST_COUNTS);
        if let Some((tasks, left)) = stopper.unreported().filter(|_| !quiet) {
            let counts = unreported(tasks, left);
            print_in_time(format!("{counts}: ended before all results were written"));
        }
        exit_at_once(seen.code());
    })?;
    Ok(stopped)
}

/// Waits for a signal, and ticks meanwhile, which shows that the process is running.
async fn ticking(signal: impl Future<Output = u8>) -> u8 {
    let mut signal = pin!(signal);
    loop {
        tick();
        if let Ok(code) = timeout(TICK, &mut signal).await {
            return code;
        }
    }
}

/// Ends the process and its children, with this exit code.
fn exit_at_once(code: u8) {
    aside(|| {
        thread::sleep(EXIT);
        // An exit runs code of libraries, which may wait for a blocked thread.
        let _ = kill_process(getpid(), Signal::KILL);
    });
    sandbox::kill_programs();
    exit(code.into());
}

/// Prints a last line, unless that takes too long.
fn print_in_time(text: String) {
    let (done, finished) = mpsc::channel();
    aside(move || {
        print_stderr(&text);
        let _ = done.send(());
    });
    let _ = finished.recv_timeout(LAST_LINE);
}

/// Calls `what` in another thread, because it may block, as a write to a full pipe does.
fn aside(what: impl FnOnce() + Send + 'static) {
    // If the thread cannot be started, the call is skipped.
    let _ = thread::Builder::new().spawn(what);
}

/// Whether this process was started with SIGHUP ignored. False if `/proc` cannot be read.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, Signal::HUP))
}

/// Whether the text of `/proc/PID/status` lists this signal as ignored.
fn ignores(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_parsed_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, Signal::HUP));
        assert!(ignores(status, Signal::PIPE));
        assert!(!ignores(status, Signal::INT));
        assert!(!ignores("", Signal::HUP));
    }
}
