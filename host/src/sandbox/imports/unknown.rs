//! Imports that the host does not know. A component may have them; calling one traps.
//!
//! Wasmtime's own `define_unknown_imports_as_traps` is not used because it also shadows what is linked under a compatible
//! version.

use wasmtime::{
    Engine, Result,
    component::{
        Component, Linker, LinkerInstance, ResourceType,
        types::{ComponentExtern, ComponentItem},
    },
    format_err,
};

use crate::sandbox::state::State;

/// Links the import of this name, with everything in it.
pub(in crate::sandbox) fn link_unknown(
    linker: &mut Linker<State>,
    engine: &Engine,
    component: &Component,
    name: &str,
) -> Result<()> {
    let ty = component.component_type();
    match ty.get_import(engine, name) {
        Some(ComponentExtern {
            ty: ComponentItem::ComponentInstance(instance),
            ..
        }) => {
            let mut to = linker.instance(name)?;
            for (export, item) in instance.exports(engine) {
                link(&mut to, &format!("{name}#{export}"), export, &item.ty)?;
            }
            Ok(())
        }
        Some(item) => link(&mut linker.root(), name, name, &item.ty),
        None => Ok(()),
    }
}

fn link(to: &mut LinkerInstance<'_, State>, path: &str, name: &str, item: &ComponentItem) -> Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let path = path.to_owned();
            to.func_new(name, move |_, _, _, _| {
                Err(format_err!("this host does not provide `{path}`"))
            })
        }
        ComponentItem::Resource(_) => to.resource(name, ResourceType::host::<()>(), |_, _| Ok(())),
        // Types need nothing. A module or a component is refused when the import is linked.
        _ => Ok(()),
    }
}
