//! What a file of WebAssembly has, whatever it is good for: imports and exports, of a component or of a core module.

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::{Component, RawSection};
use wasmparser::{
    BinaryReaderError, ComponentTypeRef, ExternalKind, Parser, Payload, ValidPayload, Validator, WasmFeatures,
    component_types::ComponentEntityType, types::Types,
};

use super::{contract::ContractError, engine::Form, known, wit::Printer};

/// What a component or a core module has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Which engine it needs.
    pub(crate) engine: Form,
    /// Whether there are components in it that call each other.
    pub(crate) composed: bool,
    /// Names of what it imports, sorted, each with whether the host knows it.
    pub(crate) imports: Vec<Import>,
    /// Exports and their types, sorted by name.
    pub(crate) exports: BTreeMap<String, String>,
    /// The form of each export that is a function of a component.
    pub(super) forms: BTreeMap<String, Form>,
    /// Exports with a function `run` that takes nothing, as programs have it.
    pub(super) runs: BTreeSet<String>,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Whether the host provides it. If not, calling it traps.
    pub(crate) known: bool,
}

/// The features of WebAssembly that the engines have.
fn features(form: Form) -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    features.remove(WasmFeatures::THREADS | WasmFeatures::MEMORY64 | WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS);
    features.set(WasmFeatures::CM_ASYNC, form == Form::Async);
    features
}

fn invalid(error: BinaryReaderError) -> ContractError {
    ContractError::Invalid(error.to_string())
}

/// Validates a component but for what its functions do.
fn types(bytes: &[u8], form: Form) -> Result<Types, BinaryReaderError> {
    let mut validator = Validator::new_with_features(features(form));
    let mut ended = None;
    for payload in Parser::new(0).parse_all(bytes) {
        if let ValidPayload::End(types) = validator.payload(&payload?)? {
            ended = Some(types);
        }
    }
    // The last end is that of all; without one this is an error.
    ended.map_or_else(|| validator.end(0), Ok)
}

impl Shape {
    /// Looks at a component, but not at what its functions do: who compiles it does, and it takes longer than all else at a
    /// start.
    ///
    /// # Errors
    /// It is not valid here, or no WebAssembly at all.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, ContractError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(ContractError::NotWasm);
        }
        let (types, engine) = match types(bytes, Form::Blocking) {
            Ok(types) => (types, Form::Blocking),
            Err(_) => (types(bytes, Form::Async).map_err(invalid)?, Form::Async),
        };
        let (imports, export_names, composed) = names(bytes)?;
        let (mut exports, mut forms, mut runs) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let printer = Printer::new(&types);
        for name in export_names {
            let Some(item) = types.component_item_for_export(&name) else {
                continue;
            };
            if let ComponentEntityType::Func(id) = item.ty
                && let Some(func) = types.as_ref().get(id)
            {
                forms.insert(name.clone(), if func.async_ { Form::Async } else { Form::Blocking });
            }
            if let ComponentEntityType::Instance(id) = item.ty
                && let Some(run) = types.as_ref().get(id).and_then(|within| within.exports.get("run"))
                && let ComponentEntityType::Func(id) = run.ty
                && types.as_ref().get(id).is_some_and(|func| func.params.is_empty())
            {
                runs.insert(name.clone());
            }
            exports.insert(name, printer.entity(item.ty));
        }
        Ok(Self {
            engine,
            composed,
            imports: imports.into_iter().map(Import::new).collect(),
            exports,
            forms,
            runs,
        })
    }

    /// Looks at a component and all that is in it.
    ///
    /// # Errors
    /// It is not valid here, or no WebAssembly at all.
    pub(crate) fn of_all(bytes: &[u8]) -> Result<Self, ContractError> {
        let shape = Self::of(bytes)?;
        let mut validator = Validator::new_with_features(features(shape.engine));
        validator.validate_all(bytes).map_err(invalid)?;
        Ok(shape)
    }

    /// Looks at a core module.
    ///
    /// # Errors
    /// It is not valid here.
    pub(crate) fn of_module(bytes: &[u8]) -> Result<Self, ContractError> {
        Validator::new_with_features(features(Form::Blocking))
            .validate_all(bytes)
            .map_err(invalid)?;
        let (mut imports, mut exports) = (BTreeSet::new(), BTreeMap::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(invalid)? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(invalid)?;
                        imports.insert((import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(invalid)?;
                        let kind = match export.kind {
                            ExternalKind::Memory => "core memory",
                            ExternalKind::Table => "core table",
                            ExternalKind::Global => "core global",
                            ExternalKind::Tag => "core tag",
                            _ => "core func",
                        };
                        exports.insert(export.name.to_owned(), kind.to_owned());
                    }
                }
                _ => {}
            }
        }
        let import = |(module, name): (&str, &str)| Import {
            name: format!("{module} {name}"),
            known: known::is_known_to_modules(module),
        };
        Ok(Self {
            engine: Form::Blocking,
            composed: false,
            imports: imports.into_iter().map(import).collect(),
            exports,
            forms: BTreeMap::new(),
            runs: BTreeSet::new(),
        })
    }
}

impl Import {
    fn new(name: String) -> Self {
        Self {
            known: known::is_known(&name),
            name,
        }
    }
}

/// A component that imports what this one does at its beginning, where all toolchains have their imports, and is nothing
/// else. It can be linked exactly if this one can, and there is nothing in it to be compiled.
///
/// # Errors
/// It is not valid.
pub(super) fn imports_alone(bytes: &[u8]) -> Result<Vec<u8>, ContractError> {
    let mut alone = Component::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { .. } | Payload::CustomSection(_) => {}
            Payload::ComponentTypeSection(_)
            | Payload::ComponentImportSection(_)
            | Payload::ComponentAliasSection(_) => {
                if let Some((id, range)) = payload.as_section() {
                    let data = bytes.get(range).unwrap_or_default();
                    alone.section(&RawSection { id, data });
                }
            }
            _ => break,
        }
    }
    Ok(alone.finish())
}

/// The names of imports and exports of the outermost component, sorted, and whether one within it has functions of its own.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>, bool), ContractError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let (mut depth, mut composed) = (0u32, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentCanonicalSection(_) => composed |= depth > 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    // An imported type is a name for one of ours, nothing to be provided.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    imports.sort();
    exports.sort();
    Ok((imports, exports, composed))
}

/// A name that a stranger chose, on one line, without commands for a terminal and not endless.
pub(crate) fn shown(name: &str) -> String {
    const LONGEST: usize = 160;
    let mut text: String = name.chars().take(LONGEST).flat_map(written).collect();
    if name.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// A character, or how it is written when it is none to be seen.
fn written(c: char) -> impl Iterator<Item = char> {
    let (seen, escaped) = match c.is_control() {
        true => (None, Some(c.escape_default())),
        false => (Some(c), None),
    };
    seen.into_iter().chain(escaped.into_iter().flatten())
}
