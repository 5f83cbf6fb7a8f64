//! Draws the Mandelbrot set. Each task is a band of rows, each action a tile of a band; the planner assembles the bands
//! and writes one PNG after the last.
#![forbid(unsafe_code)]

mod picture;
mod settings;

use disperse_guest::{
    Action, Bincode, Error, Failure, Operation, Raw, Worker, arguments, error, export_both, perform_all,
};
use picture::{Canvas, Tile};
use serde::{Deserialize, Serialize};
use settings::Settings;

/// The planner: which rows were handed out, and the picture so far.
struct Mandelbrot {
    settings: Result<Settings, String>,
    next_row: u32,
    canvas: Canvas,
    failed: u32,
}

impl Default for Mandelbrot {
    fn default() -> Self {
        let settings = Settings::parse(&arguments());
        let canvas = settings
            .as_ref()
            .map(|settings| Canvas::new(settings.width, settings.height))
            .unwrap_or_default();
        Self {
            settings,
            next_row: 0,
            canvas,
            failed: 0,
        }
    }
}

/// A band: whole rows of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Band {
    settings: Settings,
    row: u32,
    rows: u32,
}

impl Operation for Mandelbrot {
    type Task = Band;
    type Output = Raw;

    fn next(&mut self) -> Option<Band> {
        // Without settings there is nothing to draw, and `finish` returns the reason.
        let settings = *self.settings.as_ref().ok()?;
        let row = self.next_row;
        let rows = settings.tile.min(settings.height - row);
        self.next_row += rows;
        (rows > 0).then_some(Band { settings, row, rows })
    }

    fn run(band: Band) -> Result<Raw, Error> {
        let tiles = band.tiles();
        let pixels = perform_all("tile", tiles.iter().map(|tile| Bincode(*tile)));
        let mut canvas = Canvas::new(band.settings.width, band.rows);
        for (tile, pixels) in tiles.iter().zip(pixels) {
            let pixels: Raw = pixels?;
            canvas.paste(tile.x, tile.y - band.row, tile.width, &pixels.0)?;
        }
        Ok(Raw(canvas.into_pixels()))
    }

    fn collect(&mut self, band: Band, outcome: Result<Raw, String>) {
        let pasted = outcome.and_then(|pixels| self.canvas.paste(0, band.row, band.settings.width, &pixels.0));
        if let Err(why) = pasted {
            error!("rows {} to {} are missing: {why}", band.row, band.row + band.rows - 1);
            self.failed += 1;
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.settings.clone()?;
        if self.failed > 0 {
            return Err(format!("{} bands are missing, so there is no picture", self.failed));
        }
        disperse_guest::output(self.canvas.png()?);
        Ok(())
    }
}

impl Band {
    fn tiles(&self) -> Vec<Tile> {
        let Settings { width, tile, .. } = self.settings;
        (0..width)
            .step_by(tile as usize)
            .map(|x| Tile {
                view: self.settings.view(),
                x,
                y: self.row,
                width: tile.min(width - x),
                height: self.rows,
            })
            .collect()
    }
}

/// Draws one tile: three bytes for each pixel, red, green and blue, row after row.
#[derive(Default)]
struct Painter;

impl Worker for Painter {
    type Input = Bincode<Tile>;
    type Output = Raw;

    fn handle(&mut self, action: Action<Bincode<Tile>>) -> Result<Raw, Failure> {
        Ok(Raw(action.input.0.draw()))
    }
}

export_both!(Mandelbrot, Painter);

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what a host does: every band is drawn tile by tile, and the last comes first.
    #[test]
    fn bands_are_assembled_to_a_picture() {
        let settings = Settings::parse(&["--width=70", "--height", "50", "--tile", "16"].map(str::to_owned)).unwrap();
        let mut planner = Mandelbrot {
            settings: Ok(settings),
            next_row: 0,
            canvas: Canvas::new(settings.width, settings.height),
            failed: 0,
        };
        let mut bands: Vec<Band> = std::iter::from_fn(|| planner.next()).collect();
        assert_eq!(
            bands.iter().map(|band| (band.row, band.rows)).collect::<Vec<_>>(),
            [(0, 16), (16, 16), (32, 16), (48, 2)]
        );
        bands.reverse();
        for band in bands {
            let mut canvas = Canvas::new(settings.width, band.rows);
            for tile in band.tiles() {
                let pixels = Painter.handle(Action::new("tile", Bincode(tile))).unwrap();
                canvas.paste(tile.x, tile.y - band.row, tile.width, &pixels.0).unwrap();
            }
            planner.collect(band, Ok(Raw(canvas.into_pixels())));
        }
        let whole = Tile {
            view: settings.view(),
            x: 0,
            y: 0,
            width: 70,
            height: 50,
        };
        let mut expected = Canvas::new(70, 50);
        expected.paste(0, 0, 70, &whole.draw()).unwrap();
        let png = planner.canvas.png().unwrap();
        assert_eq!(png, expected.png().unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            (info.width, info.height, info.color_type),
            (70, 50, png::ColorType::Rgb)
        );
        assert_eq!(pixels, whole.draw());
    }

    #[test]
    fn invalid_arguments_end_the_run_without_a_task() {
        let mut planner = Mandelbrot {
            settings: Settings::parse(&["--widht".to_owned()]),
            next_row: 0,
            canvas: Canvas::default(),
            failed: 0,
        };
        assert!(planner.next().is_none());
        assert!(planner.finish().unwrap_err().contains("--widht"));
    }
}
