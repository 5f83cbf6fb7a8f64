//! The imports that the host provides, and the grants that they need.

use disperse_protocol::units::nearest;

/// The version of the package `disperse:guest` that the host serves.
pub(crate) const VERSION: &str = "0.1.0";

/// The interface and function that replace `proc_exit` of WASI 0.1.
pub(crate) const EXIT: (&str, &str) = ("disperse:adapter/exit@0.1.0", "exit");

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
/// Those that only operations may call.
const OF_OPERATIONS: [&str; 3] = ["output", "host", "host-async"];
/// Those that only workers may call.
const OF_WORKERS: [&str; 5] = ["attempt", "quota", "http", "http-async", "exec"];
/// The version that wasmtime-wasi links. It also serves imports of other versions of 0.2.
pub(crate) const WASI_VERSION: &str = "0.2.12";
/// The same for 0.3.
const WASI_3_VERSION: &str = "0.3.0";
/// The interfaces of one version of WASI, by package.
type Wasi = [(&'static str, &'static [&'static str])];
/// The interfaces of WASI 0.2 that are linked, by package.
const WASI: &Wasi = &[
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

/// The interfaces of WASI 0.3 that are linked, by package, on the engine with component-model async.
const WASI_3: &Wasi = &[
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
            "types",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "system-clock", "types"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:http", &["client", "types"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    ("wasi:sockets", &["ip-name-lookup", "types"]),
];

/// The interfaces of a package of WASI, and whether this version is linked. None: it is not a package of WASI.
fn of_wasi(package: &str, version: &str) -> Option<(&'static [&'static str], bool)> {
    let of = |wasi: &'static Wasi| {
        let found = wasi.iter().find(|(name, _)| *name == package);
        found.map(|(_, interfaces)| *interfaces)
    };
    if is_wasi_3(version) {
        return of(WASI_3).map(|interfaces| (interfaces, true));
    }
    of(WASI).map(|interfaces| (interfaces, version.starts_with("0.2.")))
}

fn is_wasi_3(version: &str) -> bool {
    version.starts_with("0.3.")
}

/// Whether an import of this name needs the engine with component-model async, where WASI 0.3 is linked.
pub(crate) fn needs_async(name: &str) -> bool {
    let (package, _, version) = parts(name);
    package.starts_with("wasi:") && is_wasi_3(version)
}

/// The conditions under which calls to an import work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// They work in every role.
    Free,
    /// Only in an operation; elsewhere the call traps.
    OfOperations,
    /// Only in a worker.
    OfWorkers,
    /// Only in a worker, and only with a grant: the flag, and what it grants.
    Granted(&'static str, &'static str),
    /// They always fail: no grant exists for them.
    Closed,
    /// The host does not provide them: they trap. With a suggestion, if there is one.
    Missing(Option<String>),
}

impl Use {
    /// The conditions for an import of a component, by its name.
    pub fn of(name: &str) -> Self {
        if !is_known(name) {
            return Self::Missing(instead(name));
        }
        let (package, interface, _) = parts(name);
        match (package, interface) {
            ("wasi:filesystem", _) => Self::Granted("--dir", "folders"),
            ("wasi:cli", "environment") => Self::Granted("--env", "environment variables"),
            ("disperse:guest", "http" | "http-async") | ("wasi:http", "outgoing-handler" | "client") => {
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

/// The name under which the host links an import that only workers may call. None: other roles may call it too.
pub(crate) fn worker_interface(name: &str) -> Option<String> {
    match parts(name) {
        ("disperse:guest", interface, _) if OF_WORKERS.contains(&interface) => {
            Some(format!("disperse:guest/{interface}@{}", VERSION))
        }
        ("wasi:http", interface, version) if is_known(name) => {
            let linked = if is_wasi_3(version) {
                WASI_3_VERSION
            } else {
                WASI_VERSION
            };
            Some(format!("wasi:http/{interface}@{linked}"))
        }
        _ => None,
    }
}

/// The parts of `package/interface@version`; missing parts are empty.
fn parts(name: &str) -> (&str, &str, &str) {
    let (package, rest) = name.split_once('/').unwrap_or((name, ""));
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    (package, interface, version)
}

/// Whether the host provides an import of this name.
pub(crate) fn is_known(name: &str) -> bool {
    if name == EXIT.0 {
        // Imported by components that were made of core modules.
        return true;
    }
    match parts(name) {
        ("disperse:guest", interface, version) => OURS.contains(&interface) && version.starts_with("0.1."),
        (package, interface, version) => {
            let known = of_wasi(package, version);
            known.is_some_and(|(known, is_linked)| is_linked && known.contains(&interface))
        }
    }
}

/// Whether the host can provide imports from this module for a core module.
pub(crate) fn is_known_to_modules(module: &str) -> bool {
    // Names with a `$` or a bracket belong to the component model itself.
    matches!(module, "wasi_snapshot_preview1" | "wasi_unstable") || module.starts_with(['$', '[']) || is_known(module)
}

/// Whether this is an interface of the contract in a version that this host does not serve.
pub(crate) fn is_newer(name: &str) -> bool {
    name.starts_with("disperse:guest/")
        && name
            .split_once('@')
            .is_some_and(|(_, version)| !version.starts_with("0.1."))
}

/// A suggestion for an unknown import, if there is one.
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
    match of_wasi(package, version) {
        Some((_, false)) => Some("this host has WASI 0.2 and 0.3".to_owned()),
        Some((known, true)) => near(known),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_imports_are_found_by_name() {
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
                "wasi:cli/stdin@0.4.0",
                Use::Missing(Some("this host has WASI 0.2 and 0.3".into())),
            ),
            ("wasi:cli/stdin@0.3.0", Use::Free),
            ("wasi:sockets/types@0.3.0", Use::Closed),
            (
                "wasi:clocks/system-clocks@0.3.0",
                Use::Missing(Some("`system-clock` is near".into())),
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
