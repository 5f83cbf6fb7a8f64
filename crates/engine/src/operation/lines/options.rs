//! The settings of `map`.

use std::{path::PathBuf, sync::Arc};

/// The most bytes read ahead, and the most handed out before the driver decides again.
pub(super) const AHEAD_BYTES: usize = 16 << 20;

/// How files are read if lines are paths.
#[derive(Clone, Debug)]
pub struct Files {
    /// The output file, which is not read as an input: the first result truncates it.
    pub output: Option<PathBuf>,
}

/// What is written of the lines of the input, beside their results.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineWriting {
    /// Whether each line of the output begins with the line of the input that it comes from, and a tab.
    pub tags: bool,
    /// Whether each line without a result is an empty line of the output.
    pub gaps: bool,
    /// Whether the lines without a result go to the sink.
    pub failed: bool,
}

impl LineWriting {
    /// Whether the text of lines is written.
    pub(super) fn needs_text(self) -> bool {
        self.tags || self.failed
    }
}

/// The settings of `map`.
#[derive(Clone, Debug)]
pub struct LinesOptions {
    /// The kind of the actions.
    pub kind: Arc<str>,
    /// How many lines make one action, from 1.
    pub batch: usize,
    /// The byte that ends lines of the input, and results too.
    pub end: u8,
    /// If each line is the path of a file whose content is the payload: how these are read. Then `batch` is 1.
    pub files: Option<Files>,
    /// Whether performing one twice does no harm.
    pub idempotent: bool,
    pub writing: LineWriting,
    /// The longest line or batch in bytes.
    pub payload_max: usize,
    /// Whether the input is a regular file. Only a regular file is read on to count the tasks that a stopped run leaves
    /// undone: a pipe may have no end, and its bytes would be lost to the next reader.
    pub is_file: bool,
    /// The most bytes of results that wait in memory for an earlier one. None: results are written as they come.
    pub ordered: Option<u64>,
}
