//! This program, started once more to do one piece of work.

use std::process::Command;

use crate::limits::cores;

/// The word that makes this program a child; what follows is the work, the memory in bytes and the time in seconds.
pub(crate) const CHILD: &str = "compile-child";

/// This program once more, as a child that does this work: its word and two numbers.
pub(crate) fn again(work: &[&str; 3]) -> Command {
    // This very program, also when its file has been exchanged for a newer one meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(CHILD)
        .args(work)
        .env_clear()
        // Else there may be eight of them a core, and each reserves address space.
        .env("MALLOC_ARENA_MAX", cores().to_string())
        .current_dir("/");
    command
}
