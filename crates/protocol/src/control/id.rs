//! The names of runs.

use std::fmt;

use crate::wall_clock::{Utc, since_1970};

/// The number of letters at the end of a name. The first two encode the fraction of the second, in steps of 1.5 ms, so
/// that runs started one after another by a script sort too; the others are random.
const LETTERS: usize = 5;

/// The name of a run: its start time (UTC) and a few letters, as in `20261124-162024-kqztb`. Sorts by time.
///
/// Not a ULID or UUID v7: people type these names, or their ends, and read the time in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// A new name, for a run that starts now.
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let since = since_1970();
        let mut random = [0; 3];
        // Without random letters, two runs that start in the same moment have one name, and the second has no socket.
        let _ = getrandom::fill(&mut random);
        let [a, b, c] = random.map(u64::from);
        let part = u64::from(since.subsec_nanos()) * 26 * 26 / 1_000_000_000;
        let numbers: [u64; LETTERS] = [part / 26, part % 26, a, b, c];
        let letters = numbers.map(|number| char::from(b'a' + (number % 26) as u8));
        Self(format!("{}-{}", stamp(since.as_secs()), String::from_iter(letters)))
    }

    /// Parses a name. None: the text does not have the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut is_next = |length: usize, fits: fn(&u8) -> bool| {
            parts
                .next()
                .is_some_and(|part| part.len() == length && part.as_bytes().iter().all(fits))
        };
        let fits = is_next(8, u8::is_ascii_digit)
            && is_next(6, u8::is_ascii_digit)
            && is_next(LETTERS, u8::is_ascii_lowercase);
        (fits && parts.next().is_none()).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text that was typed selects this run: the whole name, its beginning or its end.
    pub fn is_meant_by(&self, text: &str) -> bool {
        !text.is_empty() && (self.0.starts_with(text) || self.0.ends_with(text))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Seconds since 1970 as `YYYYMMDD-HHMMSS`, UTC.
fn stamp(seconds: u64) -> String {
    let Utc { date, time } = Utc::of(seconds);
    let ([year, month, day], [hours, minutes, seconds]) = (date, time);
    format!("{year:04}{month:02}{day:02}-{hours:02}{minutes:02}{seconds:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_formats_utc_times() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(951_827_696), "20000229-123456");
        assert_eq!(stamp(1_767_225_599), "20251231-235959");
        assert_eq!(stamp(1_772_323_200), "20260301-000000");
    }

    #[test]
    fn parse_rejects_texts_of_another_form() {
        let id = RunId::new();
        assert_eq!(RunId::parse(id.as_str()), Some(id.clone()));
        for text in [
            "",
            "x",
            "../../etc",
            "20261124-162024",
            "20261124-162024-KQZTB",
            "20261124-162024-kqztb-",
        ] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
        let (start, end) = (&id.as_str()[..8], &id.as_str()[16..]);
        assert!(id.is_meant_by(start) && id.is_meant_by(end) && !id.is_meant_by("") && !id.is_meant_by("-"));
    }
}
