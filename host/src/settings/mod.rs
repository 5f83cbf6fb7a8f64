//! What the operator wants: the manifest, read.

mod manifest;

pub(crate) use manifest::{Manifest, ManifestError, schema};
