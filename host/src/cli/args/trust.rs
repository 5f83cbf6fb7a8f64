//! The arguments of `trust`.

use clap::Args;

/// Where trust is stored.
pub(super) const HELP: &str = "\
A disperse.toml may ask for more than sandboxed computation on files of its own folder: build commands, programs, folders, \
requests, secrets, and paths that lead out of the folder. `run`, `map`, `test` and `compile` grant this only if the folder is \
trusted, or with --trust-manifest. `inspect` lists the requests too.

Trust is stored in $XDG_STATE_HOME/disperse/trust, else ~/.local/state/disperse/trust. It holds for the path and the content of \
disperse.toml: when either changes, trust must be given again. The scripts that a build command runs are not checked. `new` \
trusts the folder that it creates. On a terminal, the host asks at once about a folder that was trusted before, or that you \
own and that is in a git work tree of yours.";

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// A folder with a disperse.toml, or that file
    #[arg(required_unless_present = "list", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) path: Option<std::path::PathBuf>,
    /// List what it asks for, without trusting it
    #[arg(long, conflicts_with_all = ["revoke", "list"])]
    pub(crate) show: bool,
    /// Revoke the trust
    #[arg(long, conflicts_with = "list")]
    pub(crate) revoke: bool,
    /// List the trusted manifests, changed ones included
    #[arg(long, conflicts_with = "path")]
    pub(crate) list: bool,
}
