//! Makes components of core modules, because the toolchains of many languages only produce modules.
//!
//! A module that exports functions of the contract, named as in C bindings, is a *reactor*. It gets the world of the
//! roles whose functions it exports, unless its toolchain has embedded types in it. A module that exports `_start` is a
//! *program*. Wasmtime's published adapters implement the WASI 0.1 imports of both (and earlier ones, see
//! `snapshot0.rs`) on WASI 0.2. Only the exit status bypasses them, because WASI 0.2 has none.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as WASI, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as FOR_PROGRAMS,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as FOR_REACTORS,
};
use wasm_encoder::{
    ImportSection, Module, RawSection,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{
    exports::{OPERATION, WORKER, misspelt},
    known::EXIT,
    snapshot0,
};
use disperse_protocol::text::shown;

/// The WIT of the contract, and of the worlds that are added to it here.
const CONTRACT: &str = include_str!("../../../../wit/disperse.wit");
const ADDED: &str = include_str!("adapt.wit");

/// The export of a program.
const START: &str = "_start";
/// The export of a library that is called before all others.
const INITIALIZE: &str = "_initialize";
/// The function with which a program of WASI 0.1 ends itself. It bypasses the adapter.
const PROC_EXIT: &str = "proc_exit";

/// Errors of making a component of a core module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdaptError {
    #[error("this core WebAssembly module is not valid: {0}")]
    Invalid(String),
    #[error(
        "this core WebAssembly module exports neither an operation nor a worker, nor is it a program with `_start`{0}"
    )]
    NoRole(String),
    #[error("this core WebAssembly module exports only a part of an operation: {0} missing")]
    Partial(String),
    #[error(
        "this core WebAssembly module exports {0}, but it is a program, with `_start`, and no library with `_initialize`: build \
         it as one (Go: `-buildmode=c-shared`, C: `-mexec-model=reactor`)"
    )]
    Program(&'static str),
    #[error("no component can be made of this core WebAssembly module: {0}")]
    Failed(String),
}

/// Whether these bytes begin like a core module.
pub fn is_module(bytes: &[u8]) -> bool {
    // The magic number, the version, and the layer: 0 is a module.
    bytes.starts_with(b"\0asm\x01\0\0\0")
}

/// A hash of everything that goes into a component in addition to the module. It changes when this program makes
/// components in another way.
pub(crate) fn version() -> u64 {
    let mut hasher = DefaultHasher::new();
    (CONTRACT, ADDED, FOR_PROGRAMS, FOR_REACTORS, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    hasher.finish()
}

/// The relevant content of a core module.
#[derive(Default)]
struct ModuleContent {
    exports: Vec<String>,
    /// Whether a toolchain has embedded component types in it.
    typed: bool,
    /// Whether it imports `proc_exit`.
    exits: bool,
}

/// Makes a component of a core module.
///
/// # Errors
/// It is invalid, exports no function of the contract, or has imports that are neither of the contract nor of WASI 0.1.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>, AdaptError> {
    let moved = snapshot0::on_snapshot_1(module).map_err(AdaptError::Invalid)?;
    let module = moved.as_deref().unwrap_or(module);
    let found = ModuleContent::of(module)?;
    let (world, adapter) = found.world()?;
    let mut module = if found.exits {
        past_adapter(module)?
    } else {
        module.to_vec()
    };
    let failed = |error: anyhow::Error| AdaptError::Failed(format!("{error:#}"));
    // A module with embedded types only gets the added imports.
    let world = if found.typed { "program" } else { world };
    if found.exits || world != "program" {
        let mut resolve = Resolve::default();
        resolve.push_source("disperse.wit", CONTRACT).map_err(failed)?;
        let package = resolve.push_source("adapt.wit", ADDED).map_err(failed)?;
        let world = resolve.select_world(&[package], Some(world)).map_err(failed)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(failed)?;
    }
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(WASI, adapter))
        // The component is validated when it is loaded.
        .and_then(|encoder| encoder.validate(false).encode())
        .map_err(failed)
}

