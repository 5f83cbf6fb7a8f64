//! Which imports the host provides, and what has to be granted for them to be of use.

use super::adapt::EXIT;
use crate::units::nearest;

/// The interfaces of the contract.
const OURS: [&str; 11] = [
    "types",
    "log",
    "output",
    "host",
    "host-async",
    "attempt",
    "quota",
    "http-types",
    "http",
    "http-async",
    "exec",
];
/// Of these only operations can make use.
const OF_OPERATIONS: [&str; 3] = ["output", "host", "host-async"];
/// Of these only workers can.
const OF_WORKERS: [&str; 5] = ["attempt", "quota", "http", "http-async", "exec"];
/// The version that wasmtime-wasi links. Others of 0.2 are taken for it.
pub(super) const WASI_VERSION: &str = "0.2.12";
/// The interfaces of WASI that are linked, by package.
const WASI: [(&str, &[&str]); 7] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:http", &["outgoing-handler", "types"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    (
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// The interfaces of a package of WASI; none: it is none that the host knows.
fn of_wasi(package: &str) -> Option<&'static [&'static str]> {
    let found = WASI.iter().find(|(name, _)| *name == package);
    found.map(|(_, interfaces)| *interfaces)
}

/// What calls to an import are good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// They do what they say, for whoever calls them.
    Free,
    /// Only in an operation; elsewhere the call is a failure.
    OfOperations,
    /// Only in a worker.
    OfWorkers,
    /// Only in a worker, and only with a grant: this flag, which opens this.
    Granted(&'static str, &'static str),
    /// They are refused, and nothing can open what is behind them.
    Closed,
    /// Nobody provides them: they trap. What was perhaps meant instead.
    Missing(Option<String>),
}

impl Use {
    /// Of an import of a component, by its name.
    pub(crate) fn of(name: &str) -> Self {
        if !is_known(name) {
            return Self::Missing(instead(name));
        }
        let (package, interface, _) = parts(name);
        match (package, interface) {
            ("wasi:filesystem", _) => Self::Granted("--dir", "folders"),
            ("wasi:cli", "environment") => Self::Granted("--env", "environment variables"),
            ("disperse:guest", "http" | "http-async") | ("wasi:http", "outgoing-handler") => {
                Self::Granted("--http", "requests to servers")
            }
            ("disperse:guest", "exec") => Self::Granted("--exec", "programs of the machine"),
            ("disperse:guest", _) if OF_OPERATIONS.contains(&interface) => Self::OfOperations,
            ("disperse:guest", _) if OF_WORKERS.contains(&interface) => Self::OfWorkers,
            ("wasi:sockets", _) => Self::Closed,
            _ => Self::Free,
        }
    }
}

/// The name under which the host has an import that only workers may call; none if others may call it too.
pub(super) fn of_workers(name: &str) -> Option<String> {
    match parts(name) {
        ("disperse:guest", interface, _) if OF_WORKERS.contains(&interface) => {
            Some(format!("disperse:guest/{interface}@{}", super::imports::VERSION))
        }
        ("wasi:http", interface, _) if is_known(name) => Some(format!("wasi:http/{interface}@{WASI_VERSION}")),
        _ => None,
    }
}

/// The parts of `package/interface@version`; those that are not there are empty.
fn parts(name: &str) -> (&str, &str, &str) {
    let (package, rest) = name.split_once('/').unwrap_or((name, ""));
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    (package, interface, version)
}

/// Whether the host provides an import of this name.
pub(super) fn is_known(name: &str) -> bool {
    if name == EXIT.0 {
        // Of a core module that was made a component here.
        return true;
    }
    match parts(name) {
        ("disperse:guest", interface, version) => OURS.contains(&interface) && version.starts_with("0.1."),
        (package, interface, version) => {
            version.starts_with("0.2.") && of_wasi(package).is_some_and(|known| known.contains(&interface))
        }
    }
}

/// Whether a component could be made of a core module that imports from this module.
pub(super) fn is_known_to_modules(module: &str) -> bool {
    // What has a `$` or a bracket is of the component model itself.
    matches!(module, "wasi_snapshot_preview1" | "wasi_unstable") || module.starts_with(['$', '[']) || is_known(module)
}

/// Whether this is an interface of ours of a version that this host does not serve.
pub(super) fn is_newer(name: &str) -> bool {
    name.starts_with("disperse:guest/")
        && name
            .split_once('@')
            .is_some_and(|(_, version)| !version.starts_with("0.1."))
}

/// What somebody meant who imports what nobody provides.
fn instead(name: &str) -> Option<String> {
    let (package, interface, version) = parts(name);
    let near = |known: &[&str]| {
        let known: Vec<_> = known.iter().map(|known| (*known).to_owned()).collect();
        let near = nearest(interface, &known).filter(|near| *near != interface)?;
        Some(format!("`{near}` is near"))
    };
    if package == "disperse:guest" {
        return if is_newer(name) {
            Some("this host serves 0.1".to_owned())
        } else {
            near(&OURS)
        };
    }
    match of_wasi(package) {
        Some(_) if !version.starts_with("0.2.") => Some("this host has WASI 0.2".to_owned()),
        Some(known) => near(known),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_named_with_what_it_needs() {
        let dir = Use::Granted("--dir", "folders");
        for (name, wanted) in [
            ("wasi:filesystem/types@0.2.6", dir),
            ("wasi:sockets/tcp@0.2.0", Use::Closed),
            ("wasi:io/poll@0.2.0", Use::Free),
            ("disperse:guest/host@0.1.0", Use::OfOperations),
            ("disperse:guest/quota@0.1.3", Use::OfWorkers),
            (
                "wasi:http/incoming-handler@0.2.0",
                Use::Missing(Some("`outgoing-handler` is near".into())),
            ),
            (
                "wasi:cli/stdin@0.3.0",
                Use::Missing(Some("this host has WASI 0.2".into())),
            ),
            (
                "wasi:cli/environmant@0.2.0",
                Use::Missing(Some("`environment` is near".into())),
            ),
            (
                "disperse:guest/atempt@0.1.0",
                Use::Missing(Some("`attempt` is near".into())),
            ),
            ("", Use::Missing(None)),
        ] {
            assert_eq!(Use::of(name), wanted, "{name}");
        }
    }
}
