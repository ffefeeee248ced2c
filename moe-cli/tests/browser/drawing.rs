//! What can be said of a picture of a page without knowing the page.

use crate::chromium::Scheme;
use image::RgbImage;
use std::collections::HashMap;
use std::path::Path;

/// A picture of a page.
pub struct Drawing {
    pixels: RgbImage,
}

impl Drawing {
    pub fn read(path: &Path) -> Self {
        let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self {
            pixels: image.to_rgb8(),
        }
    }

    /// The colours with the number of their pixels.
    fn colours(&self) -> HashMap<[u8; 3], usize> {
        let mut counts = HashMap::new();
        self.pixels
            .pixels()
            .for_each(|pixel| *counts.entry(pixel.0).or_default() += 1);
        counts
    }

    /// The number of colours, and the share of pixels that do not have the most frequent one.
    pub fn variety(&self) -> (usize, f64) {
        let colours = self.colours();
        let n_pixels: usize = colours.values().sum();
        let ground = colours.values().max().copied().unwrap_or(0);
        (colours.len(), 1.0 - ground as f64 / n_pixels as f64)
    }

    /// How light the corner is, from 0 to 255.
    pub fn ground(&self) -> u8 {
        let [red, green, blue] = self.pixels.get_pixel(0, 0).0;
        ((u16::from(red) + u16::from(green) + u16::from(blue)) / 3) as u8
    }

    /// Panics if nearly nothing is drawn, or on the ground of the other scheme.
    pub fn check_drawn(&self, scheme: Scheme) {
        let (n_colours, drawn) = self.variety();
        assert!(
            n_colours > 30 && drawn > 0.003,
            "{scheme:?}: {n_colours} colours, {:.2} % of the pixels not ground",
            100.0 * drawn
        );
        let ground = self.ground();
        let fits = match scheme {
            Scheme::Light => ground > 200,
            Scheme::Dark => ground < 60,
        };
        assert!(fits, "{scheme:?} on a ground of {ground}");
    }
}

/// Panics if the two schemes look alike where there is ink.
pub fn check_differ([light, dark]: &[Drawing; 2]) {
    let pairs = light.pixels.pixels().zip(dark.pixels.pixels());
    let n_same = pairs.filter(|(a, b)| a == b).count();
    let n_pixels = light.pixels.pixels().len();
    assert!(
        n_same < n_pixels / 2,
        "{n_same} of {n_pixels} pixels are the same"
    );
}
