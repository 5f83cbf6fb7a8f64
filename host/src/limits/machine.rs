//! How much this machine has.

use std::path::Path;

/// How many cores there are for this process, from 1.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Half of the memory that there is for this process: of the machine's, or of what its control groups allow if that is less. 4
/// GiB where that cannot be found out.
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
        .min()
        .map_or(4 << 30, |bytes| bytes / 2)
}

/// The least that the control group of a process, or one that it lies in, allows; none: nothing is said of it. Of version 2.
fn group_memory(groups: &str, root: &Path) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = root.join(own);
    let limits = folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.join("memory.max")).ok()?;
            text.trim().parse().ok()
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
}
