//! Loads all components of a run: inspects and compiles each once, several in parallel.
//!
//! Failures that need no compiling are reported first. Of several failures, the reported one is deterministic: that of the first
//! component in the order of the manifest.

mod checked;
mod component_file;
mod each;
mod loader;
mod progress;
mod sandbox;
mod wanted;

pub(crate) use self::{
    component_file::{name_of, read, unusable},
    loader::{FoundComponent, LoadedComponents, Loader, to_compile},
    progress::{Progress, seconds},
    sandbox::{cache, host_memory, sandbox, stack},
    wanted::{Role, Wanted, files, wanted_by_manifest, wanted_by_map, wanted_by_pools},
};
