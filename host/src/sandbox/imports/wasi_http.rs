//! wasi:http, for guests that have it: its types are wasmtime's, what is sent goes the way of our own `http`.
//!
//! Redirects are the guest's business here: it gets the answer as it is, and what it asks for next is looked at as anything is.

use std::{
    any::Any,
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use wasmtime::{
    AsContextMut, Result, StoreContextMut,
    component::{Accessor, Lift, Linker, LinkerInstance, Lower, Resource, WasmStr},
};
use wasmtime_wasi_http::{
    Error, FieldMap, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
    p2::{
        bindings::http::{
            outgoing_handler::Host,
            types::{self, ErrorCode, HostOutgoingRequest as _, Method, Scheme},
        },
        types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest},
    },
    p3::{Request as Request3, Response as Response3, bindings::http as p3},
};

use super::{calls::Calls, state::State};
use crate::{
    http::{Access, Cause, Part, Problem, Request, is_hosts_own},
    limits::{Charge, Deadline, HEADERS_MAX},
};

pub(super) const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
const CLIENT: &str = "wasi:http/client@0.3.0";

/// How much the headers and unsent requests of one instance may hold. Resources are counted, but each of these may be large.
const OPEN_MAX: usize = 8 << 20;

/// After how many calls they are weighed: each call adds little, and weighing takes a look at every resource.
const WEIGHED_EVERY: u32 = 64;

/// The largest piece of a request's body, of which two wait until somebody reads them.
const PIECE_MAX: usize = 16 << 10;

/// The longest method, scheme and server. Arbitrary; the longest name of a server has 253 bytes.
const WORD_MAX: usize = 1 << 10;

/// What one instance has of wasi:http.
#[derive(Default)]
pub(crate) struct Web {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    calls: u32,
    /// What was weighed last.
    charge: Option<Charge>,
}

#[derive(Default)]
struct Hooks {
    /// Who sends the request that is being handed over, and the time that it has.
    sender: Option<(Arc<Access>, Duration)>,
    /// Whether more is held than may be. Nothing more is taken then.
    is_full: bool,
}

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
    words(&mut to, "set-authority", WORD_MAX, |view, request, name| {
        view.set_authority(request, name)
    })?;
    words(
        &mut to,
        "set-path-with-query",
        HEADERS_MAX as usize,
        |view, request, path| view.set_path_with_query(request, path),
    )?;
    linker.allow_shadowing(false);
    linker.instance(HANDLER)?.func_wrap("handle", handle)
}

/// Links the same of WASI 0.3, on an engine with component-model async.
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
        state.web.hooks.sender = Some(sender);
        Ok(())
    })?;
    // It is handed over at once, before anything else can run.
    let http = store.with_getter::<WasiHttp>(State::http);
    match <WasiHttp as p3::client::HostWithStore<State>>::send(&http, request).await {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

type Setter<T> = fn(&mut WasiHttpCtxView<'_>, Resource<HostOutgoingRequest>, T) -> Result<Result<(), ()>>;

/// A setter of a request, of which wasmtime's own would keep whatever it is given.
fn setter<T: Lift + Lower + Send + Sync + 'static>(
    to: &mut LinkerInstance<'_, State>,
    name: &str,
    set: Setter<T>,
) -> Result<()> {
    to.func_wrap(
        &format!("[method]outgoing-request.{name}"),
        move |mut store: StoreContextMut<'_, State>, (request, value): (Resource<HostOutgoingRequest>, T)| {
            if store.data().web.hooks.is_full {
                return Ok((Err(()),));
            }
            Ok((set(&mut store.data_mut().http(), request, value)?,))
        },
    )
}

/// A setter of something that is only text, which is not even copied if it has more than so many bytes.
fn words(to: &mut LinkerInstance<'_, State>, name: &str, most: usize, set: Setter<Option<String>>) -> Result<()> {
    to.func_wrap(
        &format!("[method]outgoing-request.{name}"),
        move |mut store: StoreContextMut<'_, State>,
              (request, text): (Resource<HostOutgoingRequest>, Option<WasmStr>)| {
            let text = text.as_ref().map(|text| text.to_str(&store)).transpose()?;
            if store.data().web.hooks.is_full || text.as_ref().is_some_and(|text| text.len() > most) {
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
    state.web.hooks.sender = Some(sender);
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
        web.calls = web.calls.wrapping_add(1);
        if web.calls.is_multiple_of(WEIGHED_EVERY) {
            let held: usize = table.iter_mut().map(|resource| weight(resource)).sum();
            web.hooks.is_full = held > OPEN_MAX;
            web.charge
                .get_or_insert_with(|| Charge::new(&limiter.budget(), 0))
                .follow(held as u64);
        }
        WasiHttpCtxView {
            hooks: &mut web.hooks,
            table,
            ctx: &mut web.ctx,
        }
    }
}

/// How much one resource holds, in bytes, as far as its size is the guest's choice and counted nowhere else.
fn weight(resource: &(dyn Any + Send)) -> usize {
    let headers = |map: &HeaderMap| -> usize {
        let lines = map.iter().map(|(name, value)| name.as_str().len() + value.len());
        lines.sum::<usize>() + map.len() * size_of::<(HeaderName, HeaderValue)>()
    };
    if let Some(fields) = resource.downcast_ref::<FieldMap>() {
        headers(fields)
    } else if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        let path = request.path_with_query.as_ref().map_or(0, String::len);
        let body = request.body.as_ref().map_or(0, |_| 2 * PIECE_MAX);
        headers(&request.headers) + path + body
    } else if let Some(request) = resource.downcast_ref::<Request3>() {
        let path = request.path_with_query.as_ref().map_or(0, |path| path.as_str().len());
        let server = request.authority.as_ref().map_or(0, |server| server.as_str().len());
        headers(&request.headers) + path + server + request.method.as_str().len()
    } else if let Some(response) = resource.downcast_ref::<Response3>() {
        headers(&response.headers)
    } else if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        headers(&response.headers)
    } else {
        0
    }
}

