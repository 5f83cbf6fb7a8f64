//! The manifest, `disperse.toml`.

mod asks;
mod check;
mod limits;
mod manifest;
mod quota;
mod toml_error;

pub(crate) use asks::{Ask, AskKind, OPERATION};
pub(crate) use limits::{CompileTable, LimitsTable};
pub(crate) use manifest::{
    Component, FILE_NAME, Health, MANIFEST_MAX, Manifest, Operation, Pool, SecretForm, SecretTable, schema,
};
pub(crate) use quota::{QuotaTable, Spender, WindowTable, check_quotas};
pub(crate) use toml_error::explain;
