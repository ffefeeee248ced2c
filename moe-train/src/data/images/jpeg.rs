//! JPEG files that are whole: decoders paint what is missing grey, and say nothing.

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The most bytes of a decoded picture, as of the `image` crate.
const MOST_BYTES: usize = 512 << 20;

/// A byte of ones, which the format writes with a zero after it. No Huffman code is all ones.
const ONES: [u8; 2] = [0xFF, 0];

/// Decodes a file, or says what is wrong with it: an end that is missing, or data that stops before it.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let outline = Outline::of(bytes).ok_or("it is cut off: the mark of its end is missing")?;
    let mut bytes = bytes[..outline.end].to_vec();
    if !outline.is_progressive {
        // A decoder that has too little data takes its end for zeros. Ones are an error for it.
        bytes.truncate(outline.end - 2);
        bytes.extend(ONES.repeat(32));
    }
    pixels(&bytes).map_err(|error| format!("it is cut off or damaged: {error}"))
}

fn pixels(bytes: &[u8]) -> Result<DynamicImage, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let text = |error: zune_jpeg::errors::DecodeErrors| error.to_string();
    decoder.decode_headers().map_err(text)?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let n_bytes = width.checked_mul(height).and_then(|n| n.checked_mul(3));
    if n_bytes.is_none_or(|n| n > MOST_BYTES) {
        return Err(format!("{width} x {height} pixels are too many"));
    }
    let colours = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    // strict from here on: some writers leave a few bytes between the heads
    decoder.set_options(
        options
            .jpeg_set_out_colorspace(colours)
            .set_strict_mode(true),
    );
    let pixels = decoder.decode().map_err(text)?;
    let (width, height) = (width as u32, height as u32);
    let image = if colours == ColorSpace::Luma {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.ok_or_else(|| "another number of pixels than its head says".to_owned())
}

/// The segments of a file.
#[derive(Debug, PartialEq, Eq)]
struct Outline {
    /// The place after the mark of the end. What follows is not the picture's: cameras put data there.
    end: usize,
    is_progressive: bool,
}

impl Outline {
    /// Goes from segment to segment, as pictures within a picture have ends of their own.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut is_progressive = false;
        let mut at = 2; // after the mark of the start
        loop {
            at += bytes.get(at..)?.windows(2).position(is_mark)? + 1;
            let mark = bytes[at];
            at += 1;
            match mark {
                0xD9 => {
                    return Some(Self {
                        end: at,
                        is_progressive,
                    });
                }
                0x01 | 0xD0..=0xD8 => continue, // without a length
                0xC2 => is_progressive = true,
                _ => {}
            }
            let length = bytes.get(at..at + 2)?;
            at += usize::from(u16::from_be_bytes([length[0], length[1]]));
        }
    }
}

/// Returns `true` if two bytes are a mark; in data a zero follows a byte of ones.
fn is_mark(bytes: &[u8]) -> bool {
    bytes[0] == 0xFF && !matches!(bytes[1], 0 | 0xFF)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use image::codecs::jpeg::JpegEncoder;

    /// A picture whose pixels are hard to compress.
    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503) ^ (x * y);
            image::Rgb([(value >> 3) as u8, (value >> 9) as u8, (value >> 5) as u8])
        })
    }

    fn encoded(width: u32, height: u32, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        picture(width, height).write_with_encoder(encoder).unwrap();
        bytes
    }

    #[test]
    fn whole_files_are_what_the_image_crate_makes_of_them() {
        for (width, height) in [(1, 1), (7, 5), (16, 16), (33, 90), (200, 3)] {
            for quality in [1, 50, 100] {
                let bytes = encoded(width, height, quality);
                let theirs = image::load_from_memory(&bytes).unwrap();
                assert_eq!(decode(&bytes).unwrap(), theirs, "{width} x {height}");
                // what a camera puts after the picture
                let more = [&bytes[..], b"SEFT and more"].concat();
                assert_eq!(decode(&more).unwrap(), theirs);
            }
        }
        let grey = DynamicImage::from(picture(40, 20)).to_luma8();
        let mut bytes = Vec::new();
        grey.write_with_encoder(JpegEncoder::new(&mut bytes))
            .unwrap();
        let theirs = image::load_from_memory(&bytes).unwrap();
        assert_eq!(decode(&bytes).unwrap(), theirs);
        // one colour: hardly a bit a block
        let mut bytes = Vec::new();
        let blank = RgbImage::from_pixel(300, 300, image::Rgb([9, 9, 9]));
        blank
            .write_with_encoder(JpegEncoder::new(&mut bytes))
            .unwrap();
        let theirs = image::load_from_memory(&bytes).unwrap();
        assert_eq!(decode(&bytes).unwrap(), theirs);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let bytes = encoded(24, 17, 80);
        for cut in 0..bytes.len() {
            decode(&bytes[..cut]).expect_err("it is cut");
        }
        let error = decode(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(error.contains("it is cut off"), "{error}");
    }

    #[test]
    fn an_end_that_was_put_to_half_of_a_picture_does_not_make_it_whole() {
        let bytes = encoded(64, 48, 80);
        for eighth in 1..8 {
            let mut cut = bytes[..bytes.len() * eighth / 8].to_vec();
            if cut.last() == Some(&0xFF) {
                cut.pop();
            }
            cut.extend([0xFF, 0xD9]);
            decode(&cut).expect_err("the rest is missing");
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_that_of_the_picture() {
        let (thumbnail, bytes) = (encoded(8, 8, 50), encoded(32, 32, 80));
        let mut within = vec![0xFF, 0xD8, 0xFF, 0xE1];
        within.extend((thumbnail.len() as u16 + 2).to_be_bytes());
        within.extend(&thumbnail);
        within.extend(&bytes[2..]);
        let theirs = image::load_from_memory(&bytes).unwrap();
        assert_eq!(decode(&within).unwrap(), theirs);
        let half = &within[..within.len() - bytes.len() / 2];
        assert!(decode(half).unwrap_err().contains("cut off"));
    }
}