/// Whether a guest may neither write nor see a header line of this name. Its length is the guest's to say, and checked.
fn is_forbidden(name: &HeaderName) -> bool {
    is_hosts_own(name.as_str()) && name != ::http::header::CONTENT_LENGTH
}

type Exchange = (
    ::http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        self.is_full || is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE_MAX
    }

    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _io: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchange, Error>> + Send> {
        let sender = self.sender.take();
        Box::new(async move {
            let (access, time) = sender.ok_or(Error::HttpRequestDenied)?;
            let sent =
                Deadline::after(Instant::now(), time).bound(send(&access, request, options.unwrap_or_default(), time));
            let response = sent.await.map_err(|_| Error::HttpResponseTimeout)??;
            let nothing: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, nothing))
        })
    }
}

/// Sends a request whose body may still be coming, and reads the whole answer, so that secrets in it can be hidden.
async fn send(
    access: &Access,
    request: ::http::Request<WasiBody>,
    options: RequestOptions,
    time: Duration,
) -> Result<::http::Response<WasiBody>, Error> {
    let (head, mut incoming) = request.into_parts();
    let mut headers = Vec::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        if name != ::http::header::CONTENT_LENGTH {
            let text = std::str::from_utf8(value.as_bytes());
            let text = text.map_err(|_| Error::InternalError(Some(format!("the header `{name}` is not UTF-8"))))?;
            headers.push((name.to_string(), text.to_owned()));
        }
    }
    let mut request = Request {
        verb: head.method.to_string(),
        url: head.uri.to_string(),
        headers,
        as_is: true,
        // Of the two, the connection comes first.
        head_wait: options
            .first_byte_timeout
            .map(|wait| wait.saturating_add(options.connect_timeout.unwrap_or_default())),
        piece_wait: options.between_bytes_timeout,
        ..Request::default()
    };
    let mut held = access.hold(&request)?;
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(piece) => access.take(Part::Request, &mut body, &mut held, &piece)?,
            // Trailers, which are the host's to write.
            Err(_) => return Err(Error::HttpRequestTrailerSectionSize(Some(0))),
        }
    }
    request.body = body.into();
    let answer = access.fetch(request, time).await?;
    drop(held);
    let held = answer.held;
    let body = Full::new(Bytes::from(answer.body))
        // Counted until the guest has read it.
        .map_frame(move |frame| {
            let _ = &held;
            frame
        })
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = ::http::Response::new(body);
    *response.status_mut() = ::http::StatusCode::from_u16(answer.status).map_err(|_| Error::HttpProtocolError)?;
    for (name, value) in answer.headers {
        // What was a header line is one with a secret hidden, too.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
            let has_room = response.headers_mut().try_append(name, value);
            has_room.map_err(|_| Error::HttpResponseHeaderSectionSize(None))?;
        }
    }
    Ok(response)
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Denied(_) => Self::HttpRequestDenied,
            Problem::Invalid(why) => Self::InternalError(Some(why)),
            Problem::Timeout(_) => Self::HttpResponseTimeout,
            Problem::Unreachable(Cause::Name, why) => Self::DnsError {
                rcode: Some(why),
                info_code: None,
            },
            Problem::Unreachable(Cause::Refused, _) => Self::ConnectionRefused,
            Problem::Unreachable(Cause::Certificate, _) => Self::TlsCertificateError,
            Problem::Unreachable(Cause::Other, why) => Self::InternalError(Some(why)),
            Problem::Oversize(Part::Request, _) => Self::HttpRequestBodySize(None),
            Problem::Oversize(Part::Headers, _) => Self::HttpResponseHeaderSectionSize(None),
            Problem::Oversize(Part::Answer, _) => Self::HttpResponseBodySize(None),
        }
    }
}
