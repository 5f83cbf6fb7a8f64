//! Links imports that trap when they are called: unknown ones, and those that a role may not call.
//!
//! Wasmtime's own `define_unknown_imports_as_traps` is not used because it also shadows imports that are linked under a
//! compatible version.

use wasmtime::{
    Engine, Error, Result,
    component::{Linker, LinkerInstance, ResourceType, types::ComponentItem},
    format_err,
};

use super::state::State;

/// Links an unknown import of this name and type, with all its functions.
pub(crate) fn link_unknown(linker: &mut Linker<State>, engine: &Engine, name: &str, ty: &ComponentItem) -> Result<()> {
    let ComponentItem::ComponentInstance(instance) = ty else {
        return link(&mut linker.root(), name, name, ty);
    };
    let mut to = linker.instance(name)?;
    for (export, item) in instance.exports(engine) {
        link(&mut to, &format!("{name}#{export}"), export, &item.ty)?;
    }
    Ok(())
}

/// Makes the functions of a worker's interface trap, for a component that is not started as a worker. They trap before
/// their arguments are copied. `linked`: the name under which the host links the interface. Its types stay.
pub(crate) fn link_denied(linker: &mut Linker<State>, engine: &Engine, ty: &ComponentItem, linked: &str) -> Result<()> {
    let ComponentItem::ComponentInstance(instance) = ty else {
        return Ok(());
    };
    linker.allow_shadowing(true);
    let mut to = linker.instance(linked)?;
    for (export, item) in instance.exports(engine) {
        if let ComponentItem::ComponentFunc(func) = item.ty {
            traps(&mut to, export, func.async_(), |state| {
                let error = state.worker().err();
                error.unwrap_or_else(|| format_err!("it is started as an operation"))
            })?;
        }
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn link(to: &mut LinkerInstance<'_, State>, path: &str, name: &str, item: &ComponentItem) -> Result<()> {
    match item {
        ComponentItem::ComponentFunc(func) => {
            let path = path.to_owned();
            traps(to, name, func.async_(), move |_| {
                format_err!("this host does not provide `{path}`")
            })
        }
        ComponentItem::Resource(_) => to.resource(name, ResourceType::host::<()>(), |_, _| Ok(())),
        // Types need no link. Imports of modules or components fail later, when the component is linked.
        _ => Ok(()),
    }
}

/// Links a function that traps with this error.
fn traps(
    to: &mut LinkerInstance<'_, State>,
    name: &str,
    is_async: bool,
    why: impl Fn(&mut State) -> Error + Clone + Send + Sync + 'static,
) -> Result<()> {
    match is_async {
        false => to.func_new(name, move |mut store, _, _, _| Err(why(store.data_mut()))),
        true => to.func_new_concurrent(name, move |store, _, _, _| {
            let why = why.clone();
            Box::pin(async move { Err(store.with(|mut access| why(access.get()))) })
        }),
    }
}
