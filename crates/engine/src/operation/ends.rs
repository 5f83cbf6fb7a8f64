//! The ends of tasks, and how they are kept in a file.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, TryGetError};
use disperse_protocol::{inbox::Performed, limits::PIECE};
use disperse_scheduler::{ActionId, WorkerId};

use super::line_text::LineText;

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    /// None: it failed.
    pub(super) result: Option<Bytes>,
    pub(super) performed: Option<Performed>,
    /// The text of its lines, if it is written.
    pub(super) text: LineText,
    /// How many lines it has.
    pub(super) lines: u32,
}

impl End {
    fn parts(&self) -> [&[u8]; 2] {
        let text: &[u8] = match &self.text {
            LineText::Memory(bytes) => bytes,
            LineText::File(_) => &[],
        };
        [self.result.as_deref().unwrap_or_default(), text]
    }

    /// The size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let [result, text] = self.parts();
        PIECE + result.len() + text.len()
    }

    /// Adds what is in the file of the end of a task: a [`Head`] and the bytes of the result and of the text.
    pub(super) fn write(&self, task: u64, to: &mut Vec<u8>) {
        let [result, text] = self.parts();
        let head = Head {
            task,
            result: result.len() as u64,
            text: text.len() as u64,
            is_done: self.result.is_some(),
            file: match &self.text {
                LineText::Memory(_) => None,
                LineText::File(place) => Some((place.start, place.end)),
            },
            lines: self.lines,
            performed: self.performed,
        };
        head.write(to);
        to.extend_from_slice(result);
        to.extend_from_slice(text);
    }
}

/// What is before the bytes of an end in a file.
pub(super) struct Head {
    pub(super) task: u64,
    /// The lengths of the result and of the text.
    result: u64,
    text: u64,
    is_done: bool,
    /// The place of a text that is in a file already.
    file: Option<(u64, u64)>,
    lines: u32,
    performed: Option<Performed>,
}

impl Head {
    /// Its length, in bytes.
    pub(super) const LENGTH: usize = 3 * 8 + 1 + 2 * 8 + 4 + (8 + 4 + 4 + 8);

    /// How many bytes follow it.
    pub(super) fn rest(&self) -> u64 {
        self.result.saturating_add(self.text)
    }

    /// The end whose head this is, with these bytes.
    pub(super) fn end(&self, bytes: &[u8]) -> End {
        let at = usize::try_from(self.result).map_or(bytes.len(), |at| at.min(bytes.len()));
        let (result, text) = bytes.split_at(at);
        End {
            result: self.is_done.then(|| Bytes::copy_from_slice(result)),
            performed: self.performed,
            text: match self.file {
                None => LineText::Memory(Bytes::copy_from_slice(text)),
                Some((start, end)) => LineText::File(start..end),
            },
            lines: self.lines,
        }
    }

    /// An empty place stands for no place, and attempt zero for an action that is not known: there is neither.
    fn write(&self, to: &mut Vec<u8>) {
        let (start, end) = self.file.unwrap_or_default();
        let (action, worker, attempts, wall) = self.performed.map_or((0, 0, 0, 0), |performed| {
            let micros = u64::try_from(performed.wall.as_micros()).unwrap_or(u64::MAX);
            (performed.action.0, performed.worker.0, performed.attempts, micros)
        });
        to.put_u64_le(self.task);
        to.put_u64_le(self.result);
        to.put_u64_le(self.text);
        to.put_u8(self.is_done.into());
        to.put_u64_le(start);
        to.put_u64_le(end);
        to.put_u32_le(self.lines);
        to.put_u64_le(action);
        to.put_u32_le(worker);
        to.put_u32_le(attempts);
        to.put_u64_le(wall);
    }

    /// Reads one.
    ///
    /// # Errors
    /// There are fewer than [`Head::LENGTH`] bytes.
    pub(super) fn read(mut from: &[u8]) -> Result<Self, TryGetError> {
        let (task, result, text) = (from.try_get_u64_le()?, from.try_get_u64_le()?, from.try_get_u64_le()?);
        let is_done = from.try_get_u8()? == 1;
        let file = (from.try_get_u64_le()?, from.try_get_u64_le()?);
        let lines = from.try_get_u32_le()?;
        let performed = Performed {
            action: ActionId(from.try_get_u64_le()?),
            worker: WorkerId(from.try_get_u32_le()?),
            attempts: from.try_get_u32_le()?,
            wall: Duration::from_micros(from.try_get_u64_le()?),
        };
        Ok(Self {
            task,
            result,
            text,
            is_done,
            file: (file.0 < file.1).then_some(file),
            lines,
            performed: (performed.attempts > 0).then_some(performed),
        })
    }
}
