//! Formats run events for the selected sink: text for people, JSON Lines, or values for the program that embeds the host.
//!
//! The driver numbers what happens ([`Reporter`]) and a sink does the rest ([`EventSink`]). Results go to stdout or to a file,
//! everything else to stderr. Each is written by a thread of its own (`writer.rs`), because a pipe or a disk may be slow and the
//! driver must not be. Slow results slow the run; text that is not read is dropped and counted.

mod figures;
mod json;
mod lane;
mod library;
mod lines;
mod reasons;
#[cfg(test)]
pub(crate) mod samples;
mod text;
mod text_format;
mod totals;
mod words;
mod writer;

use disperse_engine::sink::BEHIND_MAX;
pub(crate) use disperse_engine::sink::{Backlog, EventSink, Finished, LiveCounts, NoSink, Reporter};

pub(crate) use figures::unreported;
pub(crate) use json::JsonSink;
pub(crate) use library::{Heard, LibrarySink, Reader, library};
pub(crate) use lines::schema;
pub(crate) use text::{TextSettings, TextSink};
pub(crate) use totals::{KindSummary, QuotaSummary, TaskCounts};
pub(crate) use words::{
    change as change_words, class as class_word, dissent as dissent_words, health as health_with_reason, health_word,
    notice as notice_words, quota as quota_words, remark as remark_words,
};
pub(crate) use writer::{Target, Writer, bar};

use crate::inbox::RunSummary;

/// How results and events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Results as they are, the rest for people.
    Text,
    /// JSON Lines, one `type` field each.
    Json,
}

/// Whether the results of a run are all there: one that did not come to its end leaves an output alone to which it wrote nothing.
fn is_whole(summary: &RunSummary) -> bool {
    !summary.interrupted && summary.failure.is_none() && summary.shortage.is_none()
}
