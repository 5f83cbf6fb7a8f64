//! Limits on the declarations in a file, checked before any other parser reads it.
//!
//! Parsers of types recurse: nested instance types, 2,000 deep and 6 KB long, overflow the stack of a thread. This
//! reads the same bytes without recursion.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentAlias, ComponentExternName, ComponentImport, ComponentType,
    ComponentTypeRef, CompositeInnerType, CoreType, InstanceTypeDeclaration, Parser, Payload, SubType,
};

/// The deepest nesting of types and of components. Wasmparser 0.254 has the same limit on nested values
/// (`MAX_WASM_COMPONENT_TYPE_DEPTH`).
pub(crate) const DEPTH_MAX: usize = 100;

/// The most items (types, their fields, functions, imports, exports and so on) of one file: twice the most functions of
/// one core module (`MAX_WASM_FUNCTIONS`). Each takes 100 to 300 bytes of memory during the inspection.
pub(crate) const ITEMS_MAX: u64 = 2_000_000;

/// Why a file is not inspected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoundsError {
    #[error("its types or components are nested more than {DEPTH_MAX} deep")]
    Depth,
    #[error("it declares more than {ITEMS_MAX} types, fields, functions, imports and exports")]
    Items,
    #[error("its imports, exports and instances, each with its largest type, come to more than {ITEMS_MAX} items")]
    Copies,
    #[error(transparent)]
    Invalid(#[from] BinaryReaderError),
}

/// Checks a component or a core module, and the types that toolchains leave in custom sections of core modules.
///
/// # Errors
/// It is over a limit, or cannot be read.
pub(crate) fn check(bytes: &[u8]) -> Result<(), BoundsError> {
    file(bytes, &mut Counts::default(), true)
}

/// The counts of a file so far.
#[derive(Debug, Default)]
struct Counts {
    items: u64,
    /// Items of the largest type, with all its declarations.
    largest: u64,
    /// Imports, exports and instances of components. For each, the validator may copy a whole type.
    copies: u64,
}

impl Counts {
    fn add(&mut self, more: u32) -> Result<(), BoundsError> {
        self.items += u64::from(more);
        if self.items > ITEMS_MAX {
            return Err(BoundsError::Items);
        }
        Ok(())
    }

    fn add_copies(&mut self, more: u32) -> Result<u32, BoundsError> {
        self.copies += u64::from(more);
        self.check_copies()?;
        Ok(more)
    }

    /// Notes the end of a type. `before`: the number of items before it.
    fn end_type(&mut self, before: u64) -> Result<(), BoundsError> {
        self.largest = self.largest.max(self.items.saturating_sub(before));
        self.check_copies()
    }

    fn check_copies(&self) -> Result<(), BoundsError> {
        if self.largest.saturating_mul(self.copies) > ITEMS_MAX {
            return Err(BoundsError::Copies);
        }
        Ok(())
    }
}

/// Checks a file. `customs`: also the types in its custom sections.
fn file(bytes: &[u8], counts: &mut Counts, customs: bool) -> Result<(), BoundsError> {
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let declared = match &payload {
            Payload::Version { .. } => {
                depth += 1;
                1
            }
            Payload::End(_) => {
                depth -= 1;
                0
            }
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    for ty in group?.types() {
                        counts.add(core_parts(ty))?;
                    }
                }
                0
            }
            Payload::ImportSection(section) => section.count(),
            Payload::FunctionSection(section) => section.count(),
            Payload::TableSection(section) => section.count(),
            Payload::MemorySection(section) => section.count(),
            Payload::TagSection(section) => section.count(),
            Payload::GlobalSection(section) => section.count(),
            Payload::ExportSection(section) => section.count(),
            Payload::ElementSection(section) => section.count(),
            Payload::DataSection(section) => section.count(),
            Payload::InstanceSection(section) => section.count(),
            Payload::CoreTypeSection(section) => section.count(),
            Payload::ComponentInstanceSection(section) => counts.add_copies(section.count())?,
            Payload::ComponentAliasSection(section) => section.count(),
            Payload::ComponentCanonicalSection(section) => section.count(),
            Payload::ComponentImportSection(section) => counts.add_copies(section.count())?,
            Payload::ComponentExportSection(section) => counts.add_copies(section.count())?,
            Payload::ComponentTypeSection(_) => {
                if let Some((_, range)) = payload.as_section() {
                    let data = bytes.get(range.clone()).unwrap_or_default();
                    types(BinaryReader::new(data, range.start), counts)?;
                }
                0
            }
            Payload::CustomSection(section) if customs && section.name().starts_with("component-type") => {
                // An invalid one is reported later, by the library that reads it.
                match file(section.data(), counts, false) {
                    Err(BoundsError::Invalid(_)) | Ok(()) => 0,
                    Err(error) => return Err(error),
                }
            }
            _ => 0,
        };
        counts.add(declared)?;
        if depth > DEPTH_MAX {
            return Err(BoundsError::Depth);
        }
    }
    Ok(())
}

