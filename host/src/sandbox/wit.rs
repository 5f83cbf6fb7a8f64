//! Types of a component in words.

use std::cell::Cell;

use wasmparser::{
    component_types::{
        ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentValType,
    },
    types::Types,
};

/// How many types are written for one that consists of them, and for all exports. A type that has another one twice, which
/// has another one twice, is written in a few bytes and never ends here.
const PARTS: u32 = 512;
const PARTS_OF_ALL: u32 = 1 << 18;

/// Writes types the way WIT does, with everything that has a name written out.
pub(super) struct Printer<'a> {
    types: &'a Types,
    /// How much is still written of the type, and of all.
    left: Cell<u32>,
    left_of_all: Cell<u32>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(types: &'a Types) -> Self {
        Self {
            types,
            left: Cell::new(0),
            left_of_all: Cell::new(PARTS_OF_ALL),
        }
    }

    /// Whether one more part of a type is written.
    fn one_more(&self) -> bool {
        let (left, of_all) = (self.left.get(), self.left_of_all.get());
        self.left.set(left.saturating_sub(1));
        self.left_of_all.set(of_all.saturating_sub(1));
        left > 0 && of_all > 0
    }

    pub(super) fn entity(&self, ty: ComponentEntityType) -> String {
        self.left.set(PARTS);
        match ty {
            ComponentEntityType::Func(id) => self.func(id),
            ComponentEntityType::Instance(_) => "interface".into(),
            ComponentEntityType::Type {
                referenced: ComponentAnyTypeId::Resource(_),
                ..
            } => "resource".into(),
            ComponentEntityType::Type { .. } | ComponentEntityType::Value(_) => "type".into(),
            ComponentEntityType::Module(_) => "core module".into(),
            ComponentEntityType::Component(_) => "component".into(),
        }
    }

    fn func(&self, id: ComponentFuncTypeId) -> String {
        let Some(func) = self.types.as_ref().get(id) else {
            return "func".into();
        };
        let params: Vec<String> = func.params.iter().map(|(_, ty)| self.value(*ty)).collect();
        let word = if func.async_ { "async func" } else { "func" };
        match func.result {
            Some(result) => format!("{word}({}) -> {}", params.join(", "), self.value(result)),
            None => format!("{word}({})", params.join(", ")),
        }
    }

    fn value(&self, ty: ComponentValType) -> String {
        if !self.one_more() {
            return "…".into();
        }
        let id = match ty {
            ComponentValType::Primitive(primitive) => return primitive.to_string(),
            ComponentValType::Type(id) => id,
        };
        let or_none = |ty: &Option<ComponentValType>| ty.map_or_else(|| "_".into(), |ty| self.value(ty));
        match self.types.as_ref().get(id) {
            Some(ComponentDefinedType::Primitive(primitive)) => primitive.to_string(),
            Some(ComponentDefinedType::Record(record)) => {
                let fields: Vec<String> = record
                    .fields
                    .iter()
                    .map(|(name, ty)| format!("{name}: {}", self.value(*ty)))
                    .collect();
                format!("record {{ {} }}", fields.join(", "))
            }
            Some(ComponentDefinedType::Variant(variant)) => {
                let cases: Vec<String> = variant
                    .cases
                    .iter()
                    .map(|(name, case)| match case.ty {
                        Some(ty) => format!("{name}({})", self.value(ty)),
                        None => name.to_string(),
                    })
                    .collect();
                format!("variant {{ {} }}", cases.join(", "))
            }
            Some(ComponentDefinedType::List { element, .. }) => format!("list<{}>", self.value(*element)),
            Some(ComponentDefinedType::Option { ty, .. }) => format!("option<{}>", self.value(*ty)),
            Some(ComponentDefinedType::Result { ok, err, .. }) => match (ok, err) {
                (None, None) => "result".into(),
                (Some(_), None) => format!("result<{}>", or_none(ok)),
                _ => format!("result<{}, {}>", or_none(ok), or_none(err)),
            },
            Some(ComponentDefinedType::Tuple(tuple)) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.value(*ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            Some(ComponentDefinedType::Enum(names)) => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!("enum {{ {} }}", names.join(", "))
            }
            Some(ComponentDefinedType::Future { ty, .. }) => format!("future<{}>", or_none(ty)),
            Some(ComponentDefinedType::Stream { ty, .. }) => format!("stream<{}>", or_none(ty)),
            Some(ComponentDefinedType::Own(_)) => "own".into(),
            Some(ComponentDefinedType::Borrow(_)) => "borrow".into(),
            _ => "another type".into(),
        }
    }
}
