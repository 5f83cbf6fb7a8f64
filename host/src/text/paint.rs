//! Colours of errors on a terminal, as clap has them for those of the command line.

use std::{
    borrow::Cow,
    io::IsTerminal,
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether output to stderr has colours.
static COLORS: AtomicBool = AtomicBool::new(false);

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Turns colours of stderr on or off.
    pub(crate) fn set(self) {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_on = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                std::io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
            }
        };
        COLORS.store(is_on, Ordering::Relaxed);
    }
}

/// The text with colours for the words at the beginning of the host's lines, if colours are on. Lines of guests begin
/// with something else or are indented.
pub(crate) fn painted(text: &str) -> Cow<'_, str> {
    if COLORS.load(Ordering::Relaxed) {
        paint(text)
    } else {
        Cow::Borrowed(text)
    }
}

fn paint(text: &str) -> Cow<'_, str> {
    // Bold red, bold yellow, green.
    let words = [("error:", "1;31"), ("warning:", "1;33"), ("hint:", "32")];
    let known = |line: &str| words.into_iter().find(|(word, _)| line.starts_with(word));
    if !text.lines().any(|line| known(line).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut painted = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        match known(line) {
            Some((word, color)) => {
                let rest = line.get(word.len()..).unwrap_or_default();
                painted.push_str(&format!("\u{1b}[{color}m{word}\u{1b}[0m{rest}"));
            }
            None => painted.push_str(line),
        }
    }
    Cow::Owned(painted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_at_the_beginning_of_a_line_are_painted() {
        assert_eq!(
            paint("error: no error: here\n  because x\nhint: try"),
            "\u{1b}[1;31merror:\u{1b}[0m no error: here\n  because x\n\u{1b}[32mhint:\u{1b}[0m try"
        );
        assert!(matches!(paint("[p/1] error: x\n    error: y"), Cow::Borrowed(_)));
    }
}
