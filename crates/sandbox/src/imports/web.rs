//! The wasi:http state of one instance, and how its requests are sent.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    Error, FieldMap, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    p2::types::{HostIncomingResponse, HostOutgoingRequest},
    p3::{Request as Request3, Response as Response3},
};

use disperse_egress::http::{Access, Cause, Part, Problem, Request, is_hosts_own};
use disperse_protocol::limits::{Budget, Charge, Deadline};

/// The most bytes of headers and unsent requests of one instance. The number of resources is limited too, but each of
/// these may be large.
const OPEN_MAX: usize = 8 << 20;

/// The calls between two measurements: each call adds little, and a measurement visits every resource.
const WEIGHED_EVERY: u32 = 64;

/// The largest piece of a request's body, in bytes. At most two pieces wait to be read.
const PIECE_MAX: usize = 16 << 10;

/// The wasi:http state of one instance.
#[derive(Default)]
pub struct Web {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    calls: u32,
    /// The charge for the size that was measured last.
    charge: Option<Charge>,
}

#[derive(Default)]
struct Hooks {
    /// The access and the timeout for the request that is being handed over.
    sender: Option<(Arc<Access>, Duration)>,
    /// Whether more is held than allowed. Then further requests and headers fail.
    is_full: bool,
}

impl Web {
    /// Sets the access and the timeout for the request that is handed over next.
    pub(super) fn set_sender(&mut self, sender: (Arc<Access>, Duration)) {
        self.hooks.sender = Some(sender);
    }

    /// Whether more is held than allowed.
    pub(super) fn is_full(&self) -> bool {
        self.hooks.is_full
    }

    /// The view that wasmtime-wasi-http works on. From time to time measures what `table` holds and charges it to
    /// `budget`.
    pub(super) fn view<'a>(
        &'a mut self,
        table: &'a mut ResourceTable,
        budget: impl FnOnce() -> Arc<Budget>,
    ) -> WasiHttpCtxView<'a> {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(WEIGHED_EVERY) {
            let held: usize = table.iter_mut().map(|resource| weight(resource)).sum();
            self.hooks.is_full = held > OPEN_MAX;
            self.charge
                .get_or_insert_with(|| Charge::new(&budget(), 0))
                .follow(held as u64);
        }
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table,
            ctx: &mut self.ctx,
        }
    }
}

/// The bytes that one resource holds, if the guest chooses its size and nothing else counts it.
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

/// Whether a guest may neither write nor see a header line of this name. It may write `content-length`, which is
/// checked.
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

/// Sends a request when its body is complete, and reads the whole response, so that secrets in it can be hidden.
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
        // The first byte comes after the connection, so the two timeouts add up.
        head_wait: options
            .first_byte_timeout
            .map(|wait| wait.saturating_add(options.connect_timeout.unwrap_or_default())),
        piece_wait: options.between_bytes_timeout,
        ..Request::default()
    };
    let mut held = access.hold(&request).map_err(error_code)?;
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(piece) => access
                .take(Part::Request, &mut body, &mut held, &piece)
                .map_err(error_code)?,
            // Trailers, which only the host writes.
            Err(_) => return Err(Error::HttpRequestTrailerSectionSize(Some(0))),
        }
    }
    request.body = body.into();
    let answer = access.fetch(request, time).await.map_err(error_code)?;
    drop(held);
    let held = answer.held;
    let body = Full::new(Bytes::from(answer.body))
        // Charged until the guest has read it.
        .map_frame(move |frame| {
            let _ = &held;
            frame
        })
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = ::http::Response::new(body);
    *response.status_mut() = ::http::StatusCode::from_u16(answer.status).map_err(|_| Error::HttpProtocolError)?;
    for (name, value) in answer.headers {
        // A header line stays valid when a secret in it is hidden.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
            let has_room = response.headers_mut().try_append(name, value);
            has_room.map_err(|_| Error::HttpResponseHeaderSectionSize(None))?;
        }
    }
    Ok(response)
}

/// The error code of wasi:http for a problem.
fn error_code(problem: Problem) -> Error {
    match problem {
        Problem::Denied(_) => Error::HttpRequestDenied,
        Problem::Invalid(why) => Error::InternalError(Some(why)),
        Problem::Timeout(_) => Error::HttpResponseTimeout,
        Problem::Unreachable(Cause::Name, why) => Error::DnsError {
            rcode: Some(why),
            info_code: None,
        },
        Problem::Unreachable(Cause::Refused, _) => Error::ConnectionRefused,
        Problem::Unreachable(Cause::Certificate, _) => Error::TlsCertificateError,
        Problem::Unreachable(Cause::Other, why) => Error::InternalError(Some(why)),
        Problem::Oversize(Part::Request, _) => Error::HttpRequestBodySize(None),
        Problem::Oversize(Part::Headers, _) => Error::HttpResponseHeaderSectionSize(None),
        Problem::Oversize(Part::Answer, _) => Error::HttpResponseBodySize(None),
    }
}
