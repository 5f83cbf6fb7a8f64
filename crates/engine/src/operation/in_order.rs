//! Results in the order of their tasks. A result that arrives before that of an earlier task waits in memory, and
//! beyond a limit in an unnamed file, so that one slow task only delays the output after it.
//!
//! The file is made of *runs*: each is all that waited at some time, sorted by task. The next result is the first one
//! in memory or in one of the runs, so that neither the results nor their positions have to be in memory, however many
//! wait.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use disperse_protocol::inbox::TaskRoom;

use super::ends::{End, Head};

/// The most bytes of results that wait in memory, each counted with [`PIECE`](disperse_protocol::limits::PIECE) more, unless the host has less.
/// Arbitrary: a few seconds of short results, which should not go to a file because of one slow line.
pub const IN_MEMORY_MAX: u64 = 64 << 20;

/// How many bytes of the file are read at once: for all runs together, and the least and the most for one.
const READ_ALL: usize = 16 << 20;
const READ_MIN: usize = 4 << 10;
const READ_MAX: usize = 256 << 10;

/// The ends of tasks that wait for those of earlier ones.
#[derive(Default)]
pub(super) struct InOrder {
    /// The next task to write.
    due: u64,
    memory: BTreeMap<u64, (End, TaskRoom)>,
    /// The bytes in `memory`, and their limit.
    size: u64,
    size_max: u64,
    file: Option<File>,
    /// The bytes of the file that are in use.
    file_size: u64,
    /// By the first remaining task of each.
    runs: BTreeMap<u64, Run>,
    waiting: u64,
}

/// A part of the file.
struct Run {
    /// The part that is not read yet.
    at: u64,
    end: u64,
    /// The part that is read and not taken yet; it begins at `used`.
    read: Vec<u8>,
    used: usize,
}

impl InOrder {
    /// Begins with task 1. `size_max`: the most bytes that wait in memory, at most [`IN_MEMORY_MAX`].
    pub(super) fn new(size_max: u64) -> Self {
        Self {
            due: 1,
            size_max: size_max.min(IN_MEMORY_MAX),
            ..Self::default()
        }
    }

    /// The next task to write: all others wait for it.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// The number of waiting ends.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether the next end is in the file.
    pub(super) fn is_due_in_file(&self) -> bool {
        self.runs.contains_key(&self.due)
    }

    /// Whether memory is so full that it should go to the file.
    pub(super) fn is_full(&self) -> bool {
        self.size > self.size_max
    }

    /// Adds the end of a task, which waits for its turn.
    pub(super) fn put(&mut self, task: u64, end: End, room: TaskRoom) {
        self.size += end.size() as u64;
        self.waiting += 1;
        self.memory.insert(task, (end, room));
    }

    /// Advances past the next task, whose end was not put here.
    pub(super) fn pass(&mut self) {
        self.due += 1;
    }

    /// Takes the next end, if it is in memory.
    pub(super) fn take(&mut self) -> Option<(u64, End, TaskRoom)> {
        let (end, room) = self.memory.remove(&self.due)?;
        let task = self.due;
        self.took(task, end.size() as u64);
        Some((task, end, room))
    }

    fn took(&mut self, task: u64, size: u64) {
        self.size -= size;
        self.waiting -= 1;
        self.due = task + 1;
    }

    /// Takes the next ends out of the file, as many as fit into `most` bytes. Reads the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&mut self, most: usize) -> io::Result<Vec<(u64, End)>> {
        let mut ends = Vec::new();
        let mut size = 0;
        while size < most
            && let Some(run) = self.runs.remove(&self.due)
        {
            let task = self.due;
            let end = self.read_first(run)?;
            size += end.size();
            self.took(task, 0);
            ends.push((task, end));
        }
        Ok(ends)
    }

    /// Advances to the first task that has an end here, over tasks without one. False if there is no end.
    pub(super) fn skip(&mut self) -> bool {
        let first = [self.memory.keys().next(), self.runs.keys().next()];
        match first.into_iter().flatten().min() {
            Some(task) => {
                self.due = *task;
                true
            }
            None => false,
        }
    }

    /// Moves all that is in memory to the file. Writes to the disk.
    ///
    /// # Errors
    /// The file cannot be written. Then everything is still in memory.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        let Some((&first, _)) = self.memory.first_key_value() else {
            return Ok(());
        };
        if self.runs.is_empty() {
            // Nothing in it is needed any more.
            self.file_size = 0;
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        let begin = self.file_size;
        let mut at = begin;
        let mut piece = Vec::with_capacity(READ_MAX);
        for (task, (end, _)) in &self.memory {
            end.write(*task, &mut piece);
            if piece.len() >= READ_MAX {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
                piece.clear();
            }
        }
        file.write_all_at(&piece, at)?;
        let end = at + piece.len() as u64;
        self.file_size = end;
        self.runs.insert(
            first,
            Run {
                at: begin,
                end,
                read: Vec::new(),
                used: 0,
            },
        );
        self.memory.clear();
        self.size = 0;
        Ok(())
    }

    /// Takes the first end of a run, which is put back under its next task.
    fn read_first(&mut self, mut run: Run) -> io::Result<End> {
        let Some(file) = &self.file else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let at_once = (READ_ALL / (self.runs.len() + 1)).clamp(READ_MIN, READ_MAX);
        let head = run.head(file, at_once)?;
        run.used += Head::LENGTH;
        let length = usize::try_from(head.rest()).map_err(io::Error::other)?;
        let end = head.end(run.bytes(file, at_once, length)?);
        run.used += length;
        if run.at < run.end || run.used < run.read.len() {
            let next = run.head(file, at_once)?;
            self.runs.insert(next.task, run);
        }
        if self.runs.is_empty() {
            // Frees the disk space of what was read. If that fails, closing the file frees it.
            let _ = file.set_len(0);
            self.file_size = 0;
        }
        Ok(end)
    }
}

