//! The HTTP client of a run, and how it resolves names.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection, HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{
    address::{NotPublic, is_public},
    paced::Paced,
};
use disperse_protocol::limits::{Deadline, HEADERS_MAX};

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many idle connections to one server are kept, and for how long. Arbitrary.
const IDLE_MAX: usize = 32;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Sends requests; made for the first request, since it reads the machine's certificates. All workers share its
/// connections: a request is checked before it gets here, and a connection depends on nothing but the server's address.
/// It follows no redirects, takes no proxy from the environment and decompresses nothing.
pub struct Client {
    resolver: Arc<dyn Resolver>,
    made: OnceLock<Result<Connections, String>>,
}

/// The connections of all workers.
pub(super) type Connections = legacy::Client<Connector, Full<Bytes>>;

/// Resolves names to addresses.
pub(super) trait Resolver: Send + Sync {
    /// All addresses of a name.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// A name resolves to no address.
#[derive(Debug, thiserror::Error)]
#[error("no address is known for `{name}`: {error}")]
pub(super) struct Unknown {
    name: String,
    error: io::Error,
}

impl Unknown {
    pub(super) fn error(&self) -> &io::Error {
        &self.error
    }
}

/// Connecting to a server takes too long.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
pub(super) struct Slow;

/// The system's resolver.
struct System;

impl Resolver for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why a connection failed.
type BoxError = Box<dyn Error + Send + Sync>;
type Opening<T> = BoxFuture<'static, Result<T, BoxError>>;

/// Returns the addresses that it has checked and no others, so that a second lookup cannot differ from the first.
#[derive(Clone)]
struct Checked(Arc<dyn Resolver>);

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let name = name.as_str().to_owned();
        let found = self.0.resolve(name.clone());
        Box::pin(async move {
            let found = match found.await {
                Ok(found) => found,
                Err(error) => return Err(Unknown { name, error }.into()),
            };
            // One address that is not public is enough: a server that mixes them does so on purpose.
            if let Some(&address) = found.iter().find(|address| !is_public(**address)) {
                return Err(NotPublic { name, address }.into());
            }
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(addresses.collect::<Vec<_>>().into_iter())
        })
    }
}

/// Opens TCP connections, which are read in small steps.
#[derive(Clone)]
struct Tcp(HttpConnector<Checked>);

impl Service<Uri> for Tcp {
    type Response = TokioIo<Paced<TcpStream>>;
    type Error = BoxError;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let opening = self.0.call(server).map_err(Into::into);
        opening
            .map_ok(|stream| TokioIo::new(Paced::new(stream.into_inner())))
            .boxed()
    }
}

/// Opens connections, with TLS for https, within a timeout.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<Tcp>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<Paced<TcpStream>>>;
    type Error = BoxError;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let opening = self.0.call(server);
        Box::pin(async move {
            match Deadline::after(Instant::now(), CONNECT_TIMEOUT).bound(opening).await {
                Ok(opened) => opened,
                Err(_) => Err(Slow.into()),
            }
        })
    }
}

impl Connection for Paced<TcpStream> {
    fn connected(&self) -> Connected {
        self.inner().connected()
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::with(Arc::new(System))
    }
}

impl Client {
    pub(super) fn with(resolver: Arc<dyn Resolver>) -> Self {
        Self {
            resolver,
            made: OnceLock::new(),
        }
    }

    /// # Errors
    /// The client cannot be made; holds the reason.
    pub(super) fn get(&self) -> Result<&Connections, &String> {
        self.made
            .get_or_init(|| make(self.resolver.clone()).map_err(|error| error.to_string()))
            .as_ref()
    }
}

fn make(resolver: Arc<dyn Resolver>) -> Result<Connections, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates still reaches servers without TLS.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new_with_resolver(Checked(resolver));
    // TLS comes on top of it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(Tcp(tcp));
    let client = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIME)
        .http2_max_header_list_size(HEADERS_MAX as u32)
        .build(Connector(connector));
    Ok(client)
}
