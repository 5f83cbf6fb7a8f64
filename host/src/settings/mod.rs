//! The manifest, `disperse.toml`.

mod asks;
mod check;
mod limits;
mod manifest;
mod parse;
mod toml_error;

pub(crate) use disperse::settings::{Health, QuotaTable, Spender, check_quotas};

pub(crate) use asks::{Ask, AskKind, OPERATION};
pub(crate) use limits::{CompileTable, LimitsTable};
pub(crate) use manifest::{
    Component, FILE_NAME, MANIFEST_MAX, Manifest, Operation, Pool, SecretForm, SecretTable, schema,
};
pub(crate) use toml_error::explain;
