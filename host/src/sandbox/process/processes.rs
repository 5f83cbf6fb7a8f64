//! Programs of this machine that were started by this process: none outlives it, however it ends.
//!
//! Where this process ends by itself, [`kill_all`] kills them. Where it is killed (SIGKILL, out of memory), a small process beside
//! it does, the *guard*: this program once more, which reads from a pipe what was started and what has ended. When the pipe
//! closes this process is gone, and the guard kills what is left. It has a process group of its own, so that no Ctrl-C reaches it.
//!
//! A parent-death signal would need code between fork and exec, so that the standard library forks: that copies the page tables
//! of a large host for each program. The signal is also bound to the thread that forked and reaches no grandchild. What the guard
//! misses is a program whose start is cut by the kill, between its fork and the record of it: some microseconds.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, kill_process, kill_process_group, set_child_subreaper};

use super::again::again;
use crate::limits::Shortage;

/// The work of a child process that is a guard.
pub(crate) const GUARD: &str = "guard";

/// What was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Started {
    /// The leader of a process group.
    Group(Pid),
    /// A process in the group of this one, as a build is, which may ask at the terminal: its descendants are found by their
    /// parents.
    Tree(Pid),
}

impl Started {
    fn kill(self) {
        match self {
            // The group may have ended.
            Self::Group(leader) => drop(kill_process_group(leader, Signal::KILL)),
            Self::Tree(root) => kill_tree(root),
        }
    }
}

/// A record for the guard: what, whether it was started (1) or has ended (0), and the process.
type Record = [u8; 6];

fn record(started: Started, runs: bool) -> Record {
    let (kind, pid) = match started {
        Started::Group(pid) => (0, pid),
        Started::Tree(pid) => (1, pid),
    };
    let [a, b, c, d] = pid.as_raw_nonzero().get().to_le_bytes();
    [kind, u8::from(runs), a, b, c, d]
}

fn read_record([kind, runs, a, b, c, d]: Record) -> Option<(Started, bool)> {
    let pid = Pid::from_raw(i32::from_le_bytes([a, b, c, d]))?;
    let started = if kind == 0 {
        Started::Group(pid)
    } else {
        Started::Tree(pid)
    };
    Some((started, runs == 1))
}

/// Whether this program offers itself as a child; else it would be started a second time unasked.
static CAN_GUARD: AtomicBool = AtomicBool::new(false);

/// From now on programs are guarded: this program does the work of a child that it is asked for.
pub(crate) fn can_guard() {
    CAN_GUARD.store(true, Ordering::Relaxed);
}

/// All that runs; none once nothing more may be started.
static RUNNING: Mutex<Option<Running>> = Mutex::new(Some(Running {
    started: Vec::new(),
    guard: None,
}));

struct Running {
    started: Vec<Started>,
    guard: Option<Guard>,
}

struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    fn start() -> io::Result<Self> {
        use std::os::unix::process::CommandExt;

        let mut child = again(&[GUARD, "0", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, pipe })
    }
}

impl Running {
    /// Sees to it that there is a guard.
    ///
    /// # Errors
    /// The machine has none left of what starting one takes. Where there is no guard for another reason, programs run without.
    fn guarded(&mut self) -> io::Result<()> {
        if self.guard.is_some() || !CAN_GUARD.load(Ordering::Relaxed) {
            return Ok(());
        }
        match Guard::start() {
            Ok(guard) => self.guard = Some(guard),
            Err(error) if Shortage::of_start(&error).is_some() => return Err(error),
            Err(_) => return Ok(()),
        }
        self.started
            .clone()
            .into_iter()
            .for_each(|started| self.tell(started, true));
        Ok(())
    }

    /// Tells the guard. One that is gone is replaced when the next program is started.
    fn tell(&mut self, started: Started, runs: bool) {
        let told = match &mut self.guard {
            Some(guard) => guard.pipe.write_all(&record(started, runs)),
            None => Ok(()),
        };
        if told.is_err()
            && let Some(mut guard) = self.guard.take()
        {
            let _ = guard.child.kill();
            let _ = guard.child.wait();
        }
    }
}

/// Kills all programs that were started, and lets no more be started: the process is about to end.
pub(crate) fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    for started in running.into_iter().flat_map(|running| running.started) {
        started.kill();
    }
    if ADOPTS.load(Ordering::Relaxed) {
        kill_adopted();
    }
}

/// Whether this process is the parent of what outlives its own parent in a build.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Becomes the parent of processes of builds whose own parent ends, so that they are found: Ctrl-C at a terminal ends a shell and not what it
/// has started in the background.
fn adopt() {
    ADOPTS.store(true, Ordering::Relaxed);
    // Where the system refuses it, these outlive an interrupted build.
    let _ = set_child_subreaper(Some(getpid()));
}

