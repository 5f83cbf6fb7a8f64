//! Programs.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A program that workers may run, with the arguments that it may get: `PROGRAM [PATTERN ...]`.
///
/// The program is an absolute path, given exactly. A pattern is an argument in which each `*` stands for any text; the
/// pattern `...` at the end stands for any number of any arguments. An argument that begins with `-` is matched only by
/// a pattern that begins with `-`, so that a pattern for a name cannot match an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRule {
    program: PathBuf,
    patterns: Vec<String>,
    /// Whether any arguments may follow.
    open: bool,
}

/// Why a rule is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ExecRuleError {
    #[error("it names no program")]
    Empty,
    #[error("`{0}` is not an absolute path; programs are named exactly, not looked for")]
    Relative(String),
    #[error("there is no program `{0}`")]
    Missing(String),
    #[error("`{0}` is a folder")]
    Folder(String),
    #[error("`{0}` may not be executed")]
    NotExecutable(String),
    #[error("`...` stands for all arguments that follow, so nothing can come after it")]
    AfterRest,
}

impl ExecRuleError {
    /// How to fix it. `path`: the folders in which a shell looks for programs.
    pub fn hint(&self, path: Option<&OsStr>) -> Option<String> {
        match self {
            Self::Empty => Some("name a program by its absolute path, as in `/usr/bin/git status`".to_owned()),
            Self::Relative(name) if name.contains('/') => {
                let absolute = std::path::absolute(name).ok().filter(|path| path.is_file());
                absolute.map(|path| format!("name it as `{}`", path.display()))
            }
            Self::Relative(name) => {
                let mut found = which::which_in_global(name, path).into_iter().flatten();
                Some(match found.find(|path| path.is_absolute()) {
                    Some(found) => format!("name it as `{}`, where PATH has it", found.display()),
                    None => "PATH has no such program either; install it, and name it by its absolute path".to_owned(),
                })
            }
            Self::Missing(_) => Some("is the path right, and is the program installed?".to_owned()),
            Self::Folder(_) => Some("name a program in it; each program is granted by itself".to_owned()),
            Self::NotExecutable(path) => Some(format!("make it a program with `chmod +x {path}`")),
            Self::AfterRest => None,
        }
    }
}

impl ExecRule {
    /// Parses a rule that is split into words.
    ///
    /// # Errors
    /// It names no existing program, or `...` is not the last word.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ExecRuleError> {
        let mut words = words.into_iter();
        let program = Path::new(
            words
                .next()
                .filter(|word| !word.is_empty())
                .ok_or(ExecRuleError::Empty)?,
        );
        if !program.is_absolute() {
            return Err(ExecRuleError::Relative(program.display().to_string()));
        }
        let shown = || program.display().to_string();
        match std::fs::metadata(program) {
            Ok(meta) if meta.is_dir() => return Err(ExecRuleError::Folder(shown())),
            Ok(meta) if !meta.is_file() => return Err(ExecRuleError::Missing(shown())),
            // The bit of its owner, its group or others: the system decides which applies when it is started.
            Ok(meta) if meta.mode() & 0o111 == 0 => return Err(ExecRuleError::NotExecutable(shown())),
            Ok(_) => {}
            Err(_) => return Err(ExecRuleError::Missing(shown())),
        }
        let mut patterns: Vec<String> = words.map(str::to_owned).collect();
        let open = patterns.pop_if(|last| last == "...").is_some();
        if patterns.iter().any(|pattern| pattern == "...") {
            return Err(ExecRuleError::AfterRest);
        }
        Ok(Self {
            program: program.to_owned(),
            patterns,
            open,
        })
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it allows this invocation.
    pub fn allows(&self, program: &str, arguments: &[String]) -> bool {
        let enough = if self.open {
            arguments.len() >= self.patterns.len()
        } else {
            arguments.len() == self.patterns.len()
        };
        enough
            && Path::new(program) == self.program
            && self
                .patterns
                .iter()
                .zip(arguments)
                .all(|(pattern, argument)| fits(pattern, argument))
    }
}

impl fmt::Display for ExecRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.patterns.iter().try_for_each(|pattern| write!(f, " {pattern}"))?;
        f.write_str(if self.open { " ..." } else { "" })
    }
}

/// Whether a text matches a pattern: the parts between the stars must occur in order, the first at the beginning and
/// the last at the end.
fn fits(pattern: &str, text: &str) -> bool {
    if text.starts_with('-') && !pattern.starts_with('-') {
        return false;
    }
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // The earliest match leaves the most for the rest.
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_must_match_in_number_and_pattern() {
        let allows = |rule: &str, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            ExecRule::new(rule.split(' ')).unwrap().allows("/bin/sh", &arguments)
        };
        assert!(allows("/bin/sh", &[]));
        assert!(!allows("/bin/sh", &["a"]));
        assert!(allows("/bin/sh a *", &["a", "b"]));
        assert!(!allows("/bin/sh a *", &["a"]));
        assert!(!allows("/bin/sh a *", &["b", "b"]));
        assert!(!allows("/bin/sh a *", &["a", "b", "c"]));
        assert!(allows("/bin/sh a ...", &["a"]));
        assert!(allows("/bin/sh a ...", &["a", "-b", "c"]));
        assert!(!allows("/bin/sh a ...", &[]));
        assert!(!allows("/bin/ls *", &["a"]));
    }

    #[test]
    fn pattern_for_a_name_does_not_match_an_option() {
        assert!(fits("*", "name"));
        assert!(!fits("*", "-rf"));
        assert!(fits("-*", "-rf"));
        assert!(fits("--size=*", "--size=3"));
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, fit) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*.txt", "notes.txt", true),
            ("*.txt", "notes.txt.gz", false),
            ("a*a", "a", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
    }

    #[test]
    fn rule_must_name_an_existing_program() {
        let error = |rule: &str| ExecRule::new(rule.split(' ')).unwrap_err();
        assert!(matches!(error(""), ExecRuleError::Empty));
        assert!(matches!(error("sh"), ExecRuleError::Relative(_)));
        assert!(matches!(error("/bin/no-such-program"), ExecRuleError::Missing(_)));
        assert!(matches!(error("/bin/sh ... a"), ExecRuleError::AfterRest));
        assert!(matches!(error("/bin"), ExecRuleError::Folder(_)));
        assert!(matches!(error("/etc/passwd"), ExecRuleError::NotExecutable(_)));
        let hint = |rule: &str| error(rule).hint(Some(OsStr::new("no:/no/such:/bin"))).unwrap();
        assert_eq!(hint("sh"), "name it as `/bin/sh`, where PATH has it");
        assert!(hint("no-such-program").contains("PATH has no such program"));
    }
}
