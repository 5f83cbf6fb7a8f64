//! Reads the input of `map`.

use std::{
    ffi::OsStr,
    io::{self, BufRead, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use bytes::Bytes;
use disperse_protocol::{files, units::Size};

use super::{
    super::line_text::{LineText, LongLines, TextReader},
    options::LinesOptions,
};

/// The part of the input that makes one task.
pub(super) enum Piece {
    Whole {
        payload: Bytes,
        /// The line, if that is needed and not the payload.
        line: Option<Bytes>,
    },
    /// The task fails alone.
    Rejected {
        why: String,
        /// Empty if it is not needed.
        text: LineText,
        lines: u32,
    },
    /// There is no task, and the input ends here, for this reason.
    Broken(String),
}

impl Piece {
    /// The bytes that it takes in memory until its task is handed out.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Whole { payload, .. } => payload.len(),
            Self::Rejected { .. } | Self::Broken(_) => 0,
        }
    }
}

/// Reads lines until the end, an error, or until `hand` returns that no more are needed. Returns whether the end was
/// reached. `long`: where texts go that are longer than a payload may be and are needed.
pub(super) fn read_lines(
    mut input: impl BufRead,
    options: &LinesOptions,
    long: &LongLines,
    mut hand: impl FnMut(Piece) -> bool,
) -> bool {
    let mut number = 0u64;
    let is_needed = options.writing.needs_text();
    let mut text = TextReader::new(options.payload_max, is_needed.then_some(long));
    loop {
        let mut count = 0;
        while count < options.batch {
            match read_line(&mut input, options.end, count > 0, &mut text) {
                Ok(false) => break,
                Ok(true) => {
                    number += 1;
                    count += 1;
                }
                Err(error) => {
                    hand(Piece::Broken(format!(
                        "the input broke off after line {number}: {error}"
                    )));
                    return false;
                }
            }
        }
        if count == 0 {
            return true;
        }
        let piece = match (text.take(), &options.files) {
            (Err(text), _) => Piece::Rejected {
                why: too_long(number, count, options.payload_max),
                text,
                lines: u32::try_from(count).unwrap_or(u32::MAX),
            },
            (Ok(payload), None) => Piece::Whole { payload, line: None },
            (Ok(path), Some(files)) => {
                let read = read_file(&path, files.output.as_deref(), options.payload_max);
                let path = Some(path).filter(|_| is_needed);
                match read {
                    Ok(payload) => Piece::Whole { payload, line: path },
                    Err(why) => Piece::Rejected {
                        why,
                        text: path.map_or(LineText::NONE, LineText::Memory),
                        lines: 1,
                    },
                }
            }
        };
        if !hand(piece) {
            return false;
        }
    }
}

/// Adds the number of tasks in the rest of an input to `tasks`, until a deadline. Returns whether the end was reached.
pub(super) fn count_rest(mut input: impl BufRead, options: &LinesOptions, tasks: &AtomicU64, until: Instant) -> bool {
    let (before, batch) = (tasks.load(Ordering::Relaxed), options.batch.max(1) as u64);
    let (mut lines, mut is_within) = (0u64, false);
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let is_end = read.is_empty();
        lines += memchr::memchr_iter(options.end, read).count() as u64;
        is_within = read.last().map_or(is_within, |last| *last != options.end);
        let size = read.len();
        input.consume(size);
        let all = lines + u64::from(is_within);
        tasks.store(before + all.div_ceil(batch), Ordering::Relaxed);
        if is_end || Instant::now() >= until {
            return is_end;
        }
    }
}

/// Reads the file whose path is a line, unless it is the output. An error is why it is not read.
fn read_file(path: &[u8], output: Option<&Path>, most: usize) -> Result<Bytes, String> {
    let name = Path::new(OsStr::from_bytes(path));
    let place = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if let Some(output) = output
        && let Some(own) = place(name)
        && place(output) == Some(own)
    {
        return Err(format!("`{}` is also the output and is not read", name.display()));
    }
    files::read(name, most as u64).map(Bytes::from).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::FileTooLarge => "; raise it with --result-size",
            _ => "",
        };
        format!("cannot read `{}`: {error}{hint}", name.display())
    })
}

