//! How much this machine has.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use rustix::process::{Resource, getrlimit};

/// How many cores there are for this process, from 1.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How many threads can be started now, of so many that are wanted, and why not more. Starts them, and ends them again: there is
/// no other way to know, and a runtime that cannot start one panics. 0.02 ms each.
pub(crate) fn startable_threads(wanted: usize) -> (usize, Option<io::Error>) {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())).err();
        let mut started = 0;
        let refused = (0..wanted).find_map(|number| {
            let refused = start(number);
            started += usize::from(refused.is_none());
            refused
        });
        drop(closed);
        (started, refused)
    })
}

/// Half of the memory that there is for this process: of the machine's, or of what its control groups or its limit on address
/// space (`ulimit -v`) allow if that is less. 4 GiB where that cannot be found out.
pub(crate) fn default_host_memory() -> u64 {
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

/// The least that a control group of a process, or one that it lies in, allows; none: nothing is said of it. `groups`: its
/// `/proc/PID/cgroup`. `root`: where the groups are, with a folder for each controller if they are of version 1.
fn group_memory(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, own) = line.split_once(":/")?;
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            // One that is not limited allows more than any machine has.
            _ if controllers.split(',').any(|one| one == "memory") => (root.join(controllers), "memory.limit_in_bytes"),
            _ => return None,
        };
        // In a container it may be named as the machine knows it, and what is at the root is its own.
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
    fn memory_is_what_the_tightest_control_group_allows() {
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
        // What is not limited.
        std::fs::write(inner.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let groups = "11:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/a/b\n";
        assert_eq!(group_memory(groups, root.path()), Some(9_223_372_036_854_771_712));
        std::fs::write(outer.join("memory.limit_in_bytes"), "4096\n").unwrap();
        assert_eq!(group_memory(groups, root.path()), Some(4096));
        // A container knows the machine's name of its group and has what is in it at the root.
        let elsewhere = "4:memory:/docker/1234\n";
        assert_eq!(group_memory(elsewhere, root.path()), None);
        std::fs::write(root.path().join("memory/memory.limit_in_bytes"), "8192\n").unwrap();
        assert_eq!(group_memory(elsewhere, root.path()), Some(8192));
        std::fs::write(root.path().join("memory.max"), "100\n").unwrap();
        assert_eq!(group_memory(groups, root.path()), Some(100));
    }

    #[test]
    fn threads_that_are_wanted_can_be_started() {
        let (started, refused) = startable_threads(8);
        assert_eq!(started, 8, "{refused:?}");
        assert_eq!(startable_threads(0).0, 0);
    }
}
