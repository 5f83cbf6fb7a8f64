//! Checks that a component fits the allocation pool, before it is compiled. The engine itself rejects a component that
//! does not fit only after it has compiled all of it.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentTypeRef, Instance, Parser, Payload,
};

use crate::engine::{CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, TABLE_ELEMENTS, TABLES_PER_COMPONENT};

/// The largest initial size of a memory, in bytes: the address space that the pool reserves for each.
const MEMORY_MAX: u64 = 4 << 30;

/// Why a component does not fit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CapacityError {
    #[error("{what} has {count} {of}, over the limit of {most}")]
    Count {
        what: &'static str,
        count: u64,
        of: &'static str,
        most: u64,
    },
    #[error(transparent)]
    Invalid(#[from] BinaryReaderError),
}

/// Checks a count against its limit.
///
/// # Errors
/// It is over the limit.
fn at_most(what: &'static str, count: u64, of: &'static str, most: u64) -> Result<(), CapacityError> {
    match count > most {
        true => Err(CapacityError::Count { what, count, of, most }),
        false => Ok(()),
    }
}

/// The pool slots that one module or one component takes.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    instances: u64,
    memories: u64,
    tables: u64,
}

impl Needs {
    fn check(self, what: &'static str) -> Result<(), CapacityError> {
        at_most(
            what,
            self.instances,
            "core instances",
            CORE_INSTANCES_PER_COMPONENT.into(),
        )?;
        at_most(what, self.memories, "memories", MEMORIES_PER_COMPONENT.into())?;
        at_most(what, self.tables, "tables", TABLES_PER_COMPONENT.into())
    }
}

/// Checks a component: each core module in it, and the instances that the outermost component makes of its own modules.
/// The engine checks other instances.
///
/// # Errors
/// It does not fit, or cannot be read.
pub(crate) fn check(component: &[u8]) -> Result<(), CapacityError> {
    // For each open module or component: whether it is a module, and its needs.
    let mut open: Vec<(bool, Needs)> = Vec::new();
    let mut modules: Vec<Needs> = Vec::new();
    let mut all = Needs::default();
    // Whether module indices are indices into `modules`.
    let mut is_numbered = true;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let is_outermost = open.len() == 1;
        match payload {
            Payload::Version { encoding, .. } => {
                open.push((encoding == wasmparser::Encoding::Module, Needs::default()));
            }
            Payload::End(_) => {
                if let Some((true, needs)) = open.pop() {
                    needs.check("a core module")?;
                    if open.len() == 1 {
                        modules.push(needs);
                    }
                }
            }
            Payload::TableSection(section) => {
                if let Some((_, needs)) = open.last_mut() {
                    needs.tables += u64::from(section.count());
                }
                for table in section {
                    let elements = table?.ty.initial;
                    at_most("a table", elements, "elements", TABLE_ELEMENTS as u64)?;
                }
            }
            Payload::MemorySection(section) => {
                if let Some((_, needs)) = open.last_mut() {
                    needs.memories += u64::from(section.count());
                }
                for memory in section {
                    let memory = memory?;
                    let page = 1u64 << memory.page_size_log2.unwrap_or(16).min(16);
                    let bytes = memory.initial.saturating_mul(page);
                    at_most("a memory", bytes, "bytes", MEMORY_MAX)?;
                }
            }
            Payload::InstanceSection(section) if is_outermost => {
                for instance in section {
                    let Instance::Instantiate { module_index, .. } = instance? else {
                        continue;
                    };
                    all.instances += 1;
                    let module = modules.get(module_index as usize).filter(|_| is_numbered);
                    let module = module.copied().unwrap_or_default();
                    all.memories += module.memories;
                    all.tables += module.tables;
                }
            }
            Payload::ComponentImportSection(section) if is_outermost => {
                for import in section {
                    is_numbered &= !matches!(import?.ty, ComponentTypeRef::Module(_));
                }
            }
            Payload::ComponentAliasSection(section) if is_outermost => {
                for alias in section {
                    if let ComponentAlias::InstanceExport { kind, .. } = alias? {
                        is_numbered &= kind != ComponentExternalKind::Module;
                    }
                }
            }
            _ => {}
        }
    }
    all.check("it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        match check(&wat::parse_str(text).unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn component_over_a_limit_is_rejected_with_the_limit() {
        let module = |what: &str| format!("(component (core module {what}))");
        assert_eq!(of(&module("(table 1000000 funcref) (memory 1)")), "");
        assert_eq!(
            of(&module("(table 1000001 funcref)")),
            "a table has 1000001 elements, over the limit of 1000000"
        );
        assert_eq!(
            of(&module(&"(memory 1)".repeat(9))),
            "a core module has 9 memories, over the limit of 8"
        );
        assert!(of(&module("(memory i64 65537)")).starts_with("a memory has 4295032832 bytes"));
        let instances = |what: &str, times: usize| {
            let instances = "(core instance (instantiate $m))".repeat(times);
            of(&format!(
                "(component (core module) (core module $m {what}) {instances})"
            ))
        };
        assert_eq!(instances("", 64), "");
        assert_eq!(instances("", 65), "it has 65 core instances, over the limit of 64");
        assert_eq!(instances("(memory 1)", 9), "it has 9 memories, over the limit of 8");
        // Instances in a nested component do not count here.
        assert_eq!(of("(component (component (core module (memory 1))))"), "");
    }
}