/// Checks a section of component types.
fn types(mut reader: BinaryReader<'_>, counts: &mut Counts) -> Result<(), BoundsError> {
    // For each open type, the outermost first: the number of its declarations that are left.
    let mut open: Vec<u32> = Vec::new();
    let mut left = reader.read_var_u32()?;
    counts.add(left)?;
    // The number of items before the outermost open type.
    let mut before = counts.items;
    loop {
        if open.is_empty() {
            counts.end_type(before)?;
            before = counts.items;
        }
        if left == 0 {
            match open.pop() {
                Some(outer) => left = outer,
                None => return Ok(()),
            }
            continue;
        }
        left -= 1;
        let is_type = open.is_empty() || declaration(&mut reader, counts)?;
        if !is_type {
            continue;
        }
        match nested(&reader)? {
            true => {
                reader.read_u8()?;
                open.push(left);
                if open.len() > DEPTH_MAX {
                    return Err(BoundsError::Depth);
                }
                left = reader.read_var_u32()?;
                counts.add(left)?;
            }
            false => counts.add(parts(&reader.read()?))?,
        }
    }
}

/// Reads one declaration of a component or instance type. Returns true, without reading on, if it is a type.
fn declaration(reader: &mut BinaryReader<'_>, counts: &mut Counts) -> Result<bool, BoundsError> {
    let mut whole = reader.clone();
    match reader.read_u8()? {
        0x00 => _ = reader.read::<CoreType<'_>>()?,
        0x01 => return Ok(true),
        0x02 => _ = reader.read::<ComponentAlias<'_>>()?,
        0x03 => {
            reader.read::<ComponentImport<'_>>()?;
            counts.add_copies(1)?;
        }
        0x04 => {
            reader.read::<ComponentExternName<'_>>()?;
            reader.read::<ComponentTypeRef>()?;
        }
        // An unknown declaration: the usual parser gives the best error.
        _ => _ = whole.read::<InstanceTypeDeclaration<'_>>()?,
    }
    Ok(false)
}

/// Whether the next type has declarations: a component type or an instance type.
fn nested(reader: &BinaryReader<'_>) -> Result<bool, BinaryReaderError> {
    Ok(matches!(reader.clone().read_u8()?, 0x41 | 0x42))
}

/// The number of parts of a core type, itself included.
fn core_parts(ty: &SubType) -> u32 {
    let parts = match &ty.composite_type.inner {
        CompositeInnerType::Func(func) => func.params().len() + func.results().len(),
        CompositeInnerType::Struct(fields) => fields.fields.len(),
        CompositeInnerType::Array(_) | CompositeInnerType::Cont(_) => 1,
    };
    u32::try_from(parts).unwrap_or(u32::MAX).saturating_add(1)
}