impl Run {
    /// The head of the first end.
    fn head(&mut self, file: &File, at_once: usize) -> io::Result<Head> {
        let head = self.bytes(file, at_once, Head::LENGTH)?;
        Head::read(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The next `count` bytes.
    fn bytes(&mut self, file: &File, at_once: usize, count: usize) -> io::Result<&[u8]> {
        if self.read.len() - self.used < count {
            self.read.drain(..self.used);
            self.used = 0;
            let before = self.read.len();
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let more = (count - before).max(at_once).min(left);
            self.read.resize(before + more, 0);
            if let Some(into) = self.read.get_mut(before..) {
                file.read_exact_at(into, self.at)?;
            }
            self.at += more as u64;
        }
        let bytes = self.read.get(self.used..self.used + count);
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use disperse_protocol::inbox::Performed;
    use disperse_scheduler::{ActionId, WorkerId};

    use super::*;
    use crate::operation::line_text::LineText;

    fn end(task: u64) -> End {
        let performed = Performed {
            action: ActionId(task + 1),
            worker: WorkerId(task as u32 % 7),
            attempts: 2,
            wall: Duration::from_micros(task),
        };
        // Some without a result, some empty, some longer than one read.
        let result = match task % 50 {
            0 => None,
            1 => Some(Bytes::new()),
            2 => Some(Bytes::from(vec![task as u8; 3 * READ_MAX])),
            _ => Some(Bytes::from(task.to_string())),
        };
        End {
            performed: (!task.is_multiple_of(3)).then_some(performed),
            text: match (task % 5, &result) {
                (0, None) => LineText::File(task..2 * task),
                (1 | 2, _) => LineText::Memory(format!("line {task}").into()),
                _ => LineText::NONE,
            },
            lines: task as u32 % 3,
            result,
        }
    }

    /// All ends whose turn it is.
    fn due(order: &mut InOrder) -> Vec<(u64, End)> {
        let mut ends = Vec::new();
        loop {
            let before = ends.len();
            while let Some((task, end, _)) = order.take() {
                ends.push((task, end));
            }
            ends.extend(order.read(1000).unwrap());
            if ends.len() == before {
                return ends;
            }
        }
    }

    #[test]
    fn ends_come_out_in_task_order() {
        const TASKS: u64 = 2000;
        let mut order = InOrder::new(64 << 10);
        let (mut seed, mut out, mut spilled) = (7_u64, Vec::new(), 0);
        // Task 1 is the last one, and the others come shuffled in windows of 64.
        let mut tasks: Vec<u64> = (2..=TASKS).collect();
        for window in tasks.chunks_mut(64) {
            for place in (1..window.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                window.swap(place, (seed >> 33) as usize % (place + 1));
            }
        }
        for task in tasks {
            order.put(task, end(task), TaskRoom::default());
            if order.is_full() {
                order.spill().unwrap();
                spilled += 1;
            }
            out.extend(due(&mut order));
        }
        assert!(out.is_empty() && spilled > 10, "{spilled} runs");
        assert_eq!(order.waiting(), TASKS - 1);
        order.pass();
        out.extend(due(&mut order));
        assert_eq!(out.len() as u64, TASKS - 1);
        for (task, (found, found_end)) in (2..).zip(out) {
            assert_eq!((found, found_end == end(task)), (task, true));
        }
        assert_eq!((order.waiting(), order.size, order.file_size), (0, 0, 0));
        // And from the beginning of the file again.
        order.put(TASKS + 2, end(3), TaskRoom::default());
        order.spill().unwrap();
        order.put(TASKS + 1, end(50), TaskRoom::default());
        assert_eq!(due(&mut order), [(TASKS + 1, end(50)), (TASKS + 2, end(3))]);
    }

    #[test]
    fn ends_behind_a_gap_can_be_taken() {
        let mut order = InOrder::new(0);
        for task in [9, 4, 5] {
            order.put(task, end(task), TaskRoom::default());
            order.spill().unwrap();
        }
        order.put(7, end(7), TaskRoom::default());
        let mut out = Vec::new();
        while order.skip() {
            out.extend(due(&mut order).into_iter().map(|(task, _)| task));
        }
        assert_eq!(out, [4, 5, 7, 9]);
    }
}
