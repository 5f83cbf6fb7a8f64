//! The settings of the picture, from the arguments of the run.

use serde::{Deserialize, Serialize};

use crate::picture::View;

/// The arguments after `--` on the command line.
pub(crate) const USAGE: &str = "\
usage: disperse-host run examples/mandelbrot --output mandelbrot.png -- [OPTIONS]
  --width N        pixels across (800)
  --height N       pixels down (600)
  --tile N         pixels along one side of a tile (64)
  --iterations N   how long a point may take to escape (1000)
  --center X,Y     the point in the middle (-0.6,0)
  --zoom F         1 shows the whole set, 10 a tenth of it (1)";

/// Red, green and blue.
const BYTES_PER_PIXEL: u64 = 3;
/// The largest result of a task, in bytes: the host's default limit for a result.
const BAND_BYTES_MAX: u64 = 8 << 20;
/// The largest picture, in pixels: the planner's memory, 1 GiB by default, holds it and its PNG.
const PICTURE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) tile: u32,
    pub(crate) iterations: u32,
    pub(crate) center: (f64, f64),
    pub(crate) zoom: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            width: 800,
            height: 600,
            tile: 64,
            iterations: 1000,
            center: (-0.6, 0.0),
            zoom: 1.0,
        }
    }
}

impl Settings {
    /// Parses `--name value` and `--name=value`; the last one counts. The error is for the user.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                value
                    .or_else(|| arguments.next().map(String::as_str))
                    .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))
            };
            match name {
                "--width" => settings.width = whole(name, value()?)?,
                "--height" => settings.height = whole(name, value()?)?,
                "--tile" => settings.tile = whole(name, value()?)?,
                "--iterations" => settings.iterations = whole(name, value()?)?,
                "--center" => settings.center = point(name, value()?)?,
                "--zoom" => settings.zoom = real(name, value()?)?,
                _ => return Err(format!("unknown argument `{argument}`\n{USAGE}")),
            }
        }
        settings.check()
    }

    fn check(self) -> Result<Self, String> {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        if self.zoom <= 0.0 {
            return Err("--zoom must be more than 0".to_owned());
        }
        if width * height * BYTES_PER_PIXEL > PICTURE_BYTES_MAX {
            return Err(format!(
                "a picture of {width} x {height} pixels is too large: at most 89 million pixels"
            ));
        }
        if width * u64::from(self.tile.min(self.height)) * BYTES_PER_PIXEL > BAND_BYTES_MAX {
            let tile = BAND_BYTES_MAX / BYTES_PER_PIXEL / width;
            return Err(format!(
                "--tile {} makes bands of more than 8 MiB: at most {tile} at this width",
                self.tile
            ));
        }
        Ok(self)
    }

    pub(crate) fn view(&self) -> View {
        // At zoom 1 the height shows the set with a margin, or the width does where the picture is narrow.
        let span = (2.6 / f64::from(self.height)).max(3.3 / f64::from(self.width));
        let step = span / self.zoom;
        View {
            left: self.center.0 - step * f64::from(self.width - 1) / 2.0,
            top: self.center.1 + step * f64::from(self.height - 1) / 2.0,
            step,
            iterations: self.iterations,
        }
    }
}

fn whole(name: &str, value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name} must be a whole number from 1, not `{value}`")),
    }
}

fn real(name: &str, value: &str) -> Result<f64, String> {
    match value.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("{name} must be a number, not `{value}`")),
    }
}

fn point(name: &str, value: &str) -> Result<(f64, f64), String> {
    let (x, y) = value
        .split_once(',')
        .ok_or_else(|| format!("{name} must be X,Y, not `{value}`"))?;
    Ok((real(name, x)?, real(name, y)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_parsed_in_both_spellings() {
        assert_eq!(parse("").unwrap(), Settings::default());
        let settings = parse("--width 10 --height=20 --tile=8 --iterations 5 --center=-1.5,0.25 --zoom 2e3").unwrap();
        let expected = Settings {
            width: 10,
            height: 20,
            tile: 8,
            iterations: 5,
            center: (-1.5, 0.25),
            zoom: 2000.0,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn errors_name_the_mistake() {
        for (line, part) in [
            ("--widht 3", "unknown argument `--widht`"),
            ("--width", "--width needs a value"),
            ("--width 0", "whole number from 1, not `0`"),
            ("--width -3", "not `-3`"),
            ("--center 3", "must be X,Y"),
            ("--center 3,nan", "must be a number, not `nan`"),
            ("--zoom 0", "more than 0"),
            ("--width 100000 --height 100000", "too large"),
            ("--width 50000 --tile 600", "at most 55 at this width"),
        ] {
            let why = parse(line).unwrap_err();
            assert!(why.contains(part), "{line}: {why}");
        }
    }
}