/// Kills all that this process has started and that is in its process group. A daemon, such as a compiler's server, has left that.
fn kill_adopted() {
    let (own, group) = (getpid(), getpgrp());
    for pid in descendants(own) {
        if pid != own && getpgid(Some(pid)).is_ok_and(|its| its == group) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A program that was started. Dropping it kills the program and what the program started, once: later the number may be that of
/// another process.
pub(crate) struct Guarded(Option<Started>);

impl Guarded {
    /// Starts the leader of a process group; `spawn` starts it and returns its process ID.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn group<C>(spawn: impl FnOnce() -> io::Result<(C, Option<u32>)>) -> io::Result<(C, Self)> {
        Self::start(Started::Group, spawn)
    }

    /// Starts a program in this process's group.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn tree(command: &mut Command) -> io::Result<(Child, Self)> {
        adopt();
        Self::start(Started::Tree, || {
            let child = command.spawn()?;
            let id = child.id();
            Ok((child, Some(id)))
        })
    }

    fn start<C>(
        kind: impl FnOnce(Pid) -> Started,
        spawn: impl FnOnce() -> io::Result<(C, Option<u32>)>,
    ) -> io::Result<(C, Self)> {
        // Held while it is started, so that none is missed by [`kill_all`].
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = &mut *running else {
            return Err(io::Error::other("this process is about to end"));
        };
        running.guarded()?;
        let (child, id) = spawn()?;
        let started = id.and_then(|id| Pid::from_raw(id.try_into().ok()?)).map(kind);
        if let Some(started) = started {
            running.started.push(started);
            running.tell(started, true);
        }
        Ok((child, Self(started)))
    }

    /// Kills what is left of it.
    pub(crate) fn kill(&mut self) {
        if let Some(started) = self.0.take() {
            started.kill();
            self.forget(started);
        }
    }

    /// It has ended, with all that it started.
    pub(crate) fn ended(mut self) {
        if let Some(started) = self.0.take() {
            self.forget(started);
        }
    }

    fn forget(&mut self, started: Started) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &mut *running {
            running.started.retain(|other| *other != started);
            let builds = running.started.iter().any(|other| matches!(other, Started::Tree(_)));
            if matches!(started, Started::Tree(_)) && !builds {
                // What programs of guests leave is for the system, which waits for it.
                let _ = set_child_subreaper(None);
            }
            running.tell(started, false);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The guard: waits for the end of the process that started it, and kills what that leaves. Returns the exit code.
pub(crate) fn guard() -> u8 {
    let mut running = HashSet::new();
    let mut input = io::stdin().lock();
    let mut next = Record::default();
    while input.read_exact(&mut next).is_ok() {
        match read_record(next) {
            Some((started, true)) => _ = running.insert(started),
            Some((started, false)) => _ = running.remove(&started),
            None => {}
        }
    }
    running.into_iter().for_each(Started::kill);
    0
}

/// Kills a process and its descendants. They are stopped first, so that none starts another one unseen.
fn kill_tree(root: Pid) {
    let mut stopped = HashSet::new();
    loop {
        let fresh: Vec<Pid> = descendants(root)
            .into_iter()
            .filter(|pid| stopped.insert(*pid))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            let _ = kill_process(pid, Signal::STOP);
        }
    }
    for pid in stopped {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// A process and all that descend from it, as `/proc` shows them now.
fn descendants(root: Pid) -> HashSet<Pid> {
    let parents: Vec<(Pid, Pid)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            Some((pid, parent(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect();
    let mut found = HashSet::from([root]);
    while let Some(next) = parents
        .iter()
        .find(|(pid, parent)| found.contains(parent) && !found.contains(pid))
    {
        found.insert(next.0);
    }
    found
}

/// The parent of a process by the text of its `/proc/PID/stat`. Its name, in parentheses, may hold anything.
fn parent(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let pid = Pid::from_raw(4_194_303).unwrap();
        for started in [Started::Group(pid), Started::Tree(pid)] {
            for runs in [true, false] {
                assert_eq!(read_record(record(started, runs)), Some((started, runs)));
            }
        }
        assert_eq!(read_record([0; 6]), None);
    }

    #[test]
    fn parent_is_read_whatever_a_process_is_called() {
        assert_eq!(parent("7 (a) 1 (b) S 42 7 7 0 -1"), Pid::from_raw(42));
        assert_eq!(parent("7 (a"), None);
    }

    #[test]
    fn tree_is_killed_with_its_grandchildren() {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "(sleep 1000 & echo $!; wait) & wait"])
            .stdout(Stdio::piped());
        let (mut child, guarded) = Guarded::tree(&mut shell).unwrap();
        let mut line = [0; 16];
        let count = child.stdout.take().unwrap().read(&mut line).unwrap();
        let pid = std::str::from_utf8(&line[..count]).unwrap().trim().to_owned();
        drop(guarded);
        child.wait().unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(std::time::Instant::now() < until, "{:?}", stat());
            std::thread::yield_now();
        }
    }
}
