//! The flags of commands that build a project, or compile its components.

use clap::Args;

use crate::{
    limits::CompileLimits,
    settings::{CompileTable, Manifest},
    units::{Size, Time},
};

/// The flags of commands that build and trust a project.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ManifestFlags {
    /// Skip the build
    ///
    /// It does not imply trust: everything else that the manifest asks for still needs it.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Trust the manifest for this run
    ///
    /// Trust covers its build commands, grants, secrets and paths that lead out of its folder. `disperse-host trust` stores trust.
    #[arg(long)]
    pub(crate) trust_manifest: bool,
}

/// The flags of commands that compile components.
#[derive(Debug, Args)]
pub(crate) struct Compiling {
    /// Maximum time to compile one component [default: 15s plus 4s per MB, at most 2m]
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    compile_timeout: Option<Time>,
    /// Maximum memory to compile one component; components compile in parallel within half of the machine's memory
    /// [default: 512MiB plus 40 times its size, at most 4GiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    compile_memory: Option<Size>,
    /// Inspect and compile in the host process, without limits: only for components that you trust
    #[arg(long, hide_short_help = true)]
    trust: bool,
}

impl Compiling {
    /// The limits for compiling the components of a manifest. None: `--trust`.
    pub(crate) fn limits(&self, manifest: &Manifest) -> Option<CompileLimits> {
        let typed = CompileTable {
            timeout: self.compile_timeout,
            memory: self.compile_memory,
        };
        let limits = typed.over(manifest.compile.over(CompileLimits::default()));
        (!self.trust).then_some(limits)
    }
}
