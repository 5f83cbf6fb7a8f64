//! Determines the language and the tools of a component, from `producers` sections and traces of runtimes.
//!
//! All core modules in a file count, except the adapters of WASI 0.1, which are always written in Rust.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wasmparser::{KnownCustom, Name, NameSectionReader, Parser, Payload, ProducersSectionReader};

use disperse_protocol::text::shown;

/// The most tools that are listed, and the most entries that are read.
const TOOLS_MAX: usize = 16;
const ENTRIES_MAX: usize = 256;

/// The language and the tools of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The language with its compiler, if known.
    pub language: Option<String>,
    /// The tools, as `producers` sections name them.
    pub producers: Vec<String>,
}

/// An entry of a `producers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    field: String,
    name: String,
    version: String,
}

/// The traces of tools in a file or in a part of it.
#[derive(Debug, Default)]
struct Marks {
    entries: Vec<Entry>,
    /// Whether it is an adapter from WASI 0.1 to 0.2.
    adapter: bool,
    /// Whether it has the runtime of Python, QuickJS or AssemblyScript, and Python's version.
    python: bool,
    python_version: Option<String>,
    quickjs: bool,
    assemblyscript: bool,
    go: bool,
}

impl Origin {
    /// The origin of a file, before a component is made of it. Parts that cannot be read are ignored.
    pub fn of(bytes: &[u8]) -> Self {
        let marks = Marks::of(bytes);
        let mut producers = Vec::new();
        for entry in &marks.entries {
            let text = shown(format!("{} {}", entry.name, entry.version).trim());
            if !producers.contains(&text) && producers.len() < TOOLS_MAX {
                producers.push(text);
            }
        }
        Self {
            language: marks.language(),
            producers,
        }
    }
}

impl Marks {
    fn of(bytes: &[u8]) -> Self {
        let mut all = Self::default();
        let mut open: Vec<Self> = Vec::new();
        let (mut initialised, mut exports_interface) = (false, false);
        for payload in Parser::new(0).parse_all(bytes) {
            let Ok(payload) = payload else { break };
            match payload {
                Payload::Version { .. } => open.push(Self::default()),
                Payload::End(_) => {
                    if let Some(part) = open.pop() {
                        all.add(part);
                    }
                }
                Payload::ComponentExportSection(section) if open.len() == 1 => {
                    exports_interface |= section
                        .into_iter()
                        .flatten()
                        .any(|export| export.name.name == "exports");
                }
                payload => {
                    if let Some(part) = open.last_mut() {
                        part.read(&payload);
                    }
                }
            }
        }
        // The parts of a truncated file still count.
        for part in open.into_iter().rev() {
            all.add(part);
        }
        initialised |= all.entries.iter().any(|entry| entry.name == "component-init-transform");
        all.python |= initialised && exports_interface;
        all
    }

    fn add(&mut self, part: Self) {
        if part.adapter {
            return;
        }
        self.entries.extend(part.entries);
        self.python |= part.python;
        self.python_version = self.python_version.take().or(part.python_version);
        self.quickjs |= part.quickjs;
        self.assemblyscript |= part.assemblyscript;
        self.go |= part.go;
    }

