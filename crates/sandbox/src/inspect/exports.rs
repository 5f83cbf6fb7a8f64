//! The exports of the contract.

use disperse_protocol::units::nearest;

/// The exports of each role and their types, without the names of parameters.
pub(crate) const OPERATION: [(&str, &str); 4] = [
    ("next", "func() -> option<list<u8>>"),
    ("run", "func(list<u8>) -> result<list<u8>, string>"),
    ("collect", "func(list<u8>, result<list<u8>, string>)"),
    ("finish", "func() -> result<_, string>"),
];
pub(crate) const WORKER: [(&str, &str); 1] = [(
    "handle",
    "func(record { kind: string, payload: list<u8> }) -> result<list<u8>, variant { retryable(string), \
     permanent(string), busy(u32), unfit(string) }>",
)];
/// The export of every program of WASI, without the version.
pub(crate) const PROGRAM: &str = "wasi:cli/run@";
/// The prefixes of supported versions of that export.
pub(crate) const PROGRAM_VERSIONS: [&str; 2] = ["0.2.", "0.3."];
/// The exports that are async in an async world.
pub(crate) const MAY_BE_ASYNC: [&str; 2] = ["run", "handle"];

/// Whether an export of this name can be part of the contract.
pub(crate) fn is_of_contract(name: &str) -> bool {
    let roles = OPERATION.iter().chain(&WORKER);
    name.starts_with(PROGRAM) || roles.into_iter().any(|(known, _)| *known == name)
}

/// Exports that may be misspelt ones of the contract, each with the missing export that it resembles.
pub fn misspelt<'a>(exports: impl Iterator<Item = &'a String> + Clone) -> Vec<(&'a str, &'static str)> {
    let has = |name: &str| exports.clone().any(|export| export == name);
    let roles = [&OPERATION[..], &WORKER[..]];
    let fits = roles.map(|role| role.iter().all(|(name, _)| has(name)));
    // If one role is complete, roles without any export were not intended.
    let meant = roles
        .into_iter()
        .filter(|role| !fits.contains(&true) || role.iter().any(|(name, _)| has(name)));
    let missing = meant.flatten().map(|(name, _)| *name);
    missing
        .filter(|name| !has(name))
        .filter_map(|name| Some((nearest(name, exports.clone())?, name)))
        .collect()
}
