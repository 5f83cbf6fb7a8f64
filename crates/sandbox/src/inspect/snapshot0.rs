//! Converts programs for WASI before 0.1, which import from `wasi_unstable` (snapshot 0, of 2019). Only a few of its
//! functions differ from those of `wasi_snapshot_preview1`.
//!
//! The import module is renamed. For each function that differs, a wrapper is added after the module's own functions;
//! it converts the arguments and calls the import. All references to the import are changed to the wrapper. These are
//! all differences between the two (WASI's `phases/old/snapshot_0` and `phases/snapshot`):
//!
//! * `fd_seek` numbers the origins current (0), end (1), start (2), and not start, current, end.
//! * `fd_filestat_get` and `path_filestat_get` have 4 bytes for the number of links and not 8, so 56 bytes in total and
//!   not 64.
//! * `poll_oneoff` has 8 more bytes in a subscription to a clock, so each subscription has 56 bytes and not 48.

use std::collections::BTreeMap;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as SNAPSHOT_1;
use wasm_encoder::{
    BlockType, CodeSection, Function, FunctionSection, ImportSection, MemArg, Module, ValType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{
    BinaryReaderError, CodeSectionReader, FunctionSectionReader, ImportSectionReader, Parser, Payload, TypeRef,
};

/// The import module of snapshot 0.
const SNAPSHOT_0: &str = "wasi_unstable";

/// A function that differs between the snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Differing {
    Seek,
    /// `buffer`: the index of the parameter that points to the result.
    Filestat {
        params: u32,
        buffer: u32,
    },
    Poll,
}

impl Differing {
    fn of(name: &str) -> Option<Self> {
        match name {
            "fd_seek" => Some(Self::Seek),
            "fd_filestat_get" => Some(Self::Filestat { params: 2, buffer: 1 }),
            "path_filestat_get" => Some(Self::Filestat { params: 5, buffer: 4 }),
            "poll_oneoff" => Some(Self::Poll),
            _ => None,
        }
    }

    /// The body of the wrapper that calls the import of this index.
    fn body(self, import: u32) -> Function {
        match self {
            Self::Seek => seek(import),
            Self::Filestat { params, buffer } => filestat(import, params, buffer),
            Self::Poll => poll(import),
        }
    }
}

fn seek(import: u32) -> Function {
    let mut body = Function::new([]);
    body.instructions()
        .local_get(0)
        .local_get(1)
        // Invalid origins stay invalid.
        .local_get(2)
        .i32_const(1)
        .i32_add()
        .i32_const(3)
        .i32_rem_u()
        .local_get(2)
        .local_get(2)
        .i32_const(3)
        .i32_lt_u()
        .select()
        .local_get(3)
        .call(import)
        .end();
    body
}

/// The import writes a larger result, so the bytes after the smaller one are saved and restored.
fn filestat(import: u32, params: u32, buffer: u32) -> Function {
    let (behind, status) = (params, params + 1);
    let mut body = Function::new([(1, ValType::I64), (1, ValType::I32)]);
    let mut to = body.instructions();
    to.local_get(buffer).i64_load(at(56)).local_set(behind);
    for param in 0..params {
        to.local_get(param);
    }
    to.call(import).local_tee(status).i32_eqz().if_(BlockType::Empty);
    to.local_get(buffer)
        .local_get(buffer)
        .i64_load(at(24))
        .i64_store32(at(20));
    for field in [32, 40, 48, 56] {
        to.local_get(buffer)
            .local_get(buffer)
            .i64_load(at(field))
            .i64_store(at(field - 8));
    }
    to.end();
    to.local_get(buffer)
        .local_get(behind)
        .i64_store(at(56))
        .local_get(status)
        .end();
    body
}

/// The subscriptions are compacted in place: no known program reads them again.
fn poll(import: u32) -> Function {
    let (from, to, left) = (4, 5, 6);
    let mut body = Function::new([(3, ValType::I32)]);
    let mut code = body.instructions();
    code.local_get(0)
        .local_tee(from)
        .local_set(to)
        .local_get(2)
        .local_set(left);
    code.loop_(BlockType::Empty).local_get(left).if_(BlockType::Empty);
    let copy = |code: &mut wasm_encoder::InstructionSink<'_>, source: u64, target: u64| {
        code.local_get(to)
            .local_get(from)
            .i64_load(at(source))
            .i64_store(at(target));
    };
    copy(&mut code, 0, 0);
    copy(&mut code, 8, 8);
    // A subscription to a clock has kind 0. The kind was already copied, to the same address or a lower one.
    code.local_get(to).i32_load8_u(at(8)).if_(BlockType::Empty);
    copy(&mut code, 16, 16);
    code.else_();
    for source in [24, 32, 40, 48] {
        copy(&mut code, source, source - 8);
    }
    code.end();
    code.local_get(from).i32_const(56).i32_add().local_set(from);
    code.local_get(to).i32_const(48).i32_add().local_set(to);
    code.local_get(left)
        .i32_const(1)
        .i32_sub()
        .local_set(left)
        .br(1)
        .end()
        .end();
    for param in 0..4 {
        code.local_get(param);
    }
    code.call(import).end();
    body
}