impl ModuleContent {
    fn of(module: &[u8]) -> Result<Self, AdaptError> {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(invalid)? {
                Payload::Version {
                    encoding: Encoding::Component,
                    ..
                } => return Err(AdaptError::Invalid("it has a component in it".into())),
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(invalid)?;
                        found.exits |= (import.module, import.name) == (WASI, PROC_EXIT);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        found.exports.push(export.map_err(invalid)?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => found.typed |= section.name().starts_with("component-type"),
                _ => {}
            }
        }
        Ok(found)
    }

    fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export == name)
    }

    /// The world of the module, and the adapter that it needs.
    fn world(&self) -> Result<(&'static str, &'static [u8]), AdaptError> {
        let names = || OPERATION.iter().map(|(name, _)| *name);
        let worker = WORKER.iter().all(|(name, _)| self.exports(name));
        let missing: Vec<_> = names()
            .filter(|name| !self.exports(name))
            .map(|name| format!("`{name}`"))
            .collect();
        // Without `_initialize`, its functions would be called on uninitialised state.
        let is_program = self.exports(START) && !self.exports(INITIALIZE) && !self.typed;
        match (missing.len(), worker) {
            (0, _) if is_program => Err(AdaptError::Program("an operation")),
            (n, true) if is_program && n == OPERATION.len() => Err(AdaptError::Program("a worker")),
            (0, true) => Ok(("both", FOR_REACTORS)),
            (0, false) => Ok(("operation", FOR_REACTORS)),
            (n, true) if n == OPERATION.len() => Ok(("worker", FOR_REACTORS)),
            (n, false) if n == OPERATION.len() => match (self.typed, self.exports(START)) {
                (true, false) => Ok(("program", FOR_REACTORS)),
                (_, true) => Ok(("program", FOR_PROGRAMS)),
                (false, false) => Err(AdaptError::NoRole(self.near())),
            },
            _ if self.typed => Ok(("program", FOR_REACTORS)),
            // Its exports only happen to have names of the contract.
            _ if is_program => Ok(("program", FOR_PROGRAMS)),
            _ => Err(AdaptError::Partial(missing.join(", "))),
        }
    }

    /// A likely misspelling among its exports, or a list of them.
    fn near(&self) -> String {
        let near = misspelt(self.exports.iter()).into_iter().next();
        let near = near.map(|(near, name)| format!("; `{}` is near `{name}`", shown(near)));
        let listed = || {
            let names: Vec<_> = self
                .exports
                .iter()
                .take(8)
                .map(|name| format!("`{}`", shown(name)))
                .collect();
            match names.as_slice() {
                [] => "; it exports nothing".to_owned(),
                names => format!("; it exports {}", names.join(", ")),
            }
        };
        near.unwrap_or_else(listed)
    }
}

/// The same module, which ends itself with the host's function instead of `proc_exit`.
fn past_adapter(module: &[u8]) -> Result<Vec<u8>, AdaptError> {
    let mut written = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(invalid)?;
        if let Payload::ImportSection(section) = payload {
            let mut imports = ImportSection::new();
            for import in section.into_imports() {
                let import = import.map_err(invalid)?;
                let ty = RoundtripReencoder
                    .entity_type(import.ty)
                    .map_err(|error| AdaptError::Failed(error.to_string()))?;
                let (from, name) = match (import.module, import.name) {
                    (WASI, PROC_EXIT) => EXIT,
                    other => other,
                };
                imports.import(from, name, ty);
            }
            written.section(&imports);
        } else if let Some((id, range)) = payload.as_section() {
            let data = module.get(range).unwrap_or_default();
            written.section(&RawSection { id, data });
        }
    }
    Ok(written.finish())
}

fn invalid(error: wasmparser::BinaryReaderError) -> AdaptError {
    AdaptError::Invalid(error.to_string())
}
