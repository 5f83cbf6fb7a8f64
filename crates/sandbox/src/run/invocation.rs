//! How a program is called: its arguments, its scratch folder, and the exit statuses that are a success.

use std::collections::BTreeSet;

use crate::imports::scratch::SCRATCH_FOLDER;
use disperse_protocol::units::Size;

/// The default size of a scratch folder, in bytes. Arbitrary: a few files of the largest size of a payload.
const SCRATCH: u64 = 16 << 20;

/// The smallest scratch folder, in bytes. Arbitrary: the payload's file under thirty names.
const SCRATCH_MIN: u64 = 64 << 10;

/// The name of the payload's file in the scratch folder, without an extension.
const PAYLOAD: &str = "payload";

/// The largest exit status, as on Unix.
const STATUS_MAX: i32 = 255;

/// The settings for a program, from a manifest or from flags. None: not set.
#[derive(Clone, Debug, Default)]
pub struct InvocationSettings {
    /// Arguments after the program's name, with placeholders.
    pub args: Option<Vec<String>>,
    /// The size of the scratch folder, in bytes.
    pub scratch: Option<u64>,
    /// The result file in the scratch folder.
    pub result_file: Option<String>,
    /// The exit statuses that are a success.
    pub ok_status: Option<Vec<i32>>,
}

impl InvocationSettings {
    /// The first setting that is set, by its name in a manifest. None: none is.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("args", self.args.is_some()),
            ("scratch", self.scratch.is_some()),
            ("result-file", self.result_file.is_some()),
            ("ok-status", self.ok_status.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// These settings, with those of `base` where they are not set.
    pub fn over(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            args: self.args.or(base.args),
            scratch: self.scratch.or(base.scratch),
            result_file: self.result_file.or(base.result_file),
            ok_status: self.ok_status.or(base.ok_status),
        }
    }
}

/// Invalid settings for a program.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    #[error("an argument has a zero byte in it")]
    Zero,
    #[error("a scratch folder of {} is too small; it has {} at least", Size(*.0), Size(SCRATCH_MIN))]
    Scratch(u64),
    #[error("`{0}` names no file in the scratch folder")]
    ResultFile(String),
    #[error("{0} is no exit status: these are 0 to 255")]
    Status(i32),
    #[error("no exit status would be a success")]
    NoStatus,
}

/// How a program is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program's name and its arguments. None: the kind of the action alone.
    args: Option<Vec<Argument>>,
    /// The size of the scratch folder, in bytes. None: no folder.
    scratch: Option<u64>,
    result_file: Option<String>,
    ok: BTreeSet<i32>,
}

impl Default for Invocation {
    fn default() -> Self {
        Self {
            args: None,
            scratch: None,
            result_file: None,
            ok: BTreeSet::from([0]),
        }
    }
}