/// An offset in the module's memory, without alignment.
fn at(offset: u64) -> MemArg {
    MemArg {
        offset,
        align: 0,
        memory_index: 0,
    }
}

/// The module converted to snapshot 1. None: it imports nothing of snapshot 0.
///
/// # Errors
/// It is invalid.
pub(super) fn on_snapshot_1(module: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some(mut moved) = Moved::of(module).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let mut written = Module::new();
    let parser = Parser::new(0);
    moved
        .parse_core_module(&mut written, parser, module)
        .map_err(|error| error.to_string())?;
    Ok(Some(written.finish()))
}

/// The changes to a module.
struct Moved {
    /// By index of the import: the index of its wrapper, and how the function differs.
    replaced: BTreeMap<u32, (u32, Differing)>,
    /// By index of the import: its type, which the wrapper has too.
    types: BTreeMap<u32, u32>,
}

impl Moved {
    fn of(module: &[u8]) -> Result<Option<Self>, BinaryReaderError> {
        let (mut imports, mut own, mut found) = (0u32, 0, false);
        let (mut differing, mut types) = (Vec::new(), BTreeMap::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        found |= import.module == SNAPSHOT_0;
                        let (TypeRef::Func(ty) | TypeRef::FuncExact(ty)) = import.ty else {
                            continue;
                        };
                        if let Some(differs) = Differing::of(import.name).filter(|_| import.module == SNAPSHOT_0) {
                            differing.push((imports, differs));
                            types.insert(imports, ty);
                        }
                        imports += 1;
                    }
                }
                Payload::FunctionSection(section) => own = section.count(),
                _ => {}
            }
        }
        // A module without functions of its own calls no import.
        let last = imports.saturating_add(own);
        let replaced = differing.into_iter().filter(|_| own > 0).zip(last..);
        let replaced = replaced.map(|((import, differs), index)| (import, (index, differs)));
        Ok(found.then(|| Self {
            replaced: replaced.collect(),
            types,
        }))
    }
}

impl Reencode for Moved {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, func: u32) -> Result<u32, Error<Self::Error>> {
        Ok(self.replaced.get(&func).map_or(func, |(index, _)| *index))
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        for import in section.into_imports() {
            let import = import?;
            let module = match import.module {
                SNAPSHOT_0 => SNAPSHOT_1,
                module => module,
            };
            imports.import(module, import.name, self.entity_type(import.ty)?);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_function_section(self, functions, section)?;
        for import in self.replaced.keys() {
            functions.function(self.types.get(import).copied().unwrap_or_default());
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_code_section(self, code, section)?;
        for (import, (_, differs)) in &self.replaced {
            code.function(&differs.body(*import));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Validator;

    use super::*;

    /// A module that uses all functions that differ: called, exported and in a table.
    const TEXT: &str = r#"(module
        (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
        (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_unstable" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
        (import "wasi_unstable" "path_filestat_get" (func $path (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (table funcref (elem $poll $write))
        (export "path" (func $path))
        (func (export "_start")
          (drop (call $seek (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))
          (drop (call $stat (i32.const 0) (i32.const 0)))
          (drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))"#;

    #[test]
    fn converted_module_is_valid_and_calls_wrappers() {
        let moved = on_snapshot_1(&wat::parse_str(TEXT).unwrap()).unwrap().unwrap();
        Validator::new().validate_all(&moved).unwrap();
        let mut detours = 0;
        for payload in Parser::new(0).parse_all(&moved) {
            match payload.unwrap() {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        assert_eq!(import.unwrap().module, SNAPSHOT_1);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.unwrap();
                        assert!(export.name != "path" || export.index >= 6, "{export:?}");
                    }
                }
                Payload::FunctionSection(section) => detours = section.count() - 1,
                _ => {}
            }
        }
        assert_eq!(detours, 4);
    }

    #[test]
    fn modules_without_snapshot_0_are_not_changed() {
        let text = TEXT.replace("wasi_unstable", SNAPSHOT_1);
        assert_eq!(on_snapshot_1(&wat::parse_str(text).unwrap()), Ok(None));
        assert!(on_snapshot_1(b"\0asm\x01\0\0\0\x02\x05").is_err());
    }
}
