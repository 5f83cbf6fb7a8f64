//! Network file systems, on which SQLite's locks and shared memory do not work (sqlite.org/wal.html, "Overview").

use std::{io, os::unix::fs::MetadataExt, path::Path};

/// File systems by the numbers that statfs(2) lists and those of their own headers.
const NAMES: [(u32, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
];

/// Programs of their own in user space: which one, the mounts tell.
const FUSE: u32 = 0x6573_5546;

/// Those of them that reach other machines.
const REMOTE_FUSE: [&str; 11] = [
    "sshfs",
    "s3fs",
    "goofys",
    "rclone",
    "gcsfuse",
    "glusterfs",
    "ceph",
    "curlftpfs",
    "davfs",
    "blobfuse",
    "juicefs",
];

/// The name of the network file system that a folder is on. None: it is on another one.
///
/// # Errors
/// The folder cannot be examined.
pub(crate) fn name(folder: &Path) -> io::Result<Option<String>> {
    // The numbers have 32 bits; the field has more or a sign, by machine.
    let number = rustix::fs::statfs(folder)?.f_type as u32;
    if number != FUSE {
        return Ok(name_of(number).map(str::to_owned));
    }
    let device = folder.metadata()?.dev();
    // Without the list of mounts it counts as a local one.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(kind_of_mount(&mounts, device)
        .filter(|kind| is_remote(kind))
        .map(str::to_owned))
}

fn name_of(number: u32) -> Option<&'static str> {
    let found = NAMES.iter().find(|(known, _)| *known == number);
    found.map(|(_, name)| *name)
}

fn is_remote(kind: &str) -> bool {
    let name = kind.strip_prefix("fuse.").unwrap_or(kind);
    REMOTE_FUSE.iter().any(|remote| name.starts_with(remote))
}

/// The kind of the file system with this device number, as in `36 35 98:0 / /mnt rw shared:1 - fuse.sshfs host: rw`.
fn kind_of_mount(mounts: &str, (major, minor): (u32, u32)) -> Option<&str> {
    let device = format!("{major}:{minor}");
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(&device);
    let line = mounts.lines().find(of_device)?;
    line.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_number_and_mount() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        assert_eq!(name_of(0xff53_4d42), Some("CIFS"));
        // ext4, btrfs, tmpfs, xfs, overlay, ZFS.
        for local in [0xef53, 0x9123_683e, 0x0102_1994, 0x5846_5342, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(name_of(local), None);
        }
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      36 22 0:98 / /mnt\\040a rw,nosuid shared:1 - fuse.sshfs me@host: rw\n\
                      37 22 0:99 / /home/x rw - fuse.gocryptfs x rw\n";
        let kind = |minor| kind_of_mount(mounts, (0, minor));
        assert_eq!(kind(98), Some("fuse.sshfs"));
        assert!(kind(98).is_some_and(is_remote) && !kind(99).is_some_and(is_remote));
        assert_eq!(kind(97), None);
    }

    #[test]
    fn temporary_folder_is_local() {
        assert_eq!(name(&std::env::temp_dir()).unwrap(), None);
    }
}
