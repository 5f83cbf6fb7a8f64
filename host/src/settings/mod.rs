//! What the operator wants: the manifest, read.

mod limits;
mod manifest;
mod quota;

pub(crate) use limits::{CompileTable, LimitsTable};
pub(crate) use manifest::{Component, FILE_NAME, Health, Manifest, Operation, Pool, SecretForm, SecretTable, schema};
pub(crate) use quota::{QuotaTable, Spender, WindowTable, check_quotas, is_reported, quota_words};
