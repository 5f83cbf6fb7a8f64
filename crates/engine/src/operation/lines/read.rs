//! Reads the input of `map`.

use std::{
    ffi::OsStr,
    io::{self, BufRead, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use bytes::{BufMut, Bytes, BytesMut};
use disperse_protocol::{files, units::Size};

use super::options::LinesOptions;

/// The part of the input that makes one task.
pub(super) enum Piece {
    Whole(Bytes),
    /// The task fails alone, for this reason.
    Rejected(String),
    /// There is no task, and the input ends here, for this reason.
    Broken(String),
}

/// Reads lines until the end, an error, or until `hand` returns that no more are needed. Returns whether the end was
/// reached.
pub(super) fn read_lines(mut input: impl BufRead, options: &LinesOptions, mut hand: impl FnMut(Piece) -> bool) -> bool {
    let mut number = 0u64;
    loop {
        let mut piece = BytesMut::new();
        let mut count = 0;
        let mut is_too_long = false;
        while count < options.batch {
            if count > 0 {
                piece.put_u8(options.end);
            }
            let room = options.payload_max.saturating_sub(piece.len());
            match read_line(&mut input, options.end, &mut piece, room) {
                Ok(None) => {
                    if count > 0 {
                        piece.truncate(piece.len() - 1);
                    }
                    break;
                }
                Ok(Some(is_whole)) => {
                    number += 1;
                    count += 1;
                    if !is_whole || piece.len() > options.payload_max {
                        is_too_long = true;
                        // The rest of it is not needed.
                        piece.truncate(options.payload_max);
                    }
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
        let piece = match is_too_long {
            true => Piece::Rejected(too_long(number, count, options.payload_max)),
            false => match &options.files {
                Some(files) => read_file(&piece, files.output.as_deref(), options.payload_max),
                None => Piece::Whole(piece.freeze()),
            },
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

/// Reads the file whose path is a line, unless it is the output.
fn read_file(path: &[u8], output: Option<&Path>, most: usize) -> Piece {
    let name = Path::new(OsStr::from_bytes(path));
    let place = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if let Some(output) = output
        && let Some(own) = place(name)
        && place(output) == Some(own)
    {
        return Piece::Rejected(format!("`{}` is also the output and is not read", name.display()));
    }
    match files::read(name, most as u64) {
        Ok(bytes) => Piece::Whole(bytes.into()),
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::FileTooLarge => "; raise it with --result-size",
                _ => "",
            };
            Piece::Rejected(format!("cannot read `{}`: {error}{hint}", name.display()))
        }
    }
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

/// Reads a line without its end and keeps its first `room` bytes. None: the input has ended. Returns whether all of it
/// was kept.
fn read_line(input: &mut impl BufRead, end_byte: u8, into: &mut BytesMut, mut room: usize) -> io::Result<Option<bool>> {
    let (mut is_any, mut is_whole) = (false, true);
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(is_any.then_some(is_whole));
        }
        is_any = true;
        let end = memchr::memchr(end_byte, read);
        let line = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
        let kept = line.get(..room).unwrap_or(line);
        into.extend_from_slice(kept);
        room -= kept.len();
        is_whole &= kept.len() == line.len();
        let used = line.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(is_whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str, batch: usize, payload_max: usize) -> Vec<Result<String, String>> {
        let options = LinesOptions {
            kind: "line".into(),
            batch,
            end: b'\n',
            files: None,
            idempotent: false,
            payload_max,
            is_file: true,
            ordered: None,
        };
        let mut pieces = Vec::new();
        // A small buffer, so that lines are read in several pieces.
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        let is_all = read_lines(input, &options, |piece| {
            pieces.push(match piece {
                Piece::Whole(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                Piece::Rejected(why) | Piece::Broken(why) => Err(why),
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
        let options = LinesOptions {
            kind: "line".into(),
            batch: 10,
            end: b'\n',
            files: None,
            idempotent: false,
            payload_max: 9,
            is_file: true,
            ordered: None,
        };
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
        assert!(pieces[1].as_ref().unwrap_err().contains("longer than 9B"), "{pieces:?}");
        // The newlines in between count.
        assert_eq!(read("1234\n1234\n1\n", 2, 9), [ok("1234\n1234"), ok("1")]);
        let pieces = read("12345\n1234\nx\n12\n3\n", 2, 9);
        let why = pieces[0].as_ref().unwrap_err();
        assert!(why.starts_with("lines 1 to 2 together are longer than 9B"), "{why}");
        assert_eq!(pieces[1..], [ok("x\n12"), ok("3")]);
    }
}
