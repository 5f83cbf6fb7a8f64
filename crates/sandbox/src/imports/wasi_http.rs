//! wasi:http: the types are those of wasmtime-wasi-http, and requests are sent as those of the interface `http`.
//!
//! Redirects are not followed: the guest gets the response as it is, and its next request is checked like any other.

use std::borrow::Cow;

use wasmtime::{
    AsContextMut, Result, StoreContextMut,
    component::{Accessor, Lift, Linker, LinkerInstance, Lower, Resource, WasmStr},
};
use wasmtime_wasi_http::{
    RequestOptions, WasiHttp, WasiHttpCtxView, WasiHttpView,
    p2::{
        bindings::http::{
            outgoing_handler::Host,
            types::{self, ErrorCode, HostOutgoingRequest as _, Method, Scheme},
        },
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
    p3::{Request as Request3, Response as Response3, bindings::http as p3},
};

use super::{calls::Calls, state::State};
use disperse_protocol::limits::HEADERS_MAX;

pub(super) const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
const CLIENT: &str = "wasi:http/client@0.3.0";

/// The longest method, scheme and authority, in bytes. Arbitrary; the longest host name has 253 bytes.
const WORD_MAX: usize = 1 << 10;

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    types::add_to_linker::<State, WasiHttp>(linker, &types::LinkOptions::default(), State::http)?;
    linker.allow_shadowing(true);
    let mut to = linker.instance(TYPES)?;
    setter(&mut to, "set-method", |view, request, method| match &method {
        Method::Other(word) if word.len() > WORD_MAX => Ok(Err(())),
        _ => view.set_method(request, method),
    })?;
    setter(&mut to, "set-scheme", |view, request, scheme| match &scheme {
        Some(Scheme::Other(word)) if word.len() > WORD_MAX => Ok(Err(())),
        _ => view.set_scheme(request, scheme),
    })?;
    text_setter(&mut to, "set-authority", WORD_MAX, |view, request, name| {
        view.set_authority(request, name)
    })?;
    text_setter(
        &mut to,
        "set-path-with-query",
        HEADERS_MAX as usize,
        |view, request, path| view.set_path_with_query(request, path),
    )?;
    linker.allow_shadowing(false);
    linker.instance(HANDLER)?.func_wrap("handle", handle)
}

/// Links wasi:http of WASI 0.3, on an engine with component-model async.
pub(super) fn link_3(linker: &mut Linker<State>) -> Result<()> {
    p3::types::add_to_linker::<State, WasiHttp>(linker, State::http)?;
    linker
        .instance(CLIENT)?
        .func_wrap_concurrent("send", |store, (request,)| Box::pin(send_3(store, request)))
}

type Sent3 = Result<Resource<Response3>, p3::types::ErrorCode>;

async fn send_3(store: &Accessor<State>, request: Resource<Request3>) -> Result<(Sent3,)> {
    store.with(|mut access| -> Result<()> {
        let mut store = access.as_context_mut();
        Calls::attribute(&mut store)?;
        let state = store.data_mut();
        let worker = state.worker()?;
        let sender = (worker.http.clone(), worker.left());
        state.web.set_sender(sender);
        Ok(())
    })?;
    // The request is handed over at once, before another task can run and change the sender.
    let http = store.with_getter::<WasiHttp>(State::http);
    match <WasiHttp as p3::client::HostWithStore<State>>::send(&http, request).await {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

type Setter<T> = fn(&mut WasiHttpCtxView<'_>, Resource<HostOutgoingRequest>, T) -> Result<Result<(), ()>>;

/// Links a setter of a request. Wasmtime's own setters keep values of any size.
fn setter<T: Lift + Lower + Send + Sync + 'static>(
    to: &mut LinkerInstance<'_, State>,
    name: &str,
    set: Setter<T>,
) -> Result<()> {
    to.func_wrap(
        &format!("[method]outgoing-request.{name}"),
        move |mut store: StoreContextMut<'_, State>, (request, value): (Resource<HostOutgoingRequest>, T)| {
            if store.data().web.is_full() {
                return Ok((Err(()),));
            }
            Ok((set(&mut store.data_mut().http(), request, value)?,))
        },
    )
}

/// Links a setter of a text. A text of more than `max` bytes is not copied.
fn text_setter(to: &mut LinkerInstance<'_, State>, name: &str, max: usize, set: Setter<Option<String>>) -> Result<()> {
    to.func_wrap(
        &format!("[method]outgoing-request.{name}"),
        move |mut store: StoreContextMut<'_, State>,
              (request, text): (Resource<HostOutgoingRequest>, Option<WasmStr>)| {
            let text = text.as_ref().map(|text| text.to_str(&store)).transpose()?;
            if store.data().web.is_full() || text.as_ref().is_some_and(|text| text.len() > max) {
                return Ok((Err(()),));
            }
            let text = text.map(Cow::into_owned);
            Ok((set(&mut store.data_mut().http(), request, text)?,))
        },
    )
}

type Sent = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

fn handle(
    mut store: StoreContextMut<'_, State>,
    (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>),
) -> Result<(Sent,)> {
    Calls::attribute(&mut store)?;
    let state = store.data_mut();
    let worker = state.worker()?;
    let sender = (worker.http.clone(), worker.left());
    state.web.set_sender(sender);
    match state.http().handle(request, options) {
        Ok(future) => Ok((Ok(future),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self {
            web, table, limiter, ..
        } = self;
        web.view(table, || limiter.budget())
    }
}
