//! Writes the results of `map`, and of the lines without one what is to be written.

use bytes::{BufMut, Bytes, BytesMut};
use disperse_protocol::inbox::Origin;
use disperse_scheduler::TaskId;

use super::{
    super::{ends::End, line_text::LineText, output_room},
    planned::Planned,
};

/// The longest piece, in bytes, of what is longer than a result. Arbitrary: little beside what waits to be written.
const PIECE_MAX: usize = 1 << 20;

impl Planned {
    /// Writes what there is to write of the end of a task.
    pub(super) async fn write(&self, task: u64, end: &End) {
        let origin = Origin {
            task: TaskId(task),
            performed: end.performed,
        };
        match &end.result {
            Some(result) if self.writing.tags => self.write_tagged(result, &end.text, origin).await,
            Some(result) => self.write_result(result, origin).await,
            None => {
                if self.writing.failed {
                    let mut lines = self.pieces(Target::Failed);
                    lines.add_text(&end.text).await;
                    lines.add(&[self.end]).await;
                    lines.send().await;
                }
                if self.writing.gaps {
                    self.write_gap(end, origin).await;
                }
            }
        }
    }

    /// Writes a result in one piece.
    async fn write_result(&self, result: &[u8], origin: Origin) {
        let mut record = BytesMut::with_capacity(result.len() + 1);
        record.extend_from_slice(result);
        record.put_u8(self.end);
        self.send(record.freeze(), Target::Output(origin)).await;
    }

    /// Writes each line of a result after the line of the input.
    async fn write_tagged(&self, result: &[u8], text: &LineText, origin: Origin) {
        let mut lines = self.pieces(Target::Output(origin));
        for line in result.split(|byte| *byte == self.end) {
            lines.add_text(text).await;
            lines.add(b"\t").await;
            lines.add(line).await;
            lines.add(&[self.end]).await;
        }
        lines.send().await;
    }

    /// Writes an empty line for each line without a result.
    async fn write_gap(&self, end: &End, origin: Origin) {
        let mut lines = self.pieces(Target::Output(origin));
        for _ in 0..end.lines {
            if self.writing.tags {
                lines.add_text(&end.text).await;
                lines.add(b"\t").await;
            }
            lines.add(&[self.end]).await;
        }
        lines.send().await;
    }

    fn pieces(&self, target: Target) -> Pieces<'_> {
        Pieces {
            planned: self,
            target,
            piece: BytesMut::new(),
        }
    }

    async fn send(&self, bytes: Bytes, target: Target) {
        let room = output_room(&self.room, bytes.len()).await;
        match target {
            Target::Output(origin) => self.port.output_of(Some(origin), bytes, room),
            Target::Failed => self.port.failed_lines(bytes, room),
        }
    }
}

/// To what bytes are written.
#[derive(Clone, Copy)]
enum Target {
    Output(Origin),
    /// The lines without a result.
    Failed,
}

/// Writes bytes in pieces that are not too long.
struct Pieces<'a> {
    planned: &'a Planned,
    target: Target,
    piece: BytesMut,
}

impl Pieces<'_> {
    async fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE_MAX - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = rest;
            if self.piece.len() == PIECE_MAX {
                self.send().await;
            }
        }
    }

    /// Adds the text of lines. If it is in a file that cannot be read, the run ends.
    async fn add_text(&mut self, text: &LineText) {
        let place = match text {
            LineText::Memory(bytes) => return self.add(bytes).await,
            LineText::File(place) => place.clone(),
        };
        for at in place.clone().step_by(PIECE_MAX) {
            let part = at..place.end.min(at + PIECE_MAX as u64);
            let shared = self.planned.shared.clone();
            // A blocking task, as for all disk access.
            let read = tokio::task::spawn_blocking(move || shared.long_lines.read(part)).await;
            match read.map_err(std::io::Error::other).flatten() {
                Ok(bytes) => self.add(&bytes).await,
                Err(error) => {
                    let folder = std::env::temp_dir();
                    let message = format!("a long line cannot be read again, in `{}`: {error}", folder.display());
                    return self.planned.end_run(message);
                }
            }
        }
    }

    async fn send(&mut self) {
        if !self.piece.is_empty() {
            let piece = self.piece.split().freeze();
            self.planned.send(piece, self.target).await;
        }
    }
}
