//! Amounts with units: `10G` fuel, `64MiB`, `30s`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

/// Why a text is not an amount. Its message has an example of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {wanted}{}", missing(*.bare))]
pub struct UnitError {
    given: String,
    wanted: &'static str,
    /// Whether it is a number without a unit.
    bare: bool,
}

impl UnitError {
    fn new(given: &str, wanted: &'static str) -> Self {
        Self {
            given: given.to_owned(),
            wanted,
            bare: split(given).is_some_and(|(_, unit)| unit.is_empty()),
        }
    }
}

fn missing(bare: bool) -> &'static str {
    if bare { ": it has no unit" } else { "" }
}

/// Splits `12.5MiB` into 12.5 and `MiB`.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

fn scaled(number: f64, factor: f64) -> Option<u64> {
    let value = number * factor;
    // 2^63 is far beyond every useful amount and within what f64 can tell apart from overflow.
    (value < 9.2e18).then_some(value.round() as u64)
}

/// Parses an amount of a manifest. For a number without quotes the error has an example.
struct Amount<T> {
    wanted: &'static str,
    parse: fn(&str) -> Result<T, UnitError>,
}

impl<T> Visitor<'_> for Amount<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, in quotes", self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $parse:expr, $print:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(into = "String")]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                let parse: fn(&str) -> Option<u64> = $parse;
                parse(text).map(Self).ok_or_else(|| UnitError::new(text, $wanted))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Amount { wanted: $wanted, parse: str::parse })
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let print: fn(u64, &mut fmt::Formatter<'_>) -> fmt::Result = $print;
                print(self.0, f)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $wanted })
            }
        }
    };
}

amount! {
    /// An amount of fuel in units, one for each simple instruction. Written `10G`, `500M`, `20k` or a plain number.
    Fuel, "an amount of fuel, such as 10G, 500M or 20k",
    |text| {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" => 1.0,
            "k" | "K" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            _ => return None,
        };
        scaled(number, factor)
    },
    |value, f| print_scaled(value, &[(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")], f)
}

amount! {
    /// A number of bytes. Written `64MiB`, `8KiB`, `1GiB`, `5MB` or `100B`; a plain number is an error because its unit
    /// is unknown: 64 rarely means bytes. `0` is zero in every unit.
    Size, "a size, such as 64MiB, 1GiB or 512KiB",
    |text| {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" if number == 0.0 => 0.0,
            "B" => 1.0,
            "KiB" | "K" | "k" => 1024.0,
            "MiB" | "M" => 1024.0 * 1024.0,
            "GiB" | "G" => 1024.0 * 1024.0 * 1024.0,
            "TiB" | "T" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => return None,
        };
        scaled(number, factor)
    },
    |value, f| match value {
        0..1024 => write!(f, "{value}B"),
        _ => print_scaled(value, &[(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")], f),
    }
}

amount! {
    /// A length of time in milliseconds. Written `30s`, `250ms`, `5min`, `2h`; a plain number is an error because its
    /// unit is unknown. `0` is zero in every unit.
    Time, "a time, such as 30s, 250ms, 5min or 2h",
    |text| {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" if number == 0.0 => 0.0,
            "ms" => 1.0,
            "s" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3600e3,
            "d" => 86_400e3,
            _ => return None,
        };
        scaled(number, factor)
    },
    |value, f| print_scaled(value, &[(3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")], f)
}

impl Time {
    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Time {
    fn from(value: Duration) -> Self {
        Self(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Prints a value in the largest unit of which there is at least one, with one digit after the point unless it is zero.
fn print_scaled(value: u64, units: &[(u64, &str)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (factor, unit) in units {
        if value >= *factor {
            let tenths = (value as f64 / *factor as f64 * 10.0).round() / 10.0;
            return write!(f, "{tenths}{unit}");
        }
    }
    match units.last() {
        Some((1, unit)) => write!(f, "{value}{unit}"),
        _ => write!(f, "{value}"),
    }
}

/// The most similar candidate, if any is similar.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a String>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), candidate.as_str()))
        .filter(|(distance, _)| *distance <= word.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_round_trip() {
        for text in ["10G", "1.5M", "20k", "7"] {
            assert_eq!(text.parse::<Fuel>().unwrap().to_string(), text);
        }
        for text in ["64MiB", "1GiB", "1.5KiB", "12B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["30s", "250ms", "5min", "2h"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn invalid_amount_is_an_error_with_an_example() {
        for text in ["", "fast", "-1G", "1.2.3G", "10 Q", "1e400", "99999999999999999999"] {
            let error = text.parse::<Fuel>().unwrap_err().to_string();
            assert!(error.contains("such as 10G"), "{error}");
        }
    }

    #[test]
    fn number_without_unit_is_an_error_unless_zero() {
        let size = "64".parse::<Size>().unwrap_err().to_string();
        assert_eq!(
            size,
            "`64` is not a size, such as 64MiB, 1GiB or 512KiB: it has no unit"
        );
        let time = "30".parse::<Time>().unwrap_err().to_string();
        assert!(time.ends_with(": it has no unit"), "{time}");
        assert_eq!("0".parse(), Ok(Time(0)));
        assert_eq!("0".parse(), Ok(Size(0)));
        assert_eq!("64".parse(), Ok(Fuel(64)));
    }
}
