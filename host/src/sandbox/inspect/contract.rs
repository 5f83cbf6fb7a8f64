//! Which roles a component can play, read from the component itself without compiling it.

use std::{collections::BTreeMap, fmt};

use super::{
    features,
    known::is_newer,
    shape::{Import, Shape},
};
use crate::{sandbox::engine::Form, text::shown, units::nearest};

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
const PROGRAM: &str = "wasi:cli/run@";
/// What this version begins with.
const PROGRAM_VERSIONS: [&str; 2] = ["0.2.", "0.3."];
/// The ones that an async world makes async.
const MAY_BE_ASYNC: [&str; 2] = ["run", "handle"];

/// What a component is, as far as it can be told without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contract {
    /// Whether it exports an operation, and in which form.
    pub(crate) operation: Option<Form>,
    /// Whether it is a worker, and in which form.
    pub(crate) worker: Option<Form>,
    /// The export that makes a worker of a program that knows nothing of ours, if it is one.
    pub(crate) program: Option<String>,
    /// Which engine it needs.
    pub(crate) engine: Form,
    /// Whether there are components in it that call each other.
    pub(crate) composed: bool,
    /// Whether there are objects in it that are collected: structs, arrays and exceptions.
    pub(crate) collects: bool,
    /// Names of what it imports, sorted, each with whether the host knows it.
    pub(crate) imports: Vec<Import>,
    /// Exports and their types, sorted by name.
    pub(crate) exports: BTreeMap<String, String>,
}

/// What to do about a component that is not valid.
pub(crate) const INVALID_HINT: &str =
    "the file may be cut short, or was not written by a current toolchain; build it again";

/// What to do about a file that takes too much to be inspected.
pub(crate) const EXCESSIVE_HINT: &str = "no toolchain is known whose components come near this limit; is it the file that your \
                                         build wrote?";

/// Why a file cannot be used. Every variant says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContractError {
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    #[error("this component is not valid: {0}")]
    Invalid(String),
    /// It needs a feature of WebAssembly that is off.
    #[error("this component is not valid here: {0}")]
    Feature(String),
    /// It is over a bound of what is inspected.
    #[error("{0}")]
    Excessive(String),
    #[error(
        "this component was built for {found}, and this host serves disperse:guest@{}",
        crate::sandbox::imports::VERSION
    )]
    Version { found: String },
    #[error("this component exports neither an operation nor a worker{}", Listed(.0))]
    NoRole(Vec<String>),
    #[error(
        "this component exports an operation and has exceptions or garbage-collected types, which only workers may have: a \
         collection burns no fuel, and planners and tasks have no other limit on their time"
    )]
    Collects,
    #[error("this component exports only a part of {role}{}", Listed(.problems))]
    Partial { role: &'static str, problems: Vec<String> },
}

