//! Host resources that have run out: failures that no guest caused.

use std::io;

use rustix::io::Errno;
use wasmtime::PoolConcurrencyLimitError;

use super::chain::chain;
use disperse_protocol::{
    limits::{Account, Shortage},
    units::Size,
};

/// A host resource that had run out when a guest needed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostResource {
    #[error("had to wait for memory: other guests hold all of the {} for guests; raise it with --host-memory", Size(*.limit))]
    Memory { limit: u64 },
    #[error("had to wait for an instance: other guests use all that may exist at once")]
    Instances,
    /// A part of the allocation pool that was not reserved.
    #[error("had to wait for a part of the engine: {0}")]
    Pool(String),
    #[error("could not go on: the machine has no {shortage} left ({error}); {}", shortage.hint())]
    Machine { shortage: Shortage, error: String },
}

impl HostResource {
    /// The exhausted resource that an error reports, if any.
    pub(super) fn of(error: &wasmtime::Error) -> Option<Self> {
        if let Some(resource) = error.downcast_ref::<Self>() {
            return Some(resource.clone());
        }
        // Each instance's own needs were reserved, so only other instances can be the cause.
        if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            return Some(Self::Pool(full.to_string()));
        }
        let number = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<io::Error>() {
            Some(error) => Errno::from_io_error(error),
            None => cause.downcast_ref::<Errno>().copied(),
        };
        let number = error.chain().find_map(number)?;
        let shortage = Shortage::of(&number.into())?;
        let error = chain(error);
        Some(Self::Machine { shortage, error })
    }

    /// The exhausted resource that a system error reports, if any. `of` classifies the error.
    pub(super) fn of_system(error: &io::Error, of: impl Fn(&io::Error) -> Option<Shortage>) -> Option<Self> {
        let shortage = of(error)?;
        let error = error.to_string();
        Some(Self::Machine { shortage, error })
    }

    pub(super) fn memory(account: &Account) -> Self {
        let limit = account.limit();
        Self::Memory { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_of_the_machine_is_found_in_the_causes_of_an_engine_error() {
        let of = |errno: Errno| {
            let error = wasmtime::Error::from(errno).context("mmap failed to reserve 0x1000 bytes");
            HostResource::of(&error)
        };
        let Some(HostResource::Machine { shortage, error }) = of(Errno::NOMEM) else {
            panic!("not found");
        };
        assert_eq!(shortage, Shortage::Memory);
        assert!(error.starts_with("mmap failed"), "{error}");
        assert_eq!(of(Errno::INVAL), None);
        let error = wasmtime::Error::from(io::Error::from(Errno::MFILE)).context("x");
        assert!(matches!(
            HostResource::of(&error),
            Some(HostResource::Machine {
                shortage: Shortage::Files,
                ..
            })
        ));
        assert_eq!(HostResource::of(&wasmtime::format_err!("Cannot allocate memory")), None);
    }
}
