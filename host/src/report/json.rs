//! The sink of `--format json`: a line for each event, on stdout.

use std::{borrow::Cow, io};

use tokio::sync::Notify;

use super::{Backlog, EventSink, Finished, Writer, is_whole, json_lines::Line, writer::Last};
use crate::{
    inbox::{Guard, Numbered, OutputPiece, RunEvent},
    text::plain_json,
};

/// Writes JSON Lines; the results go into them, or to a file beside.
pub(crate) struct JsonSink {
    writer: Writer,
    /// Whether results go to a file while events go to stdout.
    output_is_file: bool,
    /// For `map`: how many lines of the input make one task.
    lines_a_task: Option<u64>,
    last: Last,
    is_whole: bool,
}

impl JsonSink {
    pub(crate) fn new(output_is_file: bool, lines_a_task: Option<u64>, writer: Writer) -> Self {
        Self {
            writer,
            output_is_file,
            lines_a_task,
            last: Last::Nothing,
            is_whole: false,
        }
    }
}

impl EventSink for JsonSink {
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>) {
        let shown = output.as_ref().filter(|_| !self.output_is_file);
        let Some(line) = Line::of(event, shown.map(|piece| &piece.bytes), self.lines_a_task) else {
            return;
        };
        let line = json(&line);
        match (output, &event.event) {
            (Some(piece), _) if self.output_is_file => {
                self.writer.event(line, Guard::None, 0);
                self.writer.data(piece);
            }
            (Some(piece), _) => self.writer.event(line, piece.room, piece.bytes.len()),
            (None, RunEvent::Finished(summary)) => {
                self.last = Last::Event(line);
                self.is_whole = is_whole(summary);
            }
            (None, _) => self.writer.event(line, Guard::None, 0),
        }
    }

    fn backlog(&self) -> Backlog {
        self.writer.backlog()
    }

    fn caught_up(&self) -> Option<&Notify> {
        Some(self.writer.caught_up())
    }

    fn waiting(&self) -> u64 {
        self.writer.waiting()
    }

    fn written(&self) -> u64 {
        self.writer.written().bytes()
    }

    fn is_lost(&self) -> bool {
        self.writer.is_lost()
    }

    fn flush(&mut self) {
        self.writer.flush();
    }

    fn finish(self: Box<Self>, is_stopped: &dyn Fn() -> bool) -> io::Result<Finished> {
        self.writer.finish(self.last, self.is_whole, is_stopped)
    }
}

/// The text of a line, which is safe to show on a terminal.
fn json(line: &Line) -> String {
    // Serializing plain data into memory does not fail.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    match plain_json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(plain) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disperse_protocol::samples::{output, samples};

    #[test]
    fn every_event_has_its_line() {
        let lines: Vec<String> = samples()
            .iter()
            .filter_map(|event| Line::of(event, output(&event.event).as_ref().map(|piece| &piece.bytes), None))
            .map(|line| json(&line))
            .collect();
        let expected = [
            r#"{"type":"run","id":"r","seq":1,"at_ms":1000}"#,
            r#"{"type":"output","bytes":5,"text":"five\n","id":7,"task":3,"worker":"w/1","attempts":2,"ms":2.5,"seq":2,"at_ms":1001}"#,
            r#"{"type":"task-ended","id":3,"error":"it broke","fuel":9,"run_ms":1.5,"seq":3,"at_ms":1002}"#,
            r#"{"type":"attempt-failed","id":7,"attempt":2,"worker":"w/1","kind":"k","class":"worker-fault","message":"it cannot","stderr":"because\n","fuel":9,"run_ms":2.0,"seq":4,"at_ms":1003}"#,
            r#"{"type":"hedged","id":7,"attempt":2,"kind":"k","seq":5,"at_ms":1004}"#,
            r#"{"type":"outvoted","id":7,"attempt":2,"worker":"w/1","message":"its result of 10 bytes is not the one of 4200 bytes that others have","seq":6,"at_ms":1005}"#,
            r#"{"type":"action-dead","id":7,"task":3,"kind":"k","reason":"exhausted","message":"2 attempts failed","seq":7,"at_ms":1006}"#,
            r#"{"type":"health","worker":"w/1","health":"quarantined","seq":8,"at_ms":1007}"#,
            r#"{"type":"barred","worker":"w/1","kind":"k","until_ms":61008,"seq":9,"at_ms":1008}"#,
            r#"{"type":"systemic","pool":"w","on":true,"seq":10,"at_ms":1009}"#,
            r#"{"type":"denied","worker":"w/1","message":"http to example.org","seq":11,"at_ms":1010}"#,
            r#"{"type":"log","speaker":"w/1#7.2","level":"warning","text":"hello","seq":12,"at_ms":1011}"#,
            r#"{"type":"log","level":"info","text":"stopping, as `drain` asks: attempts that run are let end","seq":13,"at_ms":1012}"#,
            r#"{"type":"worker-joined","worker":"w/1","pool":"w","seq":14,"at_ms":1013}"#,
            r#"{"type":"worker-left","worker":"w/1","seq":15,"at_ms":1014}"#,
            // The progress has no line.
            r#"{"type":"report","interrupted":false,"wall_ms":0.0,"tasks":{"done":0,"failed":0,"in_flight":0},"kinds":[],"workers":[],"quotas":[],"peak_host_memory":0,"seq":17,"at_ms":1016}"#,
        ];
        assert_eq!(lines, expected.map(|line| format!("{line}\n")));
    }

    #[test]
    fn output_that_is_not_text_or_goes_elsewhere_is_not_in_its_line() {
        let event = &samples()[1];
        let line =
            |bytes: Option<&'static [u8]>| json(&Line::of(event, bytes.map(Into::into).as_ref(), Some(10)).unwrap());
        let rest = r#""id":7,"line":21,"worker":"w/1","attempts":2,"ms":2.5,"seq":2,"at_ms":1001}"#;
        assert_eq!(
            line(Some(b"\xff")),
            format!("{{\"type\":\"output\",\"bytes\":5,\"base64\":\"/w==\",{rest}\n")
        );
        assert_eq!(line(None), format!("{{\"type\":\"output\",\"bytes\":5,{rest}\n"));
    }
}
