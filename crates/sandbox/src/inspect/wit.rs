//! Formats the types of a component as text of bounded length.
//!
//! Not wit-component: it prints whole packages that it decodes first, without a bound, and not the type of one export.

use wasmparser::{
    component_types::{
        ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentValType,
    },
    types::Types,
};

/// The longest text of one type, in bytes. Nested types that each use the next one twice take a few bytes in a file and
/// gigabytes as text, and so does a long name that is used a thousand times.
const TEXT_MAX: usize = 2 << 10;

/// The type in WIT syntax, with named types written out. Cut at 2 KiB, with an ellipsis.
pub(super) fn text(types: &Types, ty: ComponentEntityType) -> String {
    let mut printer = Printer {
        types,
        text: String::new(),
        is_full: false,
    };
    printer.entity(ty);
    printer.text
}

/// Writes until the text is full; ignores everything after that.
struct Printer<'a> {
    types: &'a Types,
    text: String,
    is_full: bool,
}

impl Printer<'_> {
    fn word(&mut self, word: &str) {
        if self.is_full {
            return;
        }
        let left = TEXT_MAX.saturating_sub(self.text.len());
        if word.len() <= left {
            self.text.push_str(word);
        } else {
            self.text.push_str(&word[..word.floor_char_boundary(left)]);
            self.text.push('…');
            self.is_full = true;
        }
    }

    /// Writes a list with commas. Ends early when the text is full.
    fn list<T>(&mut self, all: impl IntoIterator<Item = T>, mut one: impl FnMut(&mut Self, T)) {
        for (at, item) in all.into_iter().enumerate() {
            if self.is_full {
                return;
            }
            if at > 0 {
                self.word(", ");
            }
            one(self, item);
        }
    }

    fn entity(&mut self, ty: ComponentEntityType) {
        match ty {
            ComponentEntityType::Func(id) => self.func(id),
            ComponentEntityType::Instance(_) => self.word("interface"),
            ComponentEntityType::Type {
                referenced: ComponentAnyTypeId::Resource(_),
                ..
            } => self.word("resource"),
            ComponentEntityType::Type { .. } | ComponentEntityType::Value(_) => self.word("type"),
            ComponentEntityType::Module(_) => self.word("core module"),
            ComponentEntityType::Component(_) => self.word("component"),
        }
    }

    fn func(&mut self, id: ComponentFuncTypeId) {
        let types = self.types;
        let Some(func) = types.as_ref().get(id) else {
            return self.word("func");
        };
        self.word(if func.async_ { "async func(" } else { "func(" });
        self.list(func.params.iter(), |printer, (_, ty)| printer.value(*ty));
        self.word(")");
        if let Some(result) = func.result {
            self.word(" -> ");
            self.value(result);
        }
    }

    /// Writes a type with type arguments, `_` for one that is missing.
    fn generic(&mut self, name: &str, types: &[Option<ComponentValType>]) {
        self.word(name);
        self.word("<");
        self.list(types, |printer, ty| match ty {
            Some(ty) => printer.value(*ty),
            None => printer.word("_"),
        });
        self.word(">");
    }

    /// Writes a value type. Recursion is bounded by the validator, which rejects types nested deeper than 100.
    fn value(&mut self, ty: ComponentValType) {
        if self.is_full {
            return;
        }
        let id = match ty {
            ComponentValType::Primitive(primitive) => return self.word(&primitive.to_string()),
            ComponentValType::Type(id) => id,
        };
        let types = self.types;
        match types.as_ref().get(id) {
            Some(ComponentDefinedType::Primitive(primitive)) => self.word(&primitive.to_string()),
            Some(ComponentDefinedType::Record(record)) => {
                self.word("record { ");
                self.list(record.fields.iter(), |printer, (name, ty)| {
                    printer.word(name);
                    printer.word(": ");
                    printer.value(*ty);
                });
                self.word(" }");
            }
            Some(ComponentDefinedType::Variant(variant)) => {
                self.word("variant { ");
                self.list(variant.cases.iter(), |printer, (name, case)| {
                    printer.word(name);
                    if let Some(ty) = case.ty {
                        printer.word("(");
                        printer.value(ty);
                        printer.word(")");
                    }
                });
                self.word(" }");
            }
            Some(ComponentDefinedType::List { element, .. }) => self.generic("list", &[Some(*element)]),
            Some(ComponentDefinedType::Option { ty, .. }) => self.generic("option", &[Some(*ty)]),
            Some(ComponentDefinedType::Result { ok, err, .. }) => match (ok, err) {
                (None, None) => self.word("result"),
                (Some(_), None) => self.generic("result", &[*ok]),
                _ => self.generic("result", &[*ok, *err]),
            },
            Some(ComponentDefinedType::Tuple(tuple)) => {
                self.word("tuple<");
                self.list(tuple.types.iter(), |printer, ty| printer.value(*ty));
                self.word(">");
            }
            Some(ComponentDefinedType::Enum(names)) => {
                self.word("enum { ");
                self.list(names.iter(), |printer, name| printer.word(name));
                self.word(" }");
            }
            Some(ComponentDefinedType::Future { ty, .. }) => self.generic("future", &[*ty]),
            Some(ComponentDefinedType::Stream { ty, .. }) => self.generic("stream", &[*ty]),
            Some(ComponentDefinedType::Own(_)) => self.word("own"),
            Some(ComponentDefinedType::Borrow(_)) => self.word("borrow"),
            _ => self.word("another type"),
        }
    }
}