impl ContractError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotWasm => "give the .wasm file that your build wrote, or the folder of the project",
            Self::Invalid(why) | Self::Feature(why) => features::hint(why).unwrap_or(INVALID_HINT),
            Self::Collects => "build the operation without them, or move what needs them into a worker",
            Self::Excessive(_) => EXCESSIVE_HINT,
            Self::Version { .. } => "build it against the WIT of this host, or use a newer host",
            Self::NoRole(_) => "export the functions of one of the worlds in wit/disperse.wit, for instance `worker`",
            Self::Partial { .. } => "a role counts when all of its exports fit; see wit/disperse.wit",
        }
    }
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Contract {
    /// The contract of a component with this shape.
    ///
    /// # Errors
    /// It is no component of this contract; says what it is instead, or which exports do not fit and how.
    pub(crate) fn of_shape(shape: Shape) -> Result<Self, ContractError> {
        let Shape {
            engine,
            composed,
            collects,
            imports,
            exports,
            forms,
            runs,
            ..
        } = shape;
        if let Some(import) = imports.iter().find(|import| is_newer(&import.name)) {
            let found = import.name.clone();
            return Err(ContractError::Version { found });
        }
        let operation = role(&exports, &forms, "an operation", &OPERATION)?;
        let worker = role(&exports, &forms, "a worker", &WORKER)?;
        if operation.is_some() && collects {
            return Err(ContractError::Collects);
        }
        let is_program = |(name, _): &(&String, &Form)| {
            let version = name.strip_prefix(PROGRAM);
            version.is_some_and(|version| PROGRAM_VERSIONS.iter().any(|known| version.starts_with(known)))
        };
        let program = match (operation, worker) {
            // Of several versions the newest: what is built for 0.3 can have a `main` of 0.2 that does nothing.
            (None, None) => runs.iter().rfind(is_program),
            _ => None,
        };
        if operation.is_none() && worker.is_none() && program.is_none() {
            return Err(ContractError::NoRole(near_misses(&exports, &runs)));
        }
        Ok(Self {
            operation,
            worker: worker.or(program.map(|(_, form)| *form)),
            program: program.map(|(name, _)| name.clone()),
            engine,
            composed,
            collects,
            imports,
            exports,
        })
    }

    /// The worlds of wit/disperse.wit that it fits, most often one; `program` for a program of WASI.
    pub(crate) fn worlds(&self) -> Vec<&'static str> {
        if self.program.is_some() {
            return vec!["program"];
        }
        match (self.operation, self.worker) {
            (Some(Form::Blocking), Some(Form::Blocking)) => return vec!["both"],
            (Some(Form::Async), Some(Form::Async)) => return vec!["both-async"],
            _ => {}
        }
        let operation = self.operation.map(|form| match form {
            Form::Blocking => "operation",
            Form::Async => "operation-async",
        });
        let worker = self.worker.map(|form| match form {
            Form::Blocking => "worker",
            Form::Async => "worker-async",
        });
        operation.into_iter().chain(worker).collect()
    }
}

/// Whether an export of this name can be a part of the contract.
pub(crate) fn is_of_contract(name: &str) -> bool {
    let roles = OPERATION.iter().chain(&WORKER);
    name.starts_with(PROGRAM) || roles.into_iter().any(|(known, _)| *known == name)
}

/// Which form of a role a component has, if any.
fn role(
    exports: &BTreeMap<String, String>,
    forms: &BTreeMap<String, Form>,
    role: &'static str,
    wanted: &[(&str, &str)],
) -> Result<Option<Form>, ContractError> {
    let found = wanted.iter().filter(|(name, _)| exports.contains_key(*name)).count();
    if found == 0 {
        return Ok(None);
    }
    let mut form = Form::Blocking;
    let mut problems = Vec::new();
    for (name, ty) in wanted {
        let Some(have) = exports.get(*name) else {
            problems.push(match nearest(name, exports.keys()) {
                Some(near) => format!("`{name}` is missing; `{near}` is near"),
                None => format!("`{name}` is missing, {ty}"),
            });
            continue;
        };
        let is_async = forms.get(*name) == Some(&Form::Async);
        if is_async && MAY_BE_ASYNC.contains(name) {
            form = Form::Async;
        }
        let have = have
            .strip_prefix("async ")
            .filter(|_| MAY_BE_ASYNC.contains(name))
            .unwrap_or(have);
        if have != *ty {
            problems.push(format!("`{name}` is {have}\n    wanted {ty}"));
        }
    }
    if problems.is_empty() {
        Ok(Some(form))
    } else {
        Err(ContractError::Partial { role, problems })
    }
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

/// What the exports look like that were perhaps meant to be a role.
fn near_misses(exports: &BTreeMap<String, String>, runs: &BTreeMap<String, Form>) -> Vec<String> {
    let mut lines: Vec<String> = misspelt(exports.keys())
        .into_iter()
        .map(|(near, name)| format!("`{}` is near `{name}`", shown(near)))
        .collect();
    lines.extend(exports.keys().take(8).map(|name| match name.split_once('@') {
        Some(("wasi:cli/run", _)) if !runs.contains_key(name) => {
            format!("it exports `{name}`: a program, but there is no function `run` in it that takes nothing")
        }
        Some(("wasi:cli/run", _)) => format!("it exports `{name}`: a program, but not of WASI 0.2 or 0.3"),
        Some(("wasi:http/incoming-handler", _)) => {
            format!("it exports `{name}`: a server, and nothing here sends requests to guests")
        }
        _ => format!("it exports `{}`", shown(name)),
    }));
    lines
}
