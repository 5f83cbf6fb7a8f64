//! What the operator wants: the manifest, read.

mod limits;
mod manifest;
mod quota;

pub(crate) use limits::{CompileTable, LimitsTable};
pub(crate) use manifest::{Component, FILE_NAME, Manifest, Operation, Pool, SecretForm, SecretTable, schema};
pub(crate) use quota::{QuotaTable, Spender, check_quotas, quota_words};
