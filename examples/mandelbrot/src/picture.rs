//! Points, colours and pixels.

use serde::{Deserialize, Serialize};

/// The position of the picture's pixels in the plane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    /// The pixel at the top left.
    pub(crate) left: f64,
    pub(crate) top: f64,
    /// From one pixel to the next.
    pub(crate) step: f64,
    pub(crate) iterations: u32,
}

/// A rectangle of the picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tile {
    pub(crate) view: View,
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Tile {
    /// Red, green and blue of each pixel, row after row.
    pub(crate) fn draw(&self) -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in self.y..self.y.saturating_add(self.height) {
            let imaginary = self.view.top - self.view.step * f64::from(y);
            for x in self.x..self.x.saturating_add(self.width) {
                let real = self.view.left + self.view.step * f64::from(x);
                pixels.extend(match escape(real, imaginary, self.view.iterations) {
                    Some(time) => colour(time),
                    None => [0, 0, 0],
                });
            }
        }
        pixels
    }
}

/// Returns after how many steps the point escapes, with a fraction that makes the colours smooth; none if it does not.
fn escape(real: f64, imaginary: f64, iterations: u32) -> Option<f64> {
    // Far beyond the sufficient 4: the further out, the smoother the fraction.
    const FAR: f64 = 65536.0;
    let (mut x, mut y, mut xx, mut yy) = (0.0, 0.0, 0.0, 0.0);
    for step in 0..iterations {
        y = 2.0 * x * y + imaginary;
        x = xx - yy + real;
        xx = x * x;
        yy = y * y;
        let distance = xx + yy;
        if distance > FAR {
            return Some((f64::from(step) + 2.0 - (distance.ln() / 2.0).log2()).max(0.0));
        }
    }
    None
}

/// Deep blue, sky, white, amber and night, cyclic.
const PALETTE: [(f64, [f64; 3]); 6] = [
    (0.0, [0.0, 7.0, 100.0]),
    (0.16, [32.0, 107.0, 203.0]),
    (0.42, [237.0, 255.0, 255.0]),
    (0.6425, [255.0, 170.0, 0.0]),
    (0.8575, [0.0, 2.0, 0.0]),
    (1.0, [0.0, 7.0, 100.0]),
];

/// Returns the colour of an escape time. The root spreads the early times, where most of the picture lies.
fn colour(time: f64) -> [u8; 3] {
    let at = (time.sqrt() * 0.16).fract();
    let mut colour = [0; 3];
    for pair in PALETTE.windows(2) {
        if let &[(from, low), (to, high)] = pair
            && at >= from
            && at <= to
        {
            let part = (at - from) / (to - from);
            for (channel, (low, high)) in colour.iter_mut().zip(low.into_iter().zip(high)) {
                *channel = (low + (high - low) * part).round() as u8;
            }
        }
    }
    colour
}

/// A picture that is assembled from rectangles.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            pixels: vec![0; width as usize * height as usize * 3],
        }
    }

    /// Copies a rectangle of this width to its place.
    pub(crate) fn paste(&mut self, x: u32, y: u32, width: u32, pixels: &[u8]) -> Result<(), String> {
        let row_bytes = width as usize * 3;
        let wrong = || format!("{} bytes do not fit at {x},{y}", pixels.len());
        if row_bytes == 0 || !pixels.len().is_multiple_of(row_bytes) {
            return Err(wrong());
        }
        for (row, pixels) in pixels.chunks(row_bytes).enumerate() {
            let start = ((y as usize + row) * self.width as usize + x as usize) * 3;
            let fits = x.saturating_add(width) <= self.width;
            let target = self
                .pixels
                .get_mut(start..start + row_bytes)
                .filter(|_| fits)
                .ok_or_else(wrong)?;
            target.copy_from_slice(pixels);
        }
        Ok(())
    }

    pub(crate) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Encodes the picture as a PNG.
    pub(crate) fn png(&self) -> Result<Vec<u8>, String> {
        let encode = || {
            let mut png = Vec::new();
            let mut encoder = png::Encoder::new(&mut png, self.width, self.height);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.write_header()?.write_image_data(&self.pixels)?;
            Ok(png)
        };
        encode().map_err(|error: png::EncodingError| format!("the PNG cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_times_of_known_points() {
        assert_eq!(escape(0.0, 0.0, 1000), None);
        assert_eq!(escape(-1.0, 0.0, 1000), None);
        assert!(escape(2.0, 2.0, 1000).unwrap() < 3.0);
        assert!(escape(0.3, 0.5, 1000).is_none_or(|time| time > 5.0));
    }

    #[test]
    fn colours_are_cyclic_without_a_seam() {
        assert_eq!(colour(0.0), [0, 7, 100]);
        let end = (1.0f64 / 0.16).powi(2);
        let (before, after) = (colour(end - 1e-6), colour(end + 1e-6));
        assert!(
            before.iter().zip(after).all(|(a, b)| a.abs_diff(b) <= 1),
            "{before:?} {after:?}"
        );
    }

    #[test]
    fn rectangle_outside_of_the_picture_is_an_error() {
        let mut canvas = Canvas::new(4, 4);
        assert!(canvas.paste(0, 0, 2, &[1; 12]).is_ok());
        assert!(canvas.paste(3, 0, 2, &[1; 6]).is_err());
        assert!(canvas.paste(0, 4, 2, &[1; 6]).is_err());
        assert!(canvas.paste(0, 0, 2, &[1; 7]).is_err());
    }
}
