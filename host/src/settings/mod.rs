//! What the operator wants: the manifest, read.

mod limits;
mod manifest;

pub(crate) use limits::{CompileTable, LimitsTable};
pub(crate) use manifest::{Component, FILE_NAME, Manifest, Operation, Pool, SecretForm, SecretTable, schema};