/// The number of parts of a type without declarations.
fn parts(ty: &ComponentType<'_>) -> u32 {
    use wasmparser::ComponentDefinedType as Defined;
    let parts = match ty {
        ComponentType::Func(func) => func.params.len(),
        ComponentType::Defined(Defined::Record(fields)) => fields.len(),
        ComponentType::Defined(Defined::Variant(cases)) => cases.len(),
        ComponentType::Defined(Defined::Tuple(types)) => types.len(),
        ComponentType::Defined(Defined::Flags(names) | Defined::Enum(names)) => names.len(),
        _ => 0,
    };
    u32::try_from(parts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one section of types.
    fn component(types: &[u8]) -> Vec<u8> {
        let mut component = wasm_encoder::Component::new();
        component.section(&wasm_encoder::RawSection { id: 7, data: types });
        component.finish()
    }

    fn nested(deep: usize) -> Vec<u8> {
        component(&[b"\x01", &*b"\x42\x01\x01".repeat(deep), b"\x42\x00"].concat())
    }

    #[test]
    fn nesting_is_limited() {
        check(&nested(DEPTH_MAX - 1)).unwrap();
        for deep in [DEPTH_MAX, 1_000_000] {
            assert!(matches!(check(&nested(deep)), Err(BoundsError::Depth)), "{deep}");
        }
    }

    /// All kinds of declarations are read as the validator's parser reads them, and so are those after a nested type.
    #[test]
    fn type_after_all_kinds_of_declarations_is_found() {
        let text = r#"(component
            (type $t (list u8))
            (type (component
                (core type (module (import "a" "b" (func))))
                (type (record (field "a" u8)))
                (alias outer 1 $t (type $u))
                (import "i" (func (param "x" $u)))
                (export "r" (type (sub resource)))
                (type (instance (export "f" (func async (result u8)))))
                (export "e" (instance))
                (type (instance)))))"#;
        let bytes = wat::parse_str(text).unwrap();
        let section = Parser::new(0)
            .parse_all(&bytes)
            .find_map(|payload| match payload.unwrap() {
                payload @ Payload::ComponentTypeSection(_) => payload.as_section(),
                _ => None,
            });
        let types = &bytes[section.unwrap().1];
        // The last type is the empty instance type, nested in two others.
        let before = types.strip_suffix(b"\x42\x00").unwrap();
        let deep = |levels: usize| component(&[before, &b"\x42\x01\x01".repeat(levels), b"\x42\x00"].concat());
        assert!(bytes.starts_with(&deep(0)), "the names come after it");
        check(&deep(DEPTH_MAX - 2)).unwrap();
        assert!(matches!(check(&deep(DEPTH_MAX - 1)), Err(BoundsError::Depth)));
    }

    #[test]
    fn declarations_are_counted_at_all_levels() {
        let counted = |text: &str| {
            let mut counts = Counts::default();
            file(&wat::parse_str(text).unwrap(), &mut counts, true).unwrap();
            counts.items
        };
        let none = counted("(component)");
        assert_eq!(
            counted("(component (type (record (field \"a\" u8) (field \"b\" u8))))"),
            none + 3
        );
        assert_eq!(
            counted("(component (type (instance (type (enum \"a\" \"b\")))))"),
            none + 4
        );
        // A component, its module, and in it a type, a function and an export.
        assert_eq!(counted("(component (core module (func (export \"f\"))))"), none + 4);
        let lies = component(b"\xff\xff\xff\xff\x0f");
        assert!(matches!(check(&lies), Err(BoundsError::Items)));
    }

    /// Each import of an instance type with resources copies the whole type.
    #[test]
    fn imports_of_a_large_type_are_limited() {
        let text = |fields: usize, imports: usize| {
            let fields: String = (0..fields).map(|n| format!("(field \"f{n}\" u8)")).collect();
            let imports: String = (0..imports)
                .map(|n| format!("(import \"i{n}\" (instance (type $t)))"))
                .collect();
            format!(
                "(component (type $t (instance (type (record {fields})) (export \"r\" (type (sub resource))))) {imports})"
            )
        };
        let bytes = |fields, imports| wat::parse_str(text(fields, imports)).unwrap();
        check(&bytes(1000, 1000)).unwrap();
        assert!(matches!(check(&bytes(1000, 2000)), Err(BoundsError::Copies)));
        // In either order.
        let nested = format!("(component {} (type (record (field \"a\" u8))))", text(3000, 1000));
        assert!(matches!(
            check(&wat::parse_str(nested).unwrap()),
            Err(BoundsError::Copies)
        ));
    }
}
