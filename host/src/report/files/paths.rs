//! Where the files beside the output are.

use std::path::PathBuf;

/// The files that a run writes beside its output.
#[derive(Clone, Debug, Default)]
pub(crate) struct SideFiles {
    /// The lines that failed.
    pub(crate) failed: Option<PathBuf>,
    /// A row for each attempt.
    pub(crate) job_log: Option<PathBuf>,
    /// The folder of results.
    pub(crate) results: Option<PathBuf>,
    /// Whether the run is resumed, so that what is in the files stays.
    pub(crate) is_resumed: bool,
}

impl SideFiles {
    /// Whether there are any.
    pub(super) fn are_any(&self) -> bool {
        self.failed.is_some() || self.job_log.is_some() || self.results.is_some()
    }
}
