//! Files of WebAssembly, mutated and extreme: inspecting them returns an error or a report of limited size.

use bolero::{TypeGenerator, check};

use super::{Edit, TIME, mutated};
use crate::sandbox::{Use, inspect_here, misspelt};

#[test]
fn components() {
    let worker = include_str!("../../../tests/guests/worker.wat");
    let worker = worker.replace("{HANDLE}", "unreachable").replace("{EXPORT}", "handle");
    let mut operation = include_str!("../../../tests/guests/operation.wat").to_owned();
    for name in ["{NEXT}", "{RUN}", "{COLLECT}", "{FINISH}"] {
        operation = operation.replace(name, "");
    }
    let nested = "(component (core module (@producers (language \"C11\" \"\") (processed-by \"clang\" \"21\"))))";
    let texts = [&worker, &operation, "(component)", "(module)", nested];
    let seeds: Vec<_> = texts.iter().map(|text| wat::parse_str(text).unwrap()).collect();
    for seed in &seeds[..2] {
        inspect_here(seed).unwrap().contract().unwrap();
    }
    mutations(&seeds);
}

#[test]
fn core_modules() {
    let texts = [
        include_str!("../../../tests/guests/program.wat"),
        include_str!("../../../tests/guests/reactor.wat"),
        "(module)",
    ];
    let seeds: Vec<_> = texts.iter().map(|text| wat::parse_str(text).unwrap()).collect();
    for seed in &seeds[..2] {
        inspect_here(seed).unwrap().contract().unwrap();
    }
    mutations(&seeds);
}

fn mutations(seeds: &[Vec<u8>]) {
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|(which, edits)| inspected(&mutated(seeds, *which, edits)));
}

/// Inspects a file: the result is an error or a report of limited size.
fn inspected(bytes: &[u8]) {
    let inspection = match inspect_here(bytes) {
        Ok(inspection) => inspection,
        Err(error) => {
            assert!(
                (1..10_000).contains(&error.to_string().len()) && error.hint().is_some_and(|hint| !hint.is_empty())
            );
            return;
        }
    };
    assert!(serde_json::to_vec(&inspection).unwrap().len() < 8 << 20);
    if let Err(error) = inspection.contract() {
        assert!((1..100_000).contains(&error.to_string().len()));
    }
    let origin = inspection.origin;
    assert!(origin.producers.len() <= 16 && origin.language.is_none_or(|language| !language.is_empty()));
    let _ = misspelt(inspection.shape.exports.keys());
    for import in inspection.shape.imports {
        let _ = Use::of(&import.name);
    }
}

/// A type section, or nested components, that is extreme in one way.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Extreme {
    /// Nested component types (or else instance types).
    Nested { component: bool, deep: u16 },
    /// An enum of names this long.
    Enum { names: u16, length: u8 },
    /// A record of fields of the previous type.
    Record { fields: u8 },
    /// Each contains the previous one several times.
    Tuples { deep: u8, width: u8 },
    /// A function with the previous type as its parameters, imported and exported.
    Function { parameters: u8, exports: u16 },
    /// An instance type with a resource and functions, imported.
    Clones { functions: u8, imports: u8 },
    /// Each alias names the previous type.
    Aliases { count: u16 },
    /// Nested components.
    Components { deep: u8 },
}