/// Why the last `count` lines, up to this one, cannot be one payload.
fn too_long(number: u64, count: usize, most: usize) -> String {
    let most = Size(most as u64);
    match count {
        1 => format!("it is longer than {most}; raise it with --result-size"),
        _ => {
            let first = number - count as u64 + 1;
            format!(
                "lines {first} to {number} together are longer than {most}; lower --batch or raise it with --result-size"
            )
        }
    }
}

/// Adds a line without its end to a text, after the end of the line before if there is one. False: the input has ended.
fn read_line(input: &mut impl BufRead, end_byte: u8, is_next: bool, text: &mut TextReader) -> io::Result<bool> {
    let mut is_any = false;
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(is_any);
        }
        if is_next && !is_any {
            text.push(&[end_byte])?;
        }
        is_any = true;
        let end = memchr::memchr(end_byte, read);
        let line = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
        text.push(line)?;
        let used = line.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::options::LineWriting, *};

    fn options(batch: usize, payload_max: usize) -> LinesOptions {
        LinesOptions {
            kind: "line".into(),
            batch,
            end: b'\n',
            files: None,
            idempotent: false,
            writing: LineWriting {
                failed: true,
                ..LineWriting::default()
            },
            payload_max,
            is_file: true,
            ordered: None,
        }
    }

    /// The texts of the pieces, and why each is rejected.
    fn read(text: &str, batch: usize, payload_max: usize) -> Vec<Result<String, (String, String)>> {
        let options = options(batch, payload_max);
        let (mut pieces, long) = (Vec::new(), LongLines::default());
        // A small buffer, so that lines are read in several pieces.
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        let is_all = read_lines(input, &options, &long, |piece| {
            let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            pieces.push(match piece {
                Piece::Whole { payload, .. } => Ok(string(&payload)),
                Piece::Rejected { why, text, .. } => Err((
                    match text {
                        LineText::Memory(bytes) => string(&bytes),
                        LineText::File(place) => string(&long.read(place).unwrap()),
                    },
                    why,
                )),
                Piece::Broken(why) => Err((String::new(), why)),
            });
            true
        });
        assert!(is_all);
        // The number of tasks if none is handed out.
        let tasks = AtomicU64::new(0);
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        assert!(count_rest(
            input,
            &options,
            &tasks,
            Instant::now() + Duration::from_secs(60)
        ));
        assert_eq!(tasks.into_inner(), pieces.len() as u64);
        pieces
    }

    #[test]
    fn counting_the_rest_of_an_input_ends_in_time() {
        let options = options(10, 9);
        let (endless, tasks) = (io::BufReader::new(io::repeat(b'\n')), AtomicU64::new(7));
        assert!(!count_rest(endless, &options, &tasks, Instant::now()));
        assert!(tasks.into_inner() > 7 + 100);
    }

    #[test]
    fn too_long_lines_fail_alone() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(read("", 1, 9), []);
        assert_eq!(
            read("a\n\nlong line\nb", 1, 9),
            [ok("a"), ok(""), ok("long line"), ok("b")]
        );
        assert_eq!(read("1\n2\n3\n", 2, 9), [ok("1\n2"), ok("3")]);
        let pieces = read("a\nlonger lines\nb\n", 1, 9);
        assert_eq!((&pieces[0], &pieces[2]), (&ok("a"), &ok("b")));
        let (text, why) = pieces[1].as_ref().unwrap_err();
        assert_eq!(text, "longer lines");
        assert!(why.contains("longer than 9B"), "{why}");
        // The newlines in between count.
        assert_eq!(read("1234\n1234\n1\n", 2, 9), [ok("1234\n1234"), ok("1")]);
        let pieces = read("12345\n1234\nx\n12\n3\n", 2, 9);
        let (text, why) = pieces[0].as_ref().unwrap_err();
        assert_eq!(text, "12345\n1234");
        assert!(why.starts_with("lines 1 to 2 together are longer than 9B"), "{why}");
        assert_eq!(pieces[1..], [ok("x\n12"), ok("3")]);
    }
}
