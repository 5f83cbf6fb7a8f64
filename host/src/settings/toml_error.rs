//! Errors of files in TOML, for people.

use disperse_protocol::units::nearest;

/// The longest line of a text that an error shows, in bytes. Arbitrary: a few lines of a terminal.
const LINE_MAX: usize = 400;

/// The parser's message, with the most similar known key for an unknown one. A line of the text that is too long is
/// left out.
pub(crate) fn explain(error: &toml::de::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let message = error.message();
    if text.lines().any(|line| line.len() > LINE_MAX) {
        let place = text
            .lines()
            .next()
            .filter(|line| line.len() <= LINE_MAX)
            .unwrap_or_default();
        let message = message.get(..message.floor_char_boundary(LINE_MAX)).unwrap_or_default();
        text = format!("{place}\n{message}").trim_start().to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown field")) else {
        return text;
    };
    let known: Vec<String> = quoted.collect();
    match nearest(&unknown, &known) {
        Some(near) => format!("{text}\nhint: did you mean `{near}`?"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use disperse_protocol::units::Size;
    use serde::Deserialize;

    use super::*;

    #[test]
    fn error_leaves_out_long_lines() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let long = "y".repeat(LINE_MAX);
        for text in [
            format!("x = [\"{long}\""),
            format!("{long} = 1"),
            format!("a = 1\n\n{long}"),
        ] {
            let error = explain(&toml::from_str::<Nothing>(&text).unwrap_err());
            assert!(error.len() < 2 * LINE_MAX, "{error}");
            assert!(error.starts_with("TOML parse error at line "), "{error}");
        }
    }

    #[test]
    fn number_in_a_manifest_is_an_error_with_an_example() {
        #[derive(Debug, Deserialize)]
        struct Table {
            _memory: Size,
        }
        for (value, why) in [
            ("64", "expected a size, such as 64MiB, 1GiB or 512KiB, in quotes"),
            ("\"64\"", "it has no unit"),
        ] {
            let error = toml::from_str::<Table>(&format!("_memory = {value}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
