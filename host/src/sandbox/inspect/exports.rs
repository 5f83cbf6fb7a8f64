//! The exports of the contract.

use crate::units::nearest;

/// The exports of the contract and their types. The parameters' names do not count.
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
/// What any program of WASI exports, before its version.
pub(crate) const PROGRAM: &str = "wasi:cli/run@";
/// What this version begins with.
pub(crate) const PROGRAM_VERSIONS: [&str; 2] = ["0.2.", "0.3."];
/// The ones that an async world makes async.
pub(crate) const MAY_BE_ASYNC: [&str; 2] = ["run", "handle"];

/// Whether an export of this name can be a part of the contract.
pub(crate) fn is_of_contract(name: &str) -> bool {
    let roles = OPERATION.iter().chain(&WORKER);
    name.starts_with(PROGRAM) || roles.into_iter().any(|(known, _)| *known == name)
}

/// Exports that look like a misspelt one of the contract that is missing, each with that one.
pub(crate) fn misspelt<'a>(exports: impl Iterator<Item = &'a String> + Clone) -> Vec<(&'a str, &'static str)> {
    let has = |name: &str| exports.clone().any(|export| export == name);
    let roles = [&OPERATION[..], &WORKER[..]];
    let fits = roles.map(|role| role.iter().all(|(name, _)| has(name)));
    // Who has one role whole, and of another nothing, did not mean that one.
    let meant = roles
        .into_iter()
        .filter(|role| !fits.contains(&true) || role.iter().any(|(name, _)| has(name)));
    let missing = meant.flatten().map(|(name, _)| *name);
    missing
        .filter(|name| !has(name))
        .filter_map(|name| Some((nearest(name, exports.clone())?, name)))
        .collect()
}