impl Invocation {
    /// The invocation of a program of this name.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn new(name: &str, settings: InvocationSettings) -> Result<Self, InvocationError> {
        let args = settings.args.map(|args| {
            let name = Argument(vec![Piece::Text(name.replace('\0', "?"))]);
            let args = args.iter().map(|text| Argument::parse(text));
            std::iter::once(Ok(name)).chain(args).collect::<Result<Vec<_>, _>>()
        });
        let args = args.transpose()?;
        let result_file = settings.result_file.map(|path| file_in_scratch(&path)).transpose()?;
        let has_file = pieces(args.as_deref()).any(|piece| matches!(piece, Piece::File(_)));
        let scratch = settings
            .scratch
            .or((has_file || result_file.is_some()).then_some(SCRATCH));
        if let Some(size) = scratch.filter(|size| *size < SCRATCH_MIN) {
            return Err(InvocationError::Scratch(size));
        }
        let ok: BTreeSet<i32> = settings.ok_status.unwrap_or_else(|| vec![0]).into_iter().collect();
        if let Some(status) = ok.iter().find(|status| !(0..=STATUS_MAX).contains(*status)) {
            return Err(InvocationError::Status(*status));
        }
        if ok.is_empty() {
            return Err(InvocationError::NoStatus);
        }
        Ok(Self {
            args,
            scratch,
            result_file,
            ok,
        })
    }

    /// Whether arguments are set.
    pub fn has_args(&self) -> bool {
        self.args.is_some()
    }

    /// The size of the scratch folder, in bytes. None: no folder.
    pub fn scratch(&self) -> Option<u64> {
        self.scratch
    }

    /// The path of the result file below the scratch folder. None: the result is stdout.
    pub fn result_file(&self) -> Option<&str> {
        self.result_file.as_deref()
    }

    /// Whether this exit status is a success.
    pub fn is_ok(&self, status: i32) -> bool {
        self.ok.contains(&status)
    }

    /// The names of the payload's files in the scratch folder.
    pub fn payload_files(&self) -> BTreeSet<&str> {
        let files = pieces(self.args.as_deref()).filter_map(|piece| match piece {
            Piece::File(name) => Some(name.as_str()),
            _ => None,
        });
        files.collect()
    }

    /// Whether the payload is passed in the arguments or in a file, and not on stdin.
    pub fn takes_payload(&self) -> bool {
        pieces(self.args.as_deref()).any(|piece| matches!(piece, Piece::Payload | Piece::File(_)))
    }

    /// The program's name and arguments for one attempt.
    ///
    /// # Errors
    /// The payload cannot be an argument, for this reason.
    pub fn args(&self, kind: &str, attempt: &str, payload: &[u8]) -> Result<Vec<String>, &'static str> {
        let Some(args) = &self.args else {
            return Ok(vec![kind.to_owned()]);
        };
        args.iter()
            .map(|argument| argument.filled(kind, attempt, payload))
            .collect()
    }
}

fn pieces(args: Option<&[Argument]>) -> impl Iterator<Item = &Piece> {
    args.into_iter().flatten().flat_map(|argument| &argument.0)
}

/// Checks a path of a file below the scratch folder, and removes that folder's own path if it is a prefix.
fn file_in_scratch(path: &str) -> Result<String, InvocationError> {
    let within = path
        .strip_prefix(SCRATCH_FOLDER)
        .and_then(|rest| rest.strip_prefix('/'));
    let within = within.unwrap_or(path);
    let is_file = within.split('/').all(|part| !matches!(part, "" | "." | "..")) && !within.contains('\0');
    match is_file {
        true => Ok(within.to_owned()),
        false => Err(InvocationError::ResultFile(path.to_owned())),
    }
}

/// An argument with placeholders: `{}` is the payload, `{file}` the path of a file with the payload, `{file.EXT}` the
/// same with an extension, and `{kind}` and `{attempt}` are values of the attempt. A placeholder in double braces, such
/// as `{{}}` or `{{kind}}`, is text with single braces. All other braces are text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Argument(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Payload,
    /// The name of the file in the scratch folder.
    File(String),
    Kind,
    Attempt,
}

impl Argument {
    fn parse(text: &str) -> Result<Self, InvocationError> {
        if text.contains('\0') {
            return Err(InvocationError::Zero);
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            let doubled = from.strip_prefix('{').and_then(placeholder);
            if let Some((_, inner, after)) = doubled
                && let Some(after) = after.strip_prefix('}')
            {
                plain.push_str(inner);
                rest = after;
            } else if let Some((piece, _, after)) = placeholder(from) {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(piece);
                rest = after;
            } else {
                plain.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    fn filled(&self, kind: &str, attempt: &str, payload: &[u8]) -> Result<String, &'static str> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Payload => filled.push_str(text_of(payload)?),
                Piece::File(name) => {
                    filled.push_str(SCRATCH_FOLDER);
                    filled.push('/');
                    filled.push_str(name);
                }
                Piece::Kind => filled.push_str(kind),
                Piece::Attempt => filled.push_str(attempt),
            }
        }
        Ok(filled)
    }
}

/// The placeholder at the start of a text: its meaning, its own text, and the rest.
fn placeholder(text: &str) -> Option<(Piece, &str, &str)> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find('}')?;
    let (name, after) = (inner.get(..end)?, inner.get(end + 1..)?);
    let piece = match name {
        "" => Piece::Payload,
        "file" => Piece::File(PAYLOAD.to_owned()),
        "kind" => Piece::Kind,
        "attempt" => Piece::Attempt,
        _ => {
            let extension = name.strip_prefix("file.")?;
            let is_one = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
            if extension.is_empty() || extension.len() > 32 || !extension.chars().all(is_one) {
                return None;
            }
            Piece::File(format!("{PAYLOAD}.{extension}"))
        }
    };
    Some((piece, text.get(..end + 2)?, after))
}

