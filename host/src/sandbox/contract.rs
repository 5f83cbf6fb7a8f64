//! Which roles a component can play, read from the component itself without compiling it.

use std::{collections::BTreeMap, fmt};

use wasmparser::{Parser, Payload, Validator, WasmFeatures, component_types::ComponentEntityType, types::Types};

use super::{engine::Form, wit::Printer};
use crate::units::nearest;

/// The exports of the contract and their types. The parameters' names do not count.
pub(super) const OPERATION: [(&str, &str); 4] = [
    ("next", "func() -> option<list<u8>>"),
    ("run", "func(list<u8>) -> result<list<u8>, string>"),
    ("collect", "func(list<u8>, result<list<u8>, string>)"),
    ("finish", "func() -> result<_, string>"),
];
pub(super) const WORKER: [(&str, &str); 1] = [(
    "handle",
    "func(record { kind: string, payload: list<u8> }) -> result<list<u8>, variant { retryable(string), \
     permanent(string), busy(u32), unfit(string) }>",
)];
/// What any program of WASI exports, before its version.
const PROGRAM: &str = "wasi:cli/run@";
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
    /// Names of what it imports, sorted, each with whether the host knows it.
    pub(crate) imports: Vec<Import>,
    /// Exports and their types, sorted by name.
    pub(crate) exports: BTreeMap<String, String>,
    /// Who made it, as `producers` sections say.
    pub(crate) producers: Vec<String>,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Whether the host provides it. If not, calling it traps.
    pub(crate) known: bool,
}

/// Why a file cannot be used. Every variant says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContractError {
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    #[error("this component is not valid: {0}")]
    Invalid(String),
    #[error(
        "this component was built for {found}, and this host serves disperse:guest@{}",
        super::imports::VERSION
    )]
    Version { found: String },
    #[error("this component exports neither an operation nor a worker{}", Listed(.0))]
    NoRole(Vec<String>),
    #[error("this component exports only a part of an {role}{}", Listed(.problems))]
    Partial { role: &'static str, problems: Vec<String> },
}

impl ContractError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotWasm => "give the .wasm file that your build wrote, or the folder of the project",
            Self::Invalid(_) => {
                "the file may be cut short or need WebAssembly features that are off here; build it again"
            }
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

/// The features of WebAssembly that the engines have.
fn features(form: Form) -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    features.remove(WasmFeatures::THREADS | WasmFeatures::MEMORY64 | WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS);
    features.set(WasmFeatures::CM_ASYNC, form == Form::Async);
    features
}

impl Contract {
    /// Looks at a file.
    ///
    /// # Errors
    /// It is no component of this contract; says what it is instead, or which exports do not fit and how.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, ContractError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(ContractError::NotWasm);
        }
        let producers = producers(bytes)?;
        let (types, engine) = match Validator::new_with_features(features(Form::Blocking)).validate_all(bytes) {
            Ok(types) => (types, Form::Blocking),
            Err(_) => Validator::new_with_features(features(Form::Async))
                .validate_all(bytes)
                .map(|types| (types, Form::Async))
                .map_err(|error| ContractError::Invalid(error.to_string()))?,
        };
        Self::from_types(&types, engine, producers, bytes)
    }

    fn from_types(types: &Types, engine: Form, producers: Vec<String>, bytes: &[u8]) -> Result<Self, ContractError> {
        let (import_names, export_names, composed) = names(bytes)?;
        if let Some(found) = import_names.iter().find(|name| is_newer(name)) {
            return Err(ContractError::Version { found: found.clone() });
        }
        let imports = import_names
            .into_iter()
            .map(|name| Import {
                known: is_known(&name),
                name,
            })
            .collect();
        let mut exports = BTreeMap::new();
        let mut forms = BTreeMap::new();
        for name in export_names {
            let Some(item) = types.component_item_for_export(&name) else {
                continue;
            };
            if let ComponentEntityType::Func(id) = item.ty
                && let Some(func) = types.as_ref().get(id)
            {
                forms.insert(name.clone(), if func.async_ { Form::Async } else { Form::Blocking });
            }
            exports.insert(name, Printer(types).entity(item.ty));
        }
        let operation = role(&exports, &forms, "operation", &OPERATION)?;
        let worker = role(&exports, &forms, "worker", &WORKER)?;
        let is_program = |name: &&String| {
            name.strip_prefix(PROGRAM)
                .is_some_and(|version| version.starts_with("0.2."))
        };
        let program = match (operation, worker) {
            (None, None) => exports.keys().find(is_program).cloned(),
            _ => None,
        };
        if operation.is_none() && worker.is_none() && program.is_none() {
            return Err(ContractError::NoRole(near_misses(&exports)));
        }
        Ok(Self {
            operation,
            worker: worker.or(program.as_ref().map(|_| Form::Blocking)),
            program,
            engine,
            composed,
            imports,
            exports,
            producers,
        })
    }
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

/// What the exports look like that were perhaps meant to be a role.
fn near_misses(exports: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines: Vec<String> = OPERATION
        .iter()
        .chain(&WORKER)
        .filter_map(|(name, _)| nearest(name, exports.keys()).map(|near| format!("`{near}` is near `{name}`")))
        .collect();
    lines.extend(exports.keys().take(8).map(|name| format!("it exports `{name}`")));
    lines
}

/// Whether the host provides an import of this name.
fn is_known(name: &str) -> bool {
    const OURS: [&str; 11] = [
        "types",
        "log",
        "output",
        "host",
        "host-async",
        "attempt",
        "quota",
        "http-types",
        "http",
        "http-async",
        "exec",
    ];
    match name.split_once('/') {
        // Of a core module that was made a component here.
        Some(("disperse:adapter", "exit@0.1.0")) => true,
        Some(("disperse:guest", rest)) => {
            let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
            OURS.contains(&interface) && version.starts_with("0.1.")
        }
        Some(("wasi:http", rest)) => {
            let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
            ["types", "outgoing-handler"].contains(&interface) && version.starts_with("0.2.")
        }
        Some((package, rest)) => {
            const WASI: [&str; 6] = [
                "wasi:cli",
                "wasi:clocks",
                "wasi:filesystem",
                "wasi:io",
                "wasi:random",
                "wasi:sockets",
            ];
            let version = rest.split_once('@').map_or("", |(_, version)| version);
            WASI.contains(&package) && version.starts_with("0.2.")
        }
        None => false,
    }
}

/// Whether this is an interface of ours of a version that this host does not serve.
fn is_newer(name: &str) -> bool {
    name.starts_with("disperse:guest/")
        && name
            .split_once('@')
            .is_some_and(|(_, version)| !version.starts_with("0.1."))
}

/// Who made it.
fn producers(bytes: &[u8]) -> Result<Vec<String>, ContractError> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| ContractError::Invalid(error.to_string()))? {
            Payload::CustomSection(section) if section.name() == "producers" => {
                let wasmparser::KnownCustom::Producers(fields) = section.as_known() else {
                    continue;
                };
                for field in fields.into_iter().flatten() {
                    for value in field.values.into_iter().flatten() {
                        let text = format!("{} {}", value.name, value.version).trim().to_owned();
                        if !found.contains(&text) && found.len() < 16 {
                            found.push(text);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The names of imports and exports of the outermost component, sorted, and whether one within it has functions of its own.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>, bool), ContractError> {
    let invalid = |error: wasmparser::BinaryReaderError| ContractError::Invalid(error.to_string());
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
                    if !matches!(import.ty, wasmparser::ComponentTypeRef::Type(_)) {
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
