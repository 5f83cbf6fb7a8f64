//! Faults that a worker injects instead of its work.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;
use std::time::Duration;

use disperse_guest::Failure;

use crate::panic_on_purpose;

/// From the settings, each absent unless given:
///
/// | setting | value                          | what happens                                          |
/// |---------|--------------------------------|-------------------------------------------------------|
/// | `FAIL`  | `always` or a part from 0 to 1 | it fails, retryable                                   |
/// | `TRAP`  | the same                       | it panics                                             |
/// | `BUSY`  | the same                       | it reports that it is busy for 50 ms                  |
/// | `WEAR`  | a number of steps              | after this many in one instance it reports unfit      |
/// | `DELAY` | ms                             | each step takes this long                             |
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mischief {
    fail: f64,
    trap: f64,
    busy: f64,
    wear: Option<u32>,
    delay: Duration,
}

impl Mischief {
    pub(crate) fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let part = |name: &str| match setting(name).as_deref() {
            None => Ok(0.0),
            Some("always") => Ok(1.0),
            Some(text) => match text.parse() {
                Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
                _ => Err(format!("{name} must be `always` or a number from 0 to 1, not `{text}`")),
            },
        };
        let number = |name: &str| match setting(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| format!("{name} must be a whole number, not `{text}`")),
        };
        Ok(Self {
            fail: part("FAIL")?,
            trap: part("TRAP")?,
            busy: part("BUSY")?,
            wear: number("WEAR")?,
            delay: Duration::from_millis(number("DELAY")?.unwrap_or(0).into()),
        })
    }

    /// Delays one step, and fails it with the configured probabilities.
    pub(crate) fn befall(&mut self, dice: &Dice) -> Result<(), Failure> {
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        if let Some(left) = &mut self.wear {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| Failure::unfit("worn out, as its settings say"))?;
        }
        if dice.roll("trap") < self.trap {
            panic_on_purpose("this worker breaks");
        }
        if dice.roll("busy") < self.busy {
            return Err(Failure::busy(Duration::from_millis(50)));
        }
        if dice.roll("fail") < self.fail {
            return Err(Failure::retryable("failed, as its settings say"));
        }
        Ok(())
    }
}

/// Random numbers that depend only on worker, step and attempt, so that a run can be repeated.
pub(crate) struct Dice(DefaultHasher);

impl Dice {
    pub(crate) fn new(worker: &str, action: &str, attempt: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        (worker, action, attempt).hash(&mut hasher);
        Self(hasher)
    }

    /// Returns a number from 0 to below 1, always the same for the same name.
    fn roll(&self, name: &str) -> f64 {
        let mut hasher = self.0.clone();
        name.hash(&mut hasher);
        // The upper 53 bits are as many as an f64 holds exactly.
        (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mischief(name: &str, value: &str) -> Result<Mischief, String> {
        Mischief::from_settings(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn settings_are_parsed() {
        assert_eq!(Mischief::from_settings(|_| None), Ok(Mischief::default()));
        assert_eq!(mischief("FAIL", "always").unwrap().fail, 1.0);
        assert_eq!(mischief("TRAP", "0.25").unwrap().trap, 0.25);
        assert_eq!(mischief("DELAY", "7").unwrap().delay, Duration::from_millis(7));
        assert!(mischief("FAIL", "2").unwrap_err().contains("FAIL"));
        assert!(mischief("WEAR", "x").unwrap_err().contains("WEAR"));
    }

    #[test]
    fn failure_rate_is_about_the_configured_one() {
        let mut moody = mischief("FAIL", "0.2").unwrap();
        let failed = (0..1000)
            .filter(|n| moody.befall(&Dice::new("w", &n.to_string(), 1)).is_err())
            .count();
        assert!((150..250).contains(&failed), "{failed}");
    }

    #[test]
    fn worn_out_worker_is_unfit() {
        let mut worn = mischief("WEAR", "2").unwrap();
        let dice = Dice::new("w", "a", 1);
        assert_eq!((worn.befall(&dice), worn.befall(&dice)), (Ok(()), Ok(())));
        assert!(matches!(worn.befall(&dice), Err(Failure::Unfit(_))));
    }
}
