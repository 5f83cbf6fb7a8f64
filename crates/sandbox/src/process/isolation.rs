//! Isolates a child process that handles untrusted input from the rest of the machine.
//!
//! Such a child needs its pipes, memory and threads. A component that exploits a defect of a parser or of the compiler
//! would otherwise have all rights of the user: it could write to the cache, connect to other processes or change them.
//! A seccomp filter allows what reading, computing and writing need, and no other system call: the others fail as if the
//! kernel did not have them. It cannot be taken back.

use std::{collections::BTreeMap, env::consts::ARCH, process};

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

/// System calls that are allowed with all arguments. The allocator, the threads and the signal handlers of libc and of the
/// standard library use them.
const ALLOWED: &[libc::c_long] = &[
    // Open descriptors: the pipes.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads.
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time, random numbers and the end.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Isolates all threads of this process.
///
/// Containers and architectures without such filters are common, so that their absence is no error.
pub(crate) fn isolate() {
    let _ = filter().and_then(|filter| apply_filter_all_threads(&filter));
}

/// The program of the filter.
///
/// # Errors
/// The filter cannot be made for this architecture.
fn filter() -> Result<BpfProgram, Error> {
    let thread = libc::CLONE_THREAD.cast_unsigned().into();
    let own = u64::from(process::id());
    let name = libc::PR_SET_NAME.cast_unsigned().into();
    let conditional = [
        // Starts a thread. `clone3` has its flags in memory, which a filter cannot read; libc falls back to `clone`.
        (libc::SYS_clone, vec![is(0, SeccompCmpOp::MaskedEq(thread), thread)?]),
        // Reads a limit of this process.
        (
            libc::SYS_prlimit64,
            vec![is(0, SeccompCmpOp::Eq, 0)?, is(2, SeccompCmpOp::Eq, 0)?],
        ),
        // Names a thread.
        (libc::SYS_prctl, vec![is(0, SeccompCmpOp::Eq, name)?]),
        // Aborts this process.
        (libc::SYS_tgkill, vec![is(0, SeccompCmpOp::Eq, own)?]),
    ];
    let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, conditions) in conditional {
        rules.insert(call, vec![SeccompRule::new(conditions)?]);
    }
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = TargetArch::try_from(ARCH)?;
    Ok(SeccompFilter::new(rules, missing, SeccompAction::Allow, architecture)?.try_into()?)
}

/// A condition on an argument of a system call.
fn is(argument: u8, test: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Qword, test, value)?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        net::{SocketAddr, TcpListener, TcpStream},
        os::unix::net::{UnixListener, UnixStream},
        path::Path,
        process::Command,
        thread,
    };

    use rustix::process::{Pid, Resource, getpid, getppid, getrlimit, setrlimit, test_kill_process};
    use seccompiler::apply_filter;

    use super::*;

    const ACTIONS: usize = 9;

    /// What a thread can do: the names of the actions that succeed.
    fn possible(folder: &Path, address: SocketAddr) -> Vec<&'static str> {
        let socket = folder.join("socket");
        let actions: [(&str, &dyn Fn() -> bool); ACTIONS] = [
            ("read", &|| File::open("/proc/self/exe").is_ok()),
            ("create", &|| File::create(folder.join("new")).is_ok()),
            ("rename", &|| fs::rename(folder.join("a"), folder.join("a")).is_ok()),
            ("connect", &|| TcpStream::connect(address).is_ok()),
            ("connect to a process of the user", &|| {
                UnixStream::connect(&socket).is_ok()
            }),
            ("start a program", &|| Command::new("true").status().is_ok()),
            ("set limits", &|| {
                setrlimit(Resource::Core, getrlimit(Resource::Core)).is_ok()
            }),
            ("signal a process", &|| {
                test_kill_process(getppid().unwrap_or(Pid::INIT)).is_ok()
            }),
            ("start a thread", &|| {
                thread::Builder::new()
                    .name("named".to_owned())
                    .spawn(|| {})
                    .is_ok_and(|thread| thread.join().is_ok())
            }),
        ];
        let possible = actions.iter().filter(|(_, action)| action());
        possible.map(|(name, _)| *name).collect()
    }

    /// Runs this in a thread that has isolated itself; None: it cannot.
    fn isolated<T: Send>(before: impl FnOnce() + Send, run: impl FnOnce() -> T + Send) -> Option<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                before();
                apply_filter(&filter().unwrap()).is_ok().then(run)
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn isolated_thread_can_only_compute_and_start_threads() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        let possible = || possible(folder.path(), address);
        let nothing_yet = || assert_eq!(possible().len(), ACTIONS, "nothing is restricted yet");
        if let Some(possible) = isolated(nothing_yet, possible) {
            assert_eq!(possible, ["start a thread"]);
        }
    }

    #[test]
    fn isolated_thread_signals_only_its_own_process() {
        let signal = |process: Pid| {
            let process = process.as_raw_nonzero().get();
            // SAFETY: signal 0 is none; the call only checks whether it could be sent.
            #[allow(unsafe_code, reason = "a filtered system call")]
            let result = unsafe { libc::syscall(libc::SYS_tgkill, process, process, 0) };
            result == 0
        };
        let (own, parent) = (getpid(), getppid().unwrap_or(Pid::INIT));
        let both = || (signal(own), signal(parent));
        let seen = isolated(|| assert_eq!(both(), (true, true), "nothing is restricted yet"), both);
        assert!(matches!(seen, None | Some((true, false))), "{seen:?}");
    }
}
