//! What the operator wants: the manifest, read.

mod manifest;

pub(crate) use manifest::{
    CompileTable, Component, FILE_NAME, LimitsTable, Manifest, Operation, Pool, SecretForm, SecretTable, schema,
};
