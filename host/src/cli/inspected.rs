//! What `inspect --format json` says of a file.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{error::Failure, facts::Facts};
use crate::{
    sandbox::{EngineKind, LoadError},
    settings::Ask,
};

/// One line of `inspect --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Line {
    /// A file of WebAssembly, of use here or not.
    Component(Box<Inspected>),
    /// A manifest, before its components.
    Manifest {
        path: String,
        /// Whether it is trusted as it is now: see `disperse-host trust`.
        trusted: bool,
        /// What it asks for, and is given only if it is trusted.
        asks: Vec<Ask>,
    },
    /// A file that cannot be read, or is no valid WebAssembly.
    Failed {
        path: String,
        /// What stderr says too.
        message: String,
    },
}

/// What a file of WebAssembly is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Inspected {
    path: String,
    /// The file's SHA-256.
    sha256: String,
    /// The file's size.
    bytes: usize,
    /// Whether it is a core module, of which a component is made when it is loaded.
    core_module: bool,
    /// In which language it is written, if that is recorded.
    language: Option<String>,
    /// What made it, as far as that is recorded.
    producers: Vec<String>,
    /// How it is called as an operation; null: it is none.
    operation: Option<Called>,
    /// How it is called as a worker; null: it is none.
    worker: Option<Called>,
    /// Whether it is a program of WASI, run once for each action.
    program: bool,
    /// The worlds of the contract that it has.
    worlds: Vec<String>,
    /// What it imports; of the core module if no component can be made of it. At most 512 KiB of names, of which one that is
    /// longer than 1 KiB is cut.
    imports: Vec<Imported>,
    /// How many more it imports.
    #[serde(default)]
    more_imports: usize,
    /// What it exports, each with its type. At most 512 KiB of names and types, of which a name that is longer than 1 KiB and a
    /// type that is longer than 2 KiB is cut.
    exports: BTreeMap<String, String>,
    /// How many more it exports.
    #[serde(default)]
    more_exports: usize,
    /// Exports that were perhaps meant to be one of the contract.
    misspelt: Vec<Misspelt>,
    /// By flag, what holds unless set otherwise.
    limits: BTreeMap<String, String>,
    /// The flags that open something behind what it imports.
    grants: Vec<String>,
    /// Why it is of no use here; null: it is.
    error: Option<String>,
    /// What can be done about that.
    hint: Option<String>,
}

/// How functions of the contract are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Called {
    Blocking,
    Async,
}

impl From<EngineKind> for Called {
    fn from(form: EngineKind) -> Self {
        match form {
            EngineKind::Blocking => Self::Blocking,
            EngineKind::Async => Self::Async,
        }
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Imported {
    name: String,
    /// Whether the host provides it.
    known: bool,
    /// The flag that opens what is behind it.
    grant: Option<String>,
    /// What calling it comes to, unless it simply does what it says.
    note: Option<String>,
}

/// An export that is near one of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Misspelt {
    export: String,
    meant: String,
}

/// The schema of one line.
pub(super) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

impl Line {
    pub(super) fn failed(path: &Path, failure: &Failure) -> Self {
        Self::Failed {
            path: path.display().to_string(),
            message: failure.text(),
        }
    }

    pub(super) fn of(path: &Path, facts: &Facts, limits: impl Iterator<Item = (&'static str, String)>) -> Self {
        let imported = facts.shape.imports.iter().map(|import| {
            let note = facts.note(import);
            Imported {
                name: import.name.clone(),
                known: import.known,
                grant: note.as_ref().and_then(|note| note.grant).map(str::to_owned),
                note: note.map(|note| note.text),
            }
        });
        let misspelt = facts.misspelt();
        let misspelt = misspelt.iter().map(|(export, meant)| Misspelt {
            export: (*export).to_owned(),
            meant: (*meant).to_owned(),
        });
        let error = facts.contract.as_ref().err();
        let contract = facts.contract.as_ref().ok();
        Self::Component(Box::new(Inspected {
            path: path.display().to_string(),
            sha256: facts.digest.to_string(),
            bytes: facts.size,
            core_module: facts.module,
            language: facts.origin.language.clone(),
            producers: facts.origin.producers.clone(),
            operation: contract.and_then(|contract| contract.operation).map(EngineKind::into),
            worker: contract.and_then(|contract| contract.worker).map(EngineKind::into),
            program: facts.is_program(),
            worlds: facts.worlds().into_iter().map(str::to_owned).collect(),
            imports: imported.collect(),
            more_imports: facts.shape.more_imports,
            exports: facts.shape.exports.clone(),
            more_exports: facts.shape.more_exports,
            misspelt: misspelt.collect(),
            limits: limits.map(|(flag, what)| (flag.to_owned(), what)).collect(),
            grants: facts.grants().into_iter().map(|(flag, _)| flag.to_owned()).collect(),
            error: error.map(ToString::to_string),
            hint: error.and_then(LoadError::hint).map(str::to_owned),
        }))
    }
}
