//! The imports and exports of a component or of a core module.
//!
//! The result has a bounded size: long names are cut, and of long lists the beginning is kept and the rest is counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wasm_encoder::{Component, RawSection};
use wasmparser::{
    BinaryReaderError, ComponentTypeRef, CompositeInnerType, ExternalKind, Parser, Payload, TypeRef, ValidPayload,
    Validator, component_types::ComponentEntityType, types::Types,
};

use super::{error::ContractError, exports::is_of_contract, features, known, wit};
use crate::engine::EngineKind;

/// The longest name, in bytes. A longer one is cut and gets an ellipsis, so that it matches no known name.
const NAME_MAX: usize = 1 << 10;

/// The most bytes of names and types that are kept of the imports, and of the exports. Each entry counts [`ENTRY`]
/// bytes in addition.
const LIST_MAX: usize = 512 << 10;
const ENTRY: usize = 32;

/// How deep a file is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a run needs: everything except the bodies of functions, which the compiler validates.
    Declarations,
    /// The bodies of functions too, the producers, and whether it links.
    Everything,
}

impl Depth {
    pub fn word(self) -> &'static str {
        match self {
            Self::Declarations => "declarations",
            Self::Everything => "everything",
        }
    }
}

/// The imports and exports of a component or a core module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The engine that it needs.
    pub engine: EngineKind,
    /// Whether nested components in it call each other.
    pub composed: bool,
    /// Whether it has garbage-collected objects: structs, arrays and exceptions.
    pub collects: bool,
    /// Its imports, sorted by name.
    pub imports: Vec<Import>,
    /// The number of further imports.
    pub more_imports: usize,
    /// Exports and their types, sorted by name.
    pub exports: BTreeMap<String, String>,
    /// The number of further exports. None of them is of the contract.
    pub more_exports: usize,
    /// The form of each export that is a function of a component.
    pub forms: BTreeMap<String, EngineKind>,
    /// The exports that are instances with a function `run` without parameters, as programs have, each with its form.
    pub runs: BTreeMap<String, EngineKind>,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub name: String,
    /// Whether the host provides it. If not, calling it traps.
    pub known: bool,
}

/// Converts the error of a validator: a missing feature, or an invalid file.
fn invalid_in(bytes: &[u8], error: &BinaryReaderError) -> ContractError {
    match features::missing(bytes, error) {
        Some(why) => ContractError::Feature(why),
        None => ContractError::Invalid(error.to_string()),
    }
}

fn invalid(error: BinaryReaderError) -> ContractError {
    ContractError::Invalid(error.to_string())
}

/// Validates a component. The bodies of functions only at [`Depth::Everything`].
fn types(bytes: &[u8], form: EngineKind, depth: Depth) -> Result<Types, BinaryReaderError> {
    let mut validator = Validator::new_with_features(features::of(form));
    if depth == Depth::Everything {
        return validator.validate_all(bytes);
    }
    let mut ended = None;
    for payload in Parser::new(0).parse_all(bytes) {
        if let ValidPayload::End(types) = validator.payload(&payload?)? {
            ended = Some(types);
        }
    }
    // The last end is that of the whole file. Without one, the validator returns an error.
    ended.map_or_else(|| validator.end(0), Ok)
}

/// Bounds a list: entries are kept until their names and types reach [`LIST_MAX`].
struct Listing {
    left: usize,
    /// The number of entries that are not kept.
    more: usize,
}

impl Listing {
    fn new() -> Self {
        Self {
            left: LIST_MAX,
            more: 0,
        }
    }

    /// Whether one more entry of `bytes` bytes is kept. After the first one that is not, no other is.
    fn takes(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes + ENTRY) {
            Some(left) => self.left = left,
            None => (self.left, self.more) = (0, self.more + 1),
        }
        self.more == 0
    }
}

/// A name, cut to [`NAME_MAX`].
fn shortened(name: &str) -> String {
    if name.len() <= NAME_MAX {
        return name.to_owned();
    }
    format!("{}…", &name[..name.floor_char_boundary(NAME_MAX)])
}

impl Shape {
    fn empty(engine: EngineKind) -> Self {
        Self {
            engine,
            composed: false,
            collects: false,
            imports: Vec::new(),
            more_imports: 0,
            exports: BTreeMap::new(),
            more_exports: 0,
            forms: BTreeMap::new(),
            runs: BTreeMap::new(),
        }
    }

