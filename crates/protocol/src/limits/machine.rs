//! The resources of this machine.

use std::{
    io,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use rustix::process::{Resource, getrlimit};

/// The number of cores of this process at the first call, from 1. A child that compiles cannot read it later.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// How many threads can be started now, of this many, and why not more. Starts and ends them: there is no other way to
/// know, and a runtime that cannot start one panics. 0.02 ms each.
pub fn startable_threads(wanted: usize) -> (usize, Option<io::Error>) {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())).err();
        let mut started = 0;
        let error = (0..wanted).find_map(|number| {
            let error = start(number);
            started += usize::from(error.is_none());
            error
        });
        drop(closed);
        (started, error)
    })
}

/// Half of this process's memory: of the machine's, or of what its control groups or its limit on address space
/// (`ulimit -v`) allow if that is less. 4 GiB if that cannot be determined.
pub fn default_host_memory() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        kib.checked_mul(1024)
    });
    let group = std::fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.and_then(|groups| group_memory(&groups, Path::new("/sys/fs/cgroup")));
    machine
        .into_iter()
        .chain(group)
        .chain(getrlimit(Resource::As).current)
        .min()
        .map_or(4 << 30, |bytes| bytes / 2)
}

/// The address space that this process may still take (`ulimit -v`), in bytes. None: it has no limit, or that cannot be determined.
pub fn spare_address_space() -> Option<u64> {
    let most = getrlimit(Resource::As).current?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(most.saturating_sub(kib << 10))
}

/// The least limit of a process's control group and of those above it; none: there is no limit. `groups`: its
/// `/proc/PID/cgroup`. `root`: the folder of the groups, with a folder for each controller if they are of version 1.
fn group_memory(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, own) = line.split_once(":/")?;
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            // A group without a limit allows more than any machine has.
            _ if controllers.split(',').any(|one| one == "memory") => (root.join(controllers), "memory.limit_in_bytes"),
            _ => return None,
        };
        // In a container the name may be that of the machine, and the files at the root are its own.
        let folder = root.join(own);
        let folders = folder.ancestors().take_while(|folder| folder.starts_with(&root));
        let limit = |folder: &Path| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
        folders.filter_map(limit).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tightest_control_group_limits_memory() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("a"), root.path().join("a/b"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(group_memory("1:cpu:/x\n0::/a/b\n", root.path()), None);
        std::fs::write(outer.join("memory.max"), "1048576\n").unwrap();
        assert_eq!(group_memory("0::/a/b\n", root.path()), Some(1 << 20));
        std::fs::write(inner.join("memory.max"), "4096\n").unwrap();
        assert_eq!(group_memory("0::/a/b\n", root.path()), Some(4096));
        assert_eq!(group_memory("4:memory:/a\n", root.path()), None);
    }

    #[test]
    fn memory_of_control_groups_of_version_1_is_read_too() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("memory/a"), root.path().join("memory/a/b"));
        std::fs::create_dir_all(&inner).unwrap();
        // A group without a limit.
        std::fs::write(inner.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let groups = "11:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/a/b\n";
        assert_eq!(group_memory(groups, root.path()), Some(9_223_372_036_854_771_712));
        std::fs::write(outer.join("memory.limit_in_bytes"), "4096\n").unwrap();
        assert_eq!(group_memory(groups, root.path()), Some(4096));
        // A container knows the machine's name of its group and has its files at the root.
        let elsewhere = "4:memory:/docker/1234\n";
        assert_eq!(group_memory(elsewhere, root.path()), None);
        std::fs::write(root.path().join("memory/memory.limit_in_bytes"), "8192\n").unwrap();
        assert_eq!(group_memory(elsewhere, root.path()), Some(8192));
        std::fs::write(root.path().join("memory.max"), "100\n").unwrap();
        assert_eq!(group_memory(groups, root.path()), Some(100));
    }

    #[test]
    fn requested_threads_can_be_started() {
        let (started, error) = startable_threads(8);
        assert_eq!(started, 8, "{error:?}");
        assert_eq!(startable_threads(0).0, 0);
    }
}