/// A payload as an argument.
fn text_of(payload: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(payload);
    let text = text
        .map_err(|_| "its payload is not UTF-8, so that it cannot be an argument; pass it with {file} or on stdin")?;
    match text.contains('\0') {
        true => {
            Err("its payload has a zero byte in it, so that it cannot be an argument; pass it with {file} or on stdin")
        }
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(args: &[&str]) -> Invocation {
        let settings = InvocationSettings {
            args: Some(args.iter().map(|&arg| arg.to_owned()).collect()),
            ..InvocationSettings::default()
        };
        Invocation::new("tool", settings).unwrap()
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_are_text() {
        for (written, filled) in [
            ("{}", "a b"),
            ("x{}y{}", "xa bya b"),
            ("{kind}-{attempt}", "line-a1.2"),
            ("{file}", "/tmp/payload"),
            ("--in={file.tar.gz}", "--in=/tmp/payload.tar.gz"),
            ("{{}}", "{}"),
            ("{{file.md}}", "{file.md}"),
            ("{{{}}}", "{{}}"),
            ("{{}", "{a b"),
            ("{a: .b}", "{a: .b}"),
            ("{{a}}", "{{a}}"),
            ("{file.}", "{file.}"),
            ("{file./x}", "{file./x}"),
            ("{", "{"),
            ("", ""),
            ("ä{}ö", "äa bö"),
        ] {
            let args = invocation(&[written]).args("line", "a1.2", b"a b").unwrap();
            assert_eq!(args, ["tool", filled], "{written}");
        }
    }

    #[test]
    fn payload_is_on_stdin_unless_an_argument_contains_it() {
        assert!(!Invocation::default().takes_payload());
        assert!(!invocation(&["-v", "{kind}", "{{}}"]).takes_payload());
        assert!(invocation(&["{}"]).takes_payload());
        let file = invocation(&["{file.svg}", "{file}"]);
        assert!(file.takes_payload());
        assert_eq!(file.payload_files(), BTreeSet::from(["payload", "payload.svg"]));
        assert_eq!((file.scratch(), invocation(&["{}"]).scratch()), (Some(SCRATCH), None));
        assert_eq!(Invocation::default().args("line", "a1.1", b"\0").unwrap(), ["line"]);
    }

    #[test]
    fn payload_that_cannot_be_an_argument_is_an_error() {
        assert!(
            invocation(&["{}"])
                .args("k", "a", b"\xff")
                .unwrap_err()
                .contains("UTF-8")
        );
        assert!(
            invocation(&["{}"])
                .args("k", "a", b"a\0")
                .unwrap_err()
                .contains("zero byte")
        );
        assert!(invocation(&["{file}"]).args("k", "a", b"\xff").is_ok());
    }

    #[test]
    fn invalid_settings_are_errors() {
        let new = |settings| Invocation::new("tool", settings);
        let base = InvocationSettings::default;
        let file = |path: &str| InvocationSettings {
            result_file: Some(path.to_owned()),
            ..base()
        };
        for path in ["", "/", "/tmp", "/tmp/", "../a", "a/../b", "/etc/x", "a//b", "./a"] {
            assert_eq!(
                new(file(path)),
                Err(InvocationError::ResultFile(path.to_owned())),
                "{path}"
            );
        }
        assert_eq!(new(file("/tmp/a/b.png")).unwrap().result_file(), Some("a/b.png"));
        let status = |ok: &[i32]| {
            new(InvocationSettings {
                ok_status: Some(ok.to_vec()),
                ..base()
            })
        };
        assert_eq!(status(&[0, 256]), Err(InvocationError::Status(256)));
        assert_eq!(status(&[-1]), Err(InvocationError::Status(-1)));
        assert_eq!(status(&[]), Err(InvocationError::NoStatus));
        let listed = status(&[10, 20]).unwrap();
        assert!(listed.is_ok(20) && !listed.is_ok(0));
        let none = InvocationSettings {
            scratch: Some(0),
            ..base()
        };
        assert_eq!(new(none), Err(InvocationError::Scratch(0)));
    }
}
