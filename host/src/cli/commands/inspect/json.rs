//! The JSON output of `inspect`.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::ComponentReport;
use crate::{
    cli::console::Failure,
    sandbox::{EngineKind, LoadError},
    settings::Ask,
};

/// One line of `inspect --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Line {
    /// A WebAssembly file, usable or not.
    Component(Box<Inspected>),
    /// A manifest, before its components.
    Manifest {
        path: String,
        /// Whether it is trusted in this state: see `disperse-host trust`.
        trusted: bool,
        /// Its requests, which are granted only if it is trusted.
        asks: Vec<Ask>,
    },
    /// A file that cannot be read, or is not valid WebAssembly.
    Failed {
        path: String,
        /// The error, as stderr shows it.
        message: String,
    },
}

/// The description of a WebAssembly file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Inspected {
    path: String,
    /// The file's SHA-256.
    sha256: String,
    /// The file's size.
    bytes: usize,
    /// Whether it is a core module, which is made into a component when it is loaded.
    core_module: bool,
    /// The language of its source, if that is recorded.
    language: Option<String>,
    /// The tools that made it, as far as they are recorded.
    producers: Vec<String>,
    /// How its functions as an operation are called; null: it is not an operation.
    operation: Option<Called>,
    /// How its functions as a worker are called; null: it is not a worker.
    worker: Option<Called>,
    /// Whether it is a WASI program, which is run once for each action.
    program: bool,
    /// The worlds of the contract that it implements.
    worlds: Vec<String>,
    /// Its imports; those of the core module if no component can be made from it. At most 512 KiB of names; names over 1 KiB are
    /// cut.
    imports: Vec<Imported>,
    /// Number of further imports.
    #[serde(default)]
    more_imports: usize,
    /// Its exports, each with its type. At most 512 KiB of names and types; names over 1 KiB and types over 2 KiB are cut.
    exports: BTreeMap<String, String>,
    /// Number of further exports.
    #[serde(default)]
    more_exports: usize,
    /// Exports that resemble one of the contract.
    misspelt: Vec<Misspelt>,
    /// The default limits, by flag.
    limits: BTreeMap<String, String>,
    /// The flags that grant what its imports need.
    grants: Vec<String>,
    /// Why it is unusable; null: it is usable.
    error: Option<String>,
    /// A hint at what to do about the error.
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
    /// The flag that grants what it needs.
    grant: Option<String>,
    /// The effect of calling it, unless it is the documented one.
    note: Option<String>,
}

/// An export that resembles one of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Misspelt {
    export: String,
    meant: String,
}

/// The schema of one line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

impl Line {
    pub(super) fn failed(path: &Path, failure: &Failure) -> Self {
        Self::Failed {
            path: path.display().to_string(),
            message: failure.text(),
        }
    }

    pub(super) fn of(
        path: &Path,
        report: &ComponentReport,
        limits: impl Iterator<Item = (&'static str, String)>,
    ) -> Self {
        let imported = report.shape.imports.iter().map(|import| {
            let note = report.note(import);
            Imported {
                name: import.name.clone(),
                known: import.known,
                grant: note.as_ref().and_then(|note| note.grant).map(str::to_owned),
                note: note.map(|note| note.text),
            }
        });
        let misspelt = report.misspelt();
        let misspelt = misspelt.iter().map(|(export, meant)| Misspelt {
            export: (*export).to_owned(),
            meant: (*meant).to_owned(),
        });
        let error = report.contract.as_ref().err();
        let contract = report.contract.as_ref().ok();
        Self::Component(Box::new(Inspected {
            path: path.display().to_string(),
            sha256: report.digest.to_string(),
            bytes: report.size,
            core_module: report.module,
            language: report.origin.language.clone(),
            producers: report.origin.producers.clone(),
            operation: contract.and_then(|contract| contract.operation).map(EngineKind::into),
            worker: contract.and_then(|contract| contract.worker).map(EngineKind::into),
            program: report.is_program(),
            worlds: report.worlds().into_iter().map(str::to_owned).collect(),
            imports: imported.collect(),
            more_imports: report.shape.more_imports,
            exports: report.shape.exports.clone(),
            more_exports: report.shape.more_exports,
            misspelt: misspelt.collect(),
            limits: limits.map(|(flag, what)| (flag.to_owned(), what)).collect(),
            grants: report.grants().into_iter().map(|(flag, _)| flag.to_owned()).collect(),
            error: error.map(ToString::to_string),
            hint: error.and_then(LoadError::hint).map(str::to_owned),
        }))
    }
}
