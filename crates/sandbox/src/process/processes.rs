//! Native programs that this process starts. None outlives this process, however it ends.
//!
//! If this process ends by itself, [`kill_all`] kills them. If it is killed (SIGKILL, out of memory), the *guard* does:
//! a second process of this program, which reads from a pipe which programs were started and which have ended. When
//! this process is gone the pipe closes, and the guard kills the programs that are left. The guard has its own process
//! group, so that no Ctrl-C reaches it.
//!
//! A parent-death signal needs code between fork and exec, so the standard library would have to use fork, which copies
//! the page tables of a large host for each program. The signal is also bound to the thread that forked and reaches no
//! grandchild. The guard misses only a program that is started in the last microseconds before the kill, between its
//! fork and its record.

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

use super::child_command::child_command;
use disperse_protocol::limits::Shortage;

/// The name of the guard's work, as the child process is asked for it.
pub(crate) const GUARD: &str = "guard";

/// A started program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Started {
    /// The leader of a process group.
    Group(Pid),
    /// A process in the group of this process, such as a build, which may prompt at the terminal. Its descendants are
    /// found by their parent process IDs.
    Tree(Pid),
}

impl Started {
    fn kill(self) {
        match self {
            // Fails if the group has ended already.
            Self::Group(leader) => drop(kill_process_group(leader, Signal::KILL)),
            Self::Tree(root) => kill_tree(root),
        }
    }
}

/// A record for the guard: group (0) or tree (1), started (1) or ended (0), and the process ID (little-endian).
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

/// Whether this program can run as a child. If not, the guard would be a second run of the whole program.
static CAN_GUARD: AtomicBool = AtomicBool::new(false);

/// Enables the guard. To be called by a program that handles the arguments of a child.
pub(crate) fn can_guard() {
    CAN_GUARD.store(true, Ordering::Relaxed);
}

/// The programs that run. None once no more may be started.
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

        let mut child = child_command(&[GUARD, "0", "0"])
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
    /// Starts the guard if none runs.
    ///
    /// # Errors
    /// The machine has run out of a resource that the start needs. If the guard cannot be started for another reason,
    /// programs run without one.
    fn ensure_guard(&mut self) -> io::Result<()> {
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
            .for_each(|started| self.send_record(started, true));
        Ok(())
    }

    /// Sends a record to the guard. A guard that has ended is replaced when the next program is started.
    fn send_record(&mut self, started: Started, runs: bool) {
        let sent = match &mut self.guard {
            Some(guard) => guard.pipe.write_all(&record(started, runs)),
            None => Ok(()),
        };
        if sent.is_err()
            && let Some(mut guard) = self.guard.take()
        {
            let _ = guard.child.kill();
            let _ = guard.child.wait();
        }
    }
}

/// Kills all started programs and prevents further starts. To be called when this process is about to end.
pub fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    for started in running.into_iter().flat_map(|running| running.started) {
        started.kill();
    }
    if ADOPTS.load(Ordering::Relaxed) {
        kill_adopted();
    }
}

/// Whether this process adopts orphaned descendants (see [`adopt`]).
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Makes this process adopt the descendants of builds whose own parent ends, so that they can be found. Ctrl-C at a
/// terminal ends a shell, but not the processes that it has started in the background.
fn adopt() {
    ADOPTS.store(true, Ordering::Relaxed);
    // If this fails, such processes outlive an interrupted build.
    let _ = set_child_subreaper(Some(getpid()));
}

/// Kills all descendants of this process that are in its process group. A daemon, such as a compiler's server, has left
/// the group.
fn kill_adopted() {
    let (own, group) = (getpid(), getpgrp());
    for pid in descendants(own) {
        if pid != own && getpgid(Some(pid)).is_ok_and(|its| its == group) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A started program. Dropping it kills the program and its descendants. It kills once only, because later the process
/// ID may be another process's.
pub struct Guarded(Option<Started>);

impl Guarded {
    /// Starts the leader of a process group. `spawn` starts it and returns the child and its process ID.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn group<C>(spawn: impl FnOnce() -> io::Result<(C, Option<u32>)>) -> io::Result<(C, Self)> {
        Self::start(Started::Group, spawn)
    }

    /// Starts a program in this process's group.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn tree(command: &mut Command) -> io::Result<(Child, Self)> {
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
        // Held during the start, so that [`kill_all`] misses no program.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = &mut *running else {
            return Err(io::Error::other("this process is about to end"));
        };
        running.ensure_guard()?;
        let (child, id) = spawn()?;
        let started = id.and_then(|id| Pid::from_raw(id.try_into().ok()?)).map(kind);
        if let Some(started) = started {
            running.started.push(started);
            running.send_record(started, true);
        }
        Ok((child, Self(started)))
    }

    /// Kills the program and its descendants, if that has not been done.
    pub fn kill(&mut self) {
        if let Some(started) = self.0.take() {
            started.kill();
            self.forget(started);
        }
    }

    /// Notes that the program and its descendants have ended.
    pub fn ended(mut self) {
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
                // Orphans of programs that guests run are reaped by the system.
                let _ = set_child_subreaper(None);
            }
            running.send_record(started, false);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the guard: waits for the end of its parent process and kills the programs that are left. Returns the exit code.
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

/// Kills a process and its descendants. All are stopped first, so that none starts another one unnoticed.
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

/// A process and all its descendants, as `/proc` lists them now.
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

/// The parent process ID in the text of `/proc/PID/stat`. The process name, in parentheses, is arbitrary text.
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
    fn parent_is_read_from_stat_with_any_process_name() {
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
