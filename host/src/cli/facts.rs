//! What can be said of a file of WebAssembly without running it, whether or not it can be used.

use std::path::Path;

use super::{error::Failure, plan};
use crate::{
    digest::Digest,
    sandbox::{Contract, EngineKind, Import, LoadError, Origin, Shape, Use, inspect, is_module, misspelt},
};

/// What is known of a file.
pub(super) struct Facts {
    pub(super) digest: Digest,
    pub(super) size: usize,
    /// Whether it is a core module, of which a component is made when it is loaded.
    pub(super) module: bool,
    pub(super) origin: Origin,
    /// Of the component; of the core module if none can be made of it.
    pub(super) shape: Shape,
    /// What it is good for, or why it is not.
    pub(super) contract: Result<Contract, LoadError>,
}

/// A line about an import.
pub(super) struct Note {
    pub(super) text: String,
    pub(super) grant: Option<&'static str>,
}

impl Facts {
    /// Inspects a file.
    ///
    /// # Errors
    /// It is not WebAssembly, not valid, or takes too much to be inspected.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let inspection = inspect(bytes).map_err(|error| plan::unusable(path, &error))?;
        Ok(Self {
            digest: Digest::of(bytes),
            size: bytes.len(),
            module: is_module(bytes),
            contract: inspection.contract(),
            origin: inspection.origin,
            shape: inspection.shape,
        })
    }

    /// Whether what is known is of the core module itself, because there is no component.
    fn is_bare(&self) -> bool {
        matches!(self.contract, Err(LoadError::Module(_)))
    }

    /// What it can be, and the form of its functions as that.
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

    /// Exports that were perhaps meant to be one of the contract, each with that one.
    pub(super) fn misspelt(&self) -> Vec<(&str, &'static str)> {
        misspelt(self.shape.exports.keys())
    }

    /// What calling an import comes to, unless it simply does what it says.
    pub(super) fn note(&self, import: &Import) -> Option<Note> {
        let contract = self.contract.as_ref().ok();
        let operates = contract.is_none_or(|contract| contract.operation.is_some());
        // Nothing is ever open to an operation's planner and tasks.
        let works = contract.is_none_or(|contract| contract.worker.is_some());
        let (text, grant) = match Use::of(&import.name) {
            _ if self.is_bare() && import.known => return None,
            _ if self.is_bare() => ("not there: no component can be made with it".to_owned(), None),
            Use::Missing(Some(instead)) => (format!("not provided: traps when called; {instead}"), None),
            Use::Missing(None) => ("not provided: traps when called".to_owned(), None),
            Use::Granted(flag, what) if works => (format!("{what}, with {flag}"), Some(flag)),
            Use::Granted(..) => ("nothing is open to an operation".to_owned(), None),
            Use::OfWorkers if !works => ("for workers: refused in an operation".to_owned(), None),
            Use::OfOperations if !operates => ("for operations: refused in a worker".to_owned(), None),
            Use::Closed => ("not available: no grant opens sockets".to_owned(), None),
            Use::Free | Use::OfWorkers | Use::OfOperations => return None,
        };
        Some(Note { text, grant })
    }

    /// The flags that open something behind what a worker imports. Importing is not using: some languages import all of WASI.
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
