//! The roles that a component implements, read from its exports without compiling it.

use std::collections::BTreeMap;

use super::{
    error::ContractError,
    exports::{MAY_BE_ASYNC, OPERATION, PROGRAM, PROGRAM_VERSIONS, WORKER, misspelt},
    known::is_newer,
    shape::{Import, Shape},
};
use crate::engine::EngineKind;
use disperse_protocol::{text::shown, units::nearest};

/// The contract that a component implements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The form of its operation, if it exports one.
    pub operation: Option<EngineKind>,
    /// The form of its worker, if it is one.
    pub worker: Option<EngineKind>,
    /// The export `wasi:cli/run`, if it is a plain program that runs as a worker.
    pub program: Option<String>,
    /// The engine that it needs.
    pub engine: EngineKind,
    /// Whether nested components in it call each other.
    pub composed: bool,
    /// Whether it has garbage-collected objects: structs, arrays and exceptions.
    pub collects: bool,
    /// Its imports, sorted by name.
    pub imports: Vec<Import>,
    /// Exports and their types, sorted by name.
    pub exports: BTreeMap<String, String>,
}

impl Contract {
    /// The contract of a component with this shape.
    ///
    /// # Errors
    /// It implements no role. The error lists its exports, or those that do not match.
    pub fn of_shape(shape: Shape) -> Result<Self, ContractError> {
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
        let is_program = |(name, _): &(&String, &EngineKind)| {
            let version = name.strip_prefix(PROGRAM);
            version.is_some_and(|version| PROGRAM_VERSIONS.iter().any(|known| version.starts_with(known)))
        };
        let program = match (operation, worker) {
            // Of several versions the newest: a program for 0.3 can have an empty `main` of 0.2.
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

    /// The worlds of wit/disperse.wit that it implements, usually one; `program` for a program of WASI.
    pub fn worlds(&self) -> Vec<&'static str> {
        if self.program.is_some() {
            return vec!["program"];
        }
        match (self.operation, self.worker) {
            (Some(EngineKind::Blocking), Some(EngineKind::Blocking)) => return vec!["both"],
            (Some(EngineKind::Async), Some(EngineKind::Async)) => return vec!["both-async"],
            _ => {}
        }
        let operation = self.operation.map(|form| match form {
            EngineKind::Blocking => "operation",
            EngineKind::Async => "operation-async",
        });
        let worker = self.worker.map(|form| match form {
            EngineKind::Blocking => "worker",
            EngineKind::Async => "worker-async",
        });
        operation.into_iter().chain(worker).collect()
    }
}

/// The form in which a component implements a role, if it does.
fn role(
    exports: &BTreeMap<String, String>,
    forms: &BTreeMap<String, EngineKind>,
    role: &'static str,
    wanted: &[(&str, &str)],
) -> Result<Option<EngineKind>, ContractError> {
    let found = wanted.iter().filter(|(name, _)| exports.contains_key(*name)).count();
    if found == 0 {
        return Ok(None);
    }
    let mut form = EngineKind::Blocking;
    let mut problems = Vec::new();
    for (name, ty) in wanted {
        let Some(have) = exports.get(*name) else {
            problems.push(match nearest(name, exports.keys()) {
                Some(near) => format!("`{name}` is missing; `{near}` is near"),
                None => format!("`{name}` is missing, {ty}"),
            });
            continue;
        };
        let is_async = forms.get(*name) == Some(&EngineKind::Async);
        if is_async && MAY_BE_ASYNC.contains(name) {
            form = EngineKind::Async;
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

/// Lines that describe exports that may have been meant for a role.
fn near_misses(exports: &BTreeMap<String, String>, runs: &BTreeMap<String, EngineKind>) -> Vec<String> {
    let mut lines: Vec<String> = misspelt(exports.keys())
        .into_iter()
        .map(|(near, name)| format!("`{}` is near `{name}`", shown(near)))
        .collect();
    lines.extend(exports.keys().take(8).map(|name| match name.split_once('@') {
        Some(("wasi:cli/run", _)) if !runs.contains_key(name) => {
            format!("it exports `{name}`: a program, but without a function `run` that takes no parameters")
        }
        Some(("wasi:cli/run", _)) => format!("it exports `{name}`: a program, but not of WASI 0.2 or 0.3"),
        Some(("wasi:http/incoming-handler", _)) => {
            format!("it exports `{name}`: a server, but this host sends no requests to guests")
        }
        _ => format!("it exports `{}`", shown(name)),
    }));
    lines
}
