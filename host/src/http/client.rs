//! The one client of a run, and how it finds servers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore};

use super::address::{NotPublic, is_public};
use crate::limits::HEADERS_MAX;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many idle connections to one server are kept, and for how long. Chosen freely.
const IDLE_MAX: usize = 32;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Sends requests; made when the first is sent, since it reads the machine's certificates. Its connections are shared by all
/// workers: what a request may do is decided before it gets here, and nothing but the server's address outlives it.
pub(crate) struct Client {
    resolver: Arc<dyn Resolver>,
    made: OnceLock<Result<reqwest::Client, String>>,
}

/// From names to addresses.
pub(super) trait Resolver: Send + Sync {
    /// All addresses of a name.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// A name stands for no address.
#[derive(Debug, thiserror::Error)]
#[error("no address is known for `{name}`: {error}")]
pub(super) struct Unknown {
    name: String,
    error: io::Error,
}

/// The system's.
struct System;

impl Resolver for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Hands out the addresses that it has looked at and no others, so that a second answer cannot differ from the first.
struct Checked(Arc<dyn Resolver>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let found = self.0.resolve(name.clone());
        Box::pin(async move {
            let found = match found.await {
                Ok(found) => found,
                Err(error) => return Err(Unknown { name, error }.into()),
            };
            // One that is not public is enough: who mixes them has it in mind.
            if let Some(&address) = found.iter().find(|address| !is_public(**address)) {
                return Err(NotPublic { name, address }.into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
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
    /// None can be made; says why.
    pub(super) fn get(&self) -> Result<&reqwest::Client, &String> {
        self.made
            .get_or_init(|| make(self.resolver.clone()).map_err(|error| error.to_string()))
            .as_ref()
    }
}

fn make(resolver: Arc<dyn Resolver>) -> Result<reqwest::Client, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates still reaches servers that need none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(Checked(resolver)))
        // What the operator grants is a server and not the way to it, and redirects are looked at one by one.
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIME)
        .http2_max_header_list_size(HEADERS_MAX as u32)
        // Some servers refuse who has no name. A request's own comes first.
        .user_agent(concat!("disperse-host/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}