    fn read(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports().flatten() {
                    self.adapter |= import.module == "__main_module__";
                    self.runtime(import.module);
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone().into_iter().flatten() {
                    match export.name {
                        "cabi_import_realloc" => self.adapter = true,
                        "__rtti_base" => self.assemblyscript = true,
                        name => self.runtime(name),
                    }
                }
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Producers(fields) => self.producers(fields),
                KnownCustom::Name(names) => self.named(names),
                _ => self.go |= section.name() == "go:buildid",
            },
            _ => {}
        }
    }

    /// Recognises the runtimes of SDKs by the names of their libraries.
    fn runtime(&mut self, name: &str) {
        self.python |= name.starts_with("libcomponentize_py_runtime");
        self.quickjs |= name.starts_with("componentize_qjs_runtime");
    }

    /// Not wasm-metadata: it keeps nothing of a section that ends early, and has no bound.
    fn producers(&mut self, fields: ProducersSectionReader<'_>) {
        for field in fields.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                if self.entries.len() < ENTRIES_MAX {
                    self.entries.push(Entry {
                        field: field.name.to_owned(),
                        name: value.name.to_owned(),
                        version: value.version.to_owned(),
                    });
                }
            }
        }
    }

    /// Reads a module's own name: that of the Python library contains its version.
    fn named(&mut self, names: NameSectionReader<'_>) {
        let Some(Ok(Name::Module { name, .. })) = names.into_iter().next() else {
            return;
        };
        let version = name.strip_prefix("libpython").and_then(|rest| rest.strip_suffix(".so"));
        self.python_version = version.map(str::to_owned);
    }

    fn tool(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    fn language(&self) -> Option<String> {
        // Languages whose runtime or compiler reports another language.
        for (tool, language) in [
            ("ComponentizeJS", "JavaScript"),
            ("componentize-qjs", "JavaScript"),
            ("componentize-py", "Python"),
            ("TinyGo", "Go"),
            ("AssemblyScript", "AssemblyScript"),
        ] {
            if let Some(entry) = self.tool(tool) {
                let by = if tool == language { "" } else { tool };
                return Some(with(language, &format!("{by} {}", first(&entry.version))));
            }
        }
        if self.python {
            let version = self.python_version.as_deref().unwrap_or_default();
            return Some(with(format!("Python {version}").trim(), "componentize-py"));
        }
        if self.quickjs {
            return Some(with("JavaScript", "QuickJS, componentize-qjs"));
        }
        let mut named: BTreeSet<&str> = self
            .entries
            .iter()
            .filter(|entry| entry.field == "language")
            .map(|entry| ordinary(entry.name.trim()))
            .filter(|language| !language.is_empty())
            .collect();
        // The runtime library of nearly every language is written in C.
        if named.len() > 1 {
            named.remove("C");
        }
        let bindings = [
            ("wit-bindgen-rust", "Rust"),
            ("wit-bindgen-go", "Go"),
            ("wit-bindgen-csharp", "C#"),
            ("wit-bindgen-moonbit", "MoonBit"),
            ("wit-bindgen-cpp", "C++"),
        ];
        if named.is_empty() {
            let of = bindings.iter().find(|(tool, _)| self.tool(tool).is_some());
            named.extend(of.map(|(_, language)| *language));
        }
        if named.is_empty() {
            named.extend(self.assemblyscript.then_some("AssemblyScript"));
            named.extend(self.go.then_some("Go"));
        }
        let named: Vec<String> = named
            .into_iter()
            .take(4)
            .map(|language| self.translated(language))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// A language with its compiler and version.
    fn translated(&self, language: &str) -> String {
        let compiler = match language {
            "Rust" => "rustc",
            "C" | "C++" => "clang",
            "Go" => "Go cmd/compile",
            "Zig" => "Zig",
            _ => "",
        };
        let version = self
            .tool(compiler)
            .map(|entry| first(&entry.version))
            .unwrap_or_default();
        match (language, version) {
            (language, "") => shown(language),
            ("Go", version) => shown(&format!("Go {}", version.strip_prefix("go").unwrap_or(version))),
            ("Zig", version) => shown(&format!("Zig {version}")),
            (language, version) => shown(&with(language, &format!("{compiler} {version}"))),
        }
    }
}

fn with(language: &str, tool: &str) -> String {
    match tool.trim() {
        "" => language.to_owned(),
        tool => shown(&format!("{language} ({tool})")),
    }
}

/// The version number alone, without build details.
fn first(version: &str) -> &str {
    version.split_whitespace().next().unwrap_or_default()
}

/// The usual name of a language, for a DWARF name with an edition.
fn ordinary(language: &str) -> &str {
    let is_edition = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    match language {
        _ if language.starts_with("C_plus_plus") => "C++",
        _ if language == "C" || language.strip_prefix('C').is_some_and(is_edition) => "C",
        _ => language,
    }
}
