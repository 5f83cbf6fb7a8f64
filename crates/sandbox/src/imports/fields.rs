//! Replaces `fields` of wasi:http: wasmtime-wasi-http copies its arguments before it checks their size.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, LinkerInstance, Resource, WasmList, WasmStr},
    format_err,
};
use wasmtime_wasi_http::{
    FieldMap, FieldMapError, WasiHttpView,
    p2::{
        HeaderError as Trappable, HeaderResult,
        bindings::http::types::{HeaderError, HostFields},
        types::HostOutgoingResponse,
    },
};

use super::{charge::pay, state::State, wasi_http::TYPES};

/// The longest name of a header line, in bytes: the limit of the crate `http`.
const NAME_MAX: usize = 64 << 10;

/// The most bytes of one `fields`, with its overhead: wasmtime-wasi-http's own limit.
const FIELDS_MAX: usize = 128 << 10;

/// The least that one line counts towards that limit, in bytes.
const LINE_MIN: usize = 32;

type Fields = Resource<FieldMap>;
type Changed = std::result::Result<(), HeaderError>;
type Bytes = WasmList<u8>;

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut to = linker.instance(TYPES)?;
    reading(&mut to)?;
    writing(&mut to)?;
    to.func_wrap(
        "[constructor]outgoing-response",
        |_: StoreContextMut<'_, State>, _: (Fields,)| -> Result<(Resource<HostOutgoingResponse>,)> {
            Err(format_err!(
                "a worker gets its actions from the run and not by HTTP, so it cannot send a response"
            ))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn reading(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap(
        "[method]fields.has",
        |mut store: StoreContextMut<'_, State>, (fields, name): (Fields, WasmStr)| {
            Ok((match text(&mut store, &name)? {
                Some(name) => store.data_mut().http().has(fields, name)?,
                None => false,
            },))
        },
    )?;
    to.func_wrap(
        "[method]fields.get",
        |mut store: StoreContextMut<'_, State>, (fields, name): (Fields, WasmStr)| {
            Ok((match text(&mut store, &name)? {
                Some(name) => store.data_mut().http().get(fields, name)?,
                None => Vec::new(),
            },))
        },
    )
}

fn writing(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap(
        "[method]fields.delete",
        |mut store: StoreContextMut<'_, State>, (fields, name): (Fields, WasmStr)| -> Result<(Changed,)> {
            let Some(name) = text(&mut store, &name)? else {
                return Ok((Err(HeaderError::InvalidSyntax),));
            };
            changed(store.data_mut().http().delete(fields, name))
        },
    )?;
    to.func_wrap(
        "[method]fields.append",
        |mut store: StoreContextMut<'_, State>,
         (fields, name, value): (Fields, WasmStr, Bytes)|
         -> Result<(Changed,)> {
            let Some(name) = text(&mut store, &name)? else {
                return Ok((Err(HeaderError::InvalidSyntax),));
            };
            let value = copied(&mut store, &[value])?.pop().unwrap_or_default();
            changed(store.data_mut().http().append(fields, name, value))
        },
    )?;
    to.func_wrap(
        "[method]fields.set",
        |mut store: StoreContextMut<'_, State>,
         (fields, name, values): (Fields, WasmStr, WasmList<Bytes>)|
         -> Result<(Changed,)> {
            fits(values.len() * LINE_MIN)?;
            let Some(name) = text(&mut store, &name)? else {
                return Ok((Err(HeaderError::InvalidSyntax),));
            };
            let values: Vec<Bytes> = values.iter(&mut store)?.collect::<Result<_>>()?;
            let values = copied(&mut store, &values)?;
            changed(store.data_mut().http().set(fields, name, values))
        },
    )?;
    to.func_wrap(
        "[static]fields.from-list",
        |mut store: StoreContextMut<'_, State>, (entries,): (WasmList<(WasmStr, Bytes)>,)| {
            fits(entries.len() * LINE_MIN)?;
            let entries: Vec<(WasmStr, Bytes)> = entries.iter(&mut store)?.collect::<Result<_>>()?;
            let (names, values): (Vec<WasmStr>, Vec<Bytes>) = entries.into_iter().unzip();
            let values = copied(&mut store, &values)?;
            let mut entries = Vec::with_capacity(values.len());
            let mut bytes = 0;
            for (name, value) in names.iter().zip(values) {
                let Some(name) = text(&mut store, name)? else {
                    return Ok((Err(HeaderError::InvalidSyntax),));
                };
                bytes += name.len();
                fits(bytes)?;
                entries.push((name, value));
            }
            Ok((match store.data_mut().http().from_list(entries) {
                Ok(fields) => Ok(fields),
                Err(error) => Err(error.downcast()?),
            },))
        },
    )
}

/// Copies a name out of the guest. None: it is too long.
///
/// # Errors
/// It is not UTF-8, or not enough fuel is left; traps the guest.
fn text(store: &mut StoreContextMut<'_, State>, text: &WasmStr) -> Result<Option<String>> {
    let text = text.to_str(&*store)?;
    let bytes = text.len();
    let text = (bytes < NAME_MAX).then(|| text.into_owned());
    pay(store, bytes, 0)?;
    Ok(text)
}

/// Copies values out of the guest.
///
/// # Errors
/// They are more than a `fields` may hold, or not enough fuel is left; traps the guest.
fn copied(store: &mut StoreContextMut<'_, State>, values: &[Bytes]) -> Result<Vec<Vec<u8>>> {
    let bytes = values.iter().map(WasmList::len).sum::<usize>();
    fits(bytes)?;
    pay(store, bytes, values.len())?;
    Ok(values.iter().map(|value| value.as_le_slice(&*store).to_vec()).collect())
}

/// Checks that a `fields` may hold this many bytes.
///
/// # Errors
/// It may not; traps the guest, as wasmtime-wasi-http does.
fn fits(bytes: usize) -> Result<()> {
    match bytes <= FIELDS_MAX {
        true => Ok(()),
        false => Err(FieldMapError::TotalSizeTooBig.into()),
    }
}

fn changed(result: HeaderResult<()>) -> Result<(Changed,)> {
    Ok((match result {
        Ok(()) => Ok(()),
        Err(error) => Err(Trappable::downcast(error)?),
    },))
}
