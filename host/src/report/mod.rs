//! Formats run events for the selected sink: text for people, or JSON Lines.
//!
//! The driver numbers what happens ([`Reporter`]) and a sink does the rest ([`EventSink`]). Results and JSON events go to stdout
//! or to a file, text for people to stderr. Each is written by a thread of its own (`writer.rs`), because a pipe or a disk may be
//! slow and the driver must not be. Slow results slow the run; text that is not read is dropped and counted.

mod figures;
mod files;
mod json;
mod json_lines;
mod lane;
mod reasons;
mod text;
mod text_format;
mod totals;
mod writer;

use disperse::words;
use disperse_engine::sink::BEHIND_MAX;
pub(crate) use disperse_engine::sink::{Backlog, EventSink, Finished, NoSink, Reporter};

pub(crate) use disperse::words::{
    change as change_words, class as class_word, dissent as dissent_words, health as health_with_reason, health_word,
    quota as quota_words, remark as remark_words,
};
pub(crate) use figures::unreported;
pub(crate) use files::{FilesSink, SideFiles};
pub(crate) use json::JsonSink;
pub(crate) use json_lines::{schema, text_or_base64};
pub(crate) use lane::Written;
pub(crate) use text::TextSink;
pub(crate) use text_format::TextSettings;
pub(crate) use totals::{KindSummary, QuotaSummary, TaskCounts};
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

/// The first line of a task of `map`, from 1, if so many lines make a task.
fn first_line(task: u64, lines_a_task: u64) -> u64 {
    task.saturating_sub(1) * lines_a_task + 1
}

/// Whether the results of a run are all there: one that did not come to its end leaves an output alone to which it wrote nothing.
fn is_whole(summary: &RunSummary) -> bool {
    !summary.interrupted && summary.failure.is_none() && summary.shortage.is_none()
}

#[cfg(test)]
mod tests {
    use disperse::library::{Treatment, treatment};
    use disperse_protocol::{inbox::RunEvent, samples::samples};

    use super::{
        json_lines::Line,
        text_format::{Shown, TextFormat, TextSettings},
    };

    #[test]
    fn all_sinks_have_the_same_events_of_a_run() {
        let mut text = TextFormat::new(TextSettings {
            verbose: true,
            ..TextSettings::default()
        });
        for numbered in samples() {
            let event = &numbered.event;
            // Results are written as they are.
            let in_text = text.shown(&numbered) != Shown::Nothing || matches!(event, RunEvent::Output { .. });
            let in_json = Line::of(&numbered, None, None).is_some();
            let in_library = treatment(event) != Treatment::Elsewhere;
            let expected = match event {
                // Programs ask for it, and readers of lines count ends of tasks.
                RunEvent::Progress(_) => (true, false, false),
                // Programs get it from `finish`.
                RunEvent::Finished(_) => (true, true, false),
                _ => (true, true, true),
            };
            assert_eq!((in_text, in_json, in_library), expected, "{numbered:?}");
        }
    }
}