    /// The shape of a component. The bodies of functions are validated only at [`Depth::Everything`]: the compiler
    /// validates them too, and it takes longer than everything else at a start.
    ///
    /// # Errors
    /// It is invalid here, or not WebAssembly.
    pub fn of(bytes: &[u8], depth: Depth) -> Result<Self, ContractError> {
        let (types, mut engine) = match types(bytes, EngineKind::Blocking, depth) {
            Ok(types) => (types, EngineKind::Blocking),
            Err(_) => {
                let types = types(bytes, EngineKind::Async, depth).map_err(|error| invalid_in(bytes, &error))?;
                (types, EngineKind::Async)
            }
        };
        let (imports, exports, composed) = names(bytes)?;
        if imports.iter().any(|name| known::needs_async(name)) {
            engine = EngineKind::Async;
        }
        let mut shape = Self::empty(engine);
        (shape.composed, shape.collects) = (composed, collects(bytes)?);
        shape.import(imports.iter().map(|name| (shortened(name), known::is_known(name))));
        // Exports of the contract come first, so that they are always kept.
        let (ours, others): (Vec<_>, Vec<_>) = exports.iter().partition(|name| is_of_contract(name));
        let mut listing = Listing::new();
        for name in ours.into_iter().chain(others) {
            let Some(item) = types.component_item_for_export(name) else {
                continue;
            };
            if listing.more > 0 {
                listing.more += 1;
                continue;
            }
            let (name, ty) = (shortened(name), wit::text(&types, item.ty));
            if listing.takes(name.len() + ty.len()) {
                shape.export(&types, name, ty, item.ty);
            }
        }
        shape.more_exports = listing.more;
        Ok(shape)
    }

    fn import(&mut self, all: impl Iterator<Item = (String, bool)>) {
        let mut listing = Listing::new();
        for (name, known) in all {
            if listing.takes(name.len()) {
                self.imports.push(Import { name, known });
            }
        }
        self.more_imports = listing.more;
    }

    fn export(&mut self, types: &Types, name: String, text: String, ty: ComponentEntityType) {
        if let ComponentEntityType::Func(id) = ty
            && let Some(func) = types.as_ref().get(id)
        {
            let form = if func.async_ {
                EngineKind::Async
            } else {
                EngineKind::Blocking
            };
            self.forms.insert(name.clone(), form);
        }
        if let ComponentEntityType::Instance(id) = ty
            && let Some(run) = types.as_ref().get(id).and_then(|within| within.exports.get("run"))
            && let ComponentEntityType::Func(id) = run.ty
            && let Some(func) = types.as_ref().get(id).filter(|func| func.params.is_empty())
        {
            let form = if func.async_ {
                EngineKind::Async
            } else {
                EngineKind::Blocking
            };
            self.runs.insert(name.clone(), form);
        }
        self.exports.insert(name, text);
    }

    /// The shape of a core module.
    ///
    /// # Errors
    /// It is invalid here.
    pub fn of_module(bytes: &[u8]) -> Result<Self, ContractError> {
        Validator::new_with_features(features::of(EngineKind::Blocking))
            .validate_all(bytes)
            .map_err(|error| invalid_in(bytes, &error))?;
        let mut shape = Self::empty(EngineKind::Blocking);
        let (mut imports, mut listing) = (BTreeSet::new(), Listing::new());
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
                        let name = shortened(export.name);
                        if listing.takes(name.len() + kind.len()) {
                            shape.exports.insert(name, kind.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        shape.more_exports = listing.more;
        shape.import(imports.into_iter().map(|(module, name)| {
            let known = known::is_known_to_modules(module);
            (format!("{} {}", shortened(module), shortened(name)), known)
        }));
        Ok(shape)
    }
}

/// A component with only the imports at the beginning of this one, where all toolchains write them. It links exactly if
/// this one does, and has no code to compile.
///
/// # Errors
/// It is invalid.
pub(crate) fn imports_alone(bytes: &[u8]) -> Result<Vec<u8>, ContractError> {
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

/// Whether a module in this file can make garbage-collected objects: whether it declares a struct, an array or a tag.
/// Without one of these it cannot.
fn collects(bytes: &[u8]) -> Result<bool, ContractError> {
    let is_object = |ty: &wasmparser::SubType| {
        matches!(
            ty.composite_type.inner,
            CompositeInnerType::Struct(_) | CompositeInnerType::Array(_)
        )
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::TagSection(section) if section.count() > 0 => return Ok(true),
            Payload::TypeSection(section) => {
                for group in section {
                    if group.map_err(invalid)?.types().any(is_object) {
                        return Ok(true);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if matches!(import.map_err(invalid)?.ty, TypeRef::Tag(_)) {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// The names of imports and exports of the outermost component, sorted, and whether a nested component has functions.
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
                    // An imported type only names a type, and need not be provided.
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
