//! Pixels of images for the eye.

use moe_train::data::images::ImageShape;

/// A picture of bytes from 0, black, to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1, grey, or 3: red, green and blue.
    pub n_channels: usize,
    /// Row by row, colours innermost: `[H * W * C]`.
    pub bytes: Vec<u8>,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The first column.
    pub x: usize,
    /// The first row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Pixels {
    /// An image of a set.
    pub(super) fn of(image: &[u8], shape: &ImageShape) -> Self {
        let white = u32::from(shape.white);
        let scaled = |&byte: &u8| ((u32::from(byte) * 255 + white / 2) / white) as u8;
        Self {
            width: shape.side,
            height: shape.side,
            n_channels: shape.n_channels,
            bytes: image.iter().map(scaled).collect(),
        }
    }

    /// All of it.
    pub(super) fn frame(&self) -> Frame {
        Frame {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        }
    }

    /// A part of it.
    pub(super) fn crop(&self, frame: &Frame) -> Self {
        let row = |y: usize| {
            let start = (y * self.width + frame.x) * self.n_channels;
            &self.bytes[start..start + frame.width * self.n_channels]
        };
        Self {
            width: frame.width,
            height: frame.height,
            n_channels: self.n_channels,
            bytes: (frame.y..frame.y + frame.height)
                .flat_map(row)
                .copied()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_of_scaled_pixels() {
        let shape = ImageShape {
            side: 3,
            n_channels: 1,
            white: 16,
        };
        let pixels = Pixels::of(&[0, 1, 2, 3, 4, 5, 6, 16, 8], &shape);
        let frame = Frame {
            x: 1,
            y: 1,
            width: 2,
            height: 2,
        };
        // 4, 5, 16 and 8 sixteenths of 255: 63.75, 79.7, 255, 127.5
        assert_eq!(pixels.crop(&frame).bytes, [64, 80, 255, 128]);
    }
}
