//! Components.

use std::{fmt, path::Path, sync::Arc};

use super::{ComponentError, Host};
use disperse_protocol::digest::Digest;
use disperse_sandbox::{LoadedComponent, Sandbox};

/// A WebAssembly component that is compiled and ready: an operation, a worker, or both. Cheap to clone.
///
/// It belongs to the host that loaded it. Loading neither starts it nor grants it anything.
#[derive(Clone)]
pub struct Component {
    name: String,
    pub(super) program: LoadedComponent,
    sandbox: Arc<Sandbox>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.name)
            .field("is_operation", &self.is_operation())
            .field("is_worker", &self.is_worker())
            .finish()
    }
}

impl Component {
    /// Reads and compiles a component's file, which takes a tenth of a second to many seconds unless the
    /// [cache](crate::HostBuilder::cache) holds it. Its name is the file's name without the extension.
    ///
    /// Blocks: within async code, call it in `spawn_blocking` or before the runtime has other work.
    ///
    /// # Errors
    /// The file cannot be read, is not a component of the contract, or does not compile.
    pub fn open(host: &Host, path: impl AsRef<Path>) -> Result<Self, ComponentError> {
        let path = path.as_ref();
        let bytes = Sandbox::read(path).map_err(|error| ComponentError::Read {
            path: path.to_owned(),
            error,
        })?;
        let name = path
            .file_stem()
            .map_or_else(|| "component".into(), |name| name.to_string_lossy().into_owned());
        Self::load(host, name, bytes)
    }

    /// As [`Component::open`], from the bytes of a component.
    ///
    /// # Errors
    /// They are not a component of the contract, or it does not compile.
    pub fn new(host: &Host, name: impl Into<String>, bytes: &[u8]) -> Result<Self, ComponentError> {
        Self::load(host, name.into(), bytes.to_vec())
    }

    fn load(host: &Host, name: String, bytes: Vec<u8>) -> Result<Self, ComponentError> {
        let sandbox = host.sandbox.clone();
        let digest = Digest::of(&bytes);
        let loaded = sandbox
            .inspect(bytes, digest)
            .and_then(|seen| match sandbox.load_cached(&seen)? {
                Some(kept) => Ok(kept),
                // A program that embeds this library runs no builds.
                None => sandbox.compile(&seen, false),
            });
        match loaded {
            Ok((program, _)) => Ok(Self { name, program, sandbox }),
            Err(error) => Err(ComponentError::of(name, error)),
        }
    }

    /// Its name, which messages use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it exports an operation.
    pub fn is_operation(&self) -> bool {
        self.program.contract().operation.is_some()
    }

    /// Whether it exports a worker.
    pub fn is_worker(&self) -> bool {
        self.program.contract().worker.is_some()
    }

    pub(super) fn is_of(&self, host: &Host) -> bool {
        Arc::ptr_eq(&self.sandbox, &host.sandbox)
    }
}
