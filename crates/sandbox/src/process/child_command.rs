//! Starts this program again as a child process for one piece of work.

use std::process::Command;

use disperse_protocol::limits::cores;

/// The first argument of a child process. Three follow: the work, the memory in bytes and the time in seconds.
pub(crate) const CHILD: &str = "compile-child";

/// A command that starts this program as a child. `work`: the name of the work and two numbers (see [`CHILD`]).
pub(crate) fn child_command(work: &[&str; 3]) -> Command {
    // The running executable, even if its file has been replaced since.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(CHILD)
        .args(work)
        .env_clear()
        // glibc's default is eight arenas a core, each of which reserves address space.
        .env("MALLOC_ARENA_MAX", cores().to_string())
        // The child cannot read the files that hold this number; see `isolation`.
        .env("RAYON_NUM_THREADS", cores().to_string())
        .current_dir("/");
    command
}
