//! The sandbox of a command, from its flags and the manifest.

use crate::{
    cli::{
        args::Common,
        console::{Failure, print_stderr},
    },
    limits::{self, Budget, HOST_MEMORY_MIN, STACK, STACK_RANGE, default_host_memory},
    sandbox::{Cache, Sandbox},
    settings::Manifest,
    text::plain,
    units::Size,
};

/// The sandbox of a run.
///
/// # Errors
/// A limit is out of its range.
pub(crate) fn sandbox(common: &Common, manifest: &Manifest) -> Result<Sandbox, Failure> {
    common
        .limits
        .check()
        .map_err(|error| Failure::usage("invalid limits").because(error))?;
    let stack = stack(common.limits.stack.or(manifest.limits.stack))?;
    let memory = host_memory(common)?;
    Ok(Sandbox::new(
        cache(!common.no_cache, common.quiet),
        common.compiling.limits(manifest),
        stack,
        Budget::new(memory),
    ))
}

/// Memory of all guests together, in bytes.
///
/// # Errors
/// It is less than one guest needs.
pub(crate) fn host_memory(common: &Common) -> Result<u64, Failure> {
    let memory = common.host_memory.map_or_else(default_host_memory, |size| size.0);
    match memory < HOST_MEMORY_MIN {
        false => Ok(memory),
        true => Err(
            Failure::usage(format!("--host-memory {} is less than a guest needs", Size(memory)))
                .hint(format!("the minimum is {}", Size(HOST_MEMORY_MIN))),
        ),
    }
}

/// The cache of compiled code, if it is wanted and usable. Without it each start is slower, with the same results. Warns, unless
/// `quiet`, if other users can write to its folder.
pub(crate) fn cache(wanted: bool, quiet: bool) -> Option<Cache> {
    match wanted.then(Cache::user)? {
        Ok(cache) => Some(cache),
        Err(error) => {
            if error.is_danger() && !quiet {
                print_stderr(&plain(&format!("warning: compiled code is not cached: {error}")));
            }
            None
        }
    }
}

/// The stack of guests, in bytes, within its range.
pub(crate) fn stack(wanted: Option<Size>) -> Result<usize, Failure> {
    let stack = wanted.map_or(STACK, |size| size.0);
    limits::stack(stack).ok_or_else(|| {
        let (least, most) = (Size(*STACK_RANGE.start()), Size(*STACK_RANGE.end()));
        Failure::usage(format!("invalid stack size {}", Size(stack))).hint(format!("it must be from {least} to {most}"))
    })
}
