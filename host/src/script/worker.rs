//! The simulated workers of a script, and how it reads the files that it names.

use std::path::Path;

use bytes::Bytes;

use crate::settings::QuotaTable;

/// Reads a file that a script names.
pub(super) type ReadFile<'a> = dyn Fn(&Path) -> Result<Bytes, String> + 'a;

/// A worker that a script simulates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptedWorker {
    pub(crate) name: String,
    /// None: the kinds that no other worker lists. Sorted. Workers with the same kinds are one pool.
    pub(crate) kinds: Vec<String>,
    /// How many attempts it makes at once.
    pub(crate) slots: u32,
    /// The quotas that a service allows it, or its account. Valid.
    pub(crate) quotas: Vec<QuotaTable>,
    /// The account whose quotas it spends: workers of an account share them, and have the same kinds. None: its own.
    pub(crate) account: Option<String>,
}
