//! Describes a WebAssembly file without running it, whether or not it is usable.

use std::path::Path;

use crate::{
    cli::{console::Failure, loading::unusable},
    digest::Digest,
    sandbox::{Contract, EngineKind, Import, LoadError, Origin, Shape, Use, inspect, is_module, misspelt},
};

/// The results of inspecting a file.
pub(super) struct ComponentReport {
    pub(super) digest: Digest,
    pub(super) size: usize,
    /// Whether it is a core module, which is made into a component when it is loaded.
    pub(super) module: bool,
    pub(super) origin: Origin,
    /// Imports and exports of the component; of the core module if no component can be made from it.
    pub(super) shape: Shape,
    /// The roles that it has, or why it is unusable.
    pub(super) contract: Result<Contract, LoadError>,
}

/// A note on an import.
pub(super) struct Note {
    pub(super) text: String,
    pub(super) grant: Option<&'static str>,
}

impl ComponentReport {
    /// Inspects a file.
    ///
    /// # Errors
    /// It is not WebAssembly, not valid, or takes too much to be inspected.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let inspection = inspect(bytes).map_err(|error| unusable(path, &error))?;
        Ok(Self {
            digest: Digest::of(bytes),
            size: bytes.len(),
            module: is_module(bytes),
            contract: inspection.contract(),
            origin: inspection.origin,
            shape: inspection.shape,
        })
    }

    /// Whether the results are those of the core module itself, because no component can be made from it.
    fn is_bare(&self) -> bool {
        matches!(self.contract, Err(LoadError::Module(_)))
    }

    /// Its roles, and the kind of its functions in each.
    pub(super) fn roles(&self) -> impl Iterator<Item = (&'static str, EngineKind)> {
        let contract = self.contract.as_ref().ok();
        let operation = contract.and_then(|contract| contract.operation);
        let worker = contract.and_then(|contract| contract.worker);
        [("operation", operation), ("worker", worker)]
            .into_iter()
            .filter_map(|(role, form)| Some((role, form?)))
    }

    pub(super) fn is_program(&self) -> bool {
        self.contract.as_ref().is_ok_and(|contract| contract.program.is_some())
    }

    pub(super) fn worlds(&self) -> Vec<&'static str> {
        self.contract.as_ref().map(Contract::worlds).unwrap_or_default()
    }

    /// Exports that resemble one of the contract, each with that one.
    pub(super) fn misspelt(&self) -> Vec<(&str, &'static str)> {
        misspelt(self.shape.exports.keys())
    }

    /// The effect of calling an import, unless it is the documented one.
    pub(super) fn note(&self, import: &Import) -> Option<Note> {
        let contract = self.contract.as_ref().ok();
        let operates = contract.is_none_or(|contract| contract.operation.is_some());
        // An operation's planner and tasks have no grants.
        let works = contract.is_none_or(|contract| contract.worker.is_some());
        let (text, grant) = match Use::of(&import.name) {
            _ if self.is_bare() && import.known => return None,
            _ if self.is_bare() => ("unknown: no component can be made with it".to_owned(), None),
            Use::Missing(Some(instead)) => (format!("not provided: traps when called; {instead}"), None),
            Use::Missing(None) => ("not provided: traps when called".to_owned(), None),
            Use::Granted(flag, what) if works => (format!("{what}, with {flag}"), Some(flag)),
            Use::Granted(..) => ("operations have no grants".to_owned(), None),
            Use::OfWorkers if !works => ("for workers: fails in an operation".to_owned(), None),
            Use::OfOperations if !operates => ("for operations: fails in a worker".to_owned(), None),
            Use::Closed => ("not available: no grant opens sockets".to_owned(), None),
            Use::Free | Use::OfWorkers | Use::OfOperations => return None,
        };
        Some(Note { text, grant })
    }

    /// The flags that grant what a worker's imports need. An import need not be used: some languages import all of WASI.
    pub(super) fn grants(&self) -> Vec<(&'static str, &'static str)> {
        const ORDER: [&str; 4] = ["--dir", "--env", "--http", "--exec"];
        let worker = self.contract.as_ref().is_ok_and(|contract| contract.worker.is_some());
        let imports = self.shape.imports.iter().filter(|_| worker);
        let mut found: Vec<_> = imports
            .filter_map(|import| match Use::of(&import.name) {
                Use::Granted(flag, what) => Some((flag, what)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|(flag, _)| ORDER.iter().position(|other| other == flag));
        found.dedup();
        found
    }
}