fn leb(mut number: u32, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn section(id: u8, content: &[u8], to: &mut Vec<u8>) {
    to.push(id);
    leb(u32::try_from(content.len()).unwrap(), to);
    to.extend(content);
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A file with these in sequence. Most are valid, so that it is inspected to its end.
fn extremes(all: &[Extreme]) -> Vec<u8> {
    use wasm_encoder::{
        Alias, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
        ComponentOuterAliasKind, ComponentTypeRef, ComponentTypeSection, ComponentValType, InstanceType,
        PrimitiveValType, TypeBounds,
    };
    let mut file = COMPONENT.to_vec();
    // The number of items of each sort, and the last type of a value.
    let (mut types, mut functions, mut names) = (0u32, 0u32, 0u32);
    let mut last = ComponentValType::Primitive(PrimitiveValType::U8);
    fn put(file: &mut Vec<u8>, section: impl wasm_encoder::ComponentSection) {
        section.append_to_component(file);
    }
    // The last type again, with the name that a function's type needs.
    let named = |file: &mut Vec<u8>, types: &mut u32| {
        let mut imports = ComponentImportSection::new();
        let name = format!("t{types}");
        imports.import(name.as_str(), ComponentTypeRef::Type(TypeBounds::Eq(*types)));
        put(file, imports);
        *types += 2;
        ComponentValType::Type(*types - 1)
    };
    for extreme in all.iter().take(8) {
        match *extreme {
            Extreme::Nested { component, deep } => {
                let opens: &[u8] = if component { b"\x41\x01\x01" } else { b"\x42\x01\x01" };
                let content = [b"\x01", &*opens.repeat(deep.into()), b"\x42\x00"].concat();
                section(7, &content, &mut file);
                types += 1;
            }
            Extreme::Enum { names, length } => {
                let names = (0..names.max(1)).map(|n| format!("a{n}{}", "b".repeat(length.into())));
                let names: Vec<_> = names.collect();
                let mut section = ComponentTypeSection::new();
                section.defined_type().enum_type(names.iter().map(String::as_str));
                put(&mut file, section);
                last = named(&mut file, &mut types);
            }
            Extreme::Record { fields } => {
                let names: Vec<_> = (0..fields.max(1)).map(|n| format!("f{n}")).collect();
                let mut section = ComponentTypeSection::new();
                section
                    .defined_type()
                    .record(names.iter().map(|name| (name.as_str(), last)));
                put(&mut file, section);
                last = named(&mut file, &mut types);
            }
            Extreme::Tuples { deep, width } => {
                let mut section = ComponentTypeSection::new();
                for _ in 0..deep % 20 {
                    section.defined_type().tuple(vec![last; usize::from(width).max(1)]);
                    last = ComponentValType::Type(types);
                    types += 1;
                }
                put(&mut file, section);
            }
            Extreme::Function { parameters, exports } => {
                let params: Vec<_> = (0..parameters).map(|n| (format!("p{n}"), last)).collect();
                let mut section = ComponentTypeSection::new();
                let mut function = section.function();
                function.params(params.iter().map(|(name, ty)| (name.as_str(), *ty)));
                function.result(None);
                put(&mut file, section);
                let mut imports = ComponentImportSection::new();
                imports.import(format!("n{names}").as_str(), ComponentTypeRef::Func(types));
                put(&mut file, imports);
                let mut section = ComponentExportSection::new();
                for n in 0..exports % 2000 {
                    let name = format!("e{names}-x{n}");
                    section.export(name.as_str(), ComponentExportKind::Func, functions, None);
                }
                put(&mut file, section);
                (types, names, functions) = (types + 1, names + 1, functions + 1 + u32::from(exports % 2000));
            }
            Extreme::Clones { functions, imports } => {
                let mut ty = InstanceType::new();
                ty.export("r", ComponentTypeRef::Type(TypeBounds::SubResource));
                ty.ty().defined_type().borrow(0);
                let borrow = ComponentValType::Type(1);
                ty.ty().function().params([("x", borrow)]).result(None);
                for n in 0..functions {
                    ty.export(format!("f{n}").as_str(), ComponentTypeRef::Func(2));
                }
                let mut section = ComponentTypeSection::new();
                section.instance(&ty);
                put(&mut file, section);
                let mut section = ComponentImportSection::new();
                for _ in 0..imports {
                    section.import(format!("n{names}").as_str(), ComponentTypeRef::Instance(types));
                    names += 1;
                }
                put(&mut file, section);
                types += 1;
            }
            Extreme::Aliases { count } if types > 0 => {
                let mut section = ComponentAliasSection::new();
                for _ in 0..count {
                    section.alias(Alias::Outer {
                        kind: ComponentOuterAliasKind::Type,
                        count: 0,
                        index: types - 1,
                    });
                    types += 1;
                }
                put(&mut file, section);
            }
            Extreme::Aliases { .. } => {}
            Extreme::Components { deep } => {
                let mut within = COMPONENT.to_vec();
                for _ in 0..deep {
                    let mut around = COMPONENT.to_vec();
                    section(4, &within, &mut around);
                    within = around;
                }
                section(4, &within, &mut file);
            }
        }
    }
    file
}

#[test]
fn extreme_shapes() {
    let valid = [
        Extreme::Nested {
            component: false,
            deep: 50,
        },
        Extreme::Enum { names: 9, length: 9 },
        Extreme::Record { fields: 3 },
        Extreme::Tuples { deep: 3, width: 3 },
        Extreme::Function {
            parameters: 3,
            exports: 9,
        },
        Extreme::Clones {
            functions: 9,
            imports: 9,
        },
        Extreme::Aliases { count: 9 },
        Extreme::Components { deep: 9 },
    ];
    let shape = inspect_here(&extremes(&valid)).unwrap().shape;
    assert_eq!((shape.imports.len(), shape.exports.len()), (10, 9));
    check!()
        .with_type::<Vec<Extreme>>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|all| inspected(&extremes(all)));
}
