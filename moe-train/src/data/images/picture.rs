//! One picture of the user's, from its bytes to pixels: whole, or an error.

use super::jpeg;
use image::{DynamicImage, ImageFormat, ImageReader};
use std::io::Cursor;

/// Decodes a PNG or JPEG file, or says what is wrong with it.
pub(in crate::data) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let format = image::guess_format(bytes).map_err(|error| error.to_string())?;
    match format {
        ImageFormat::Jpeg => return jpeg::decode(bytes),
        ImageFormat::Png if !ends_as_png(bytes) => {
            return Err("it is cut off: its last chunk is missing".to_owned());
        }
        _ => {}
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.decode().map_err(|error| error.to_string())
}

/// Returns `true` if the chunks of a PNG file lead to its last one, with its check sum. Decoders stop
/// before it.
fn ends_as_png(bytes: &[u8]) -> bool {
    let mut at = 8; // after the signature
    while let Some(&[a, b, c, d, ref name @ ..]) = bytes.get(at..at + 8) {
        if name == b"IEND" {
            return bytes.len() >= at + 12;
        }
        at += 12 + u32::from_be_bytes([a, b, c, d]) as usize;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use image::RgbImage;

    #[test]
    fn a_png_that_is_cut_anywhere_is_refused() {
        let mut bytes = Vec::new();
        let image = RgbImage::from_fn(9, 7, |x, y| image::Rgb([(x * y) as u8, x as u8, 3]));
        let mut file = Cursor::new(&mut bytes);
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        assert_eq!(decode(&bytes).unwrap(), DynamicImage::from(image));
        for cut in 0..bytes.len() {
            decode(&bytes[..cut]).expect_err("it is cut");
        }
    }

    #[test]
    fn formats_that_are_not_read_are_named() {
        let error = decode(b"GIF89a\x01\0\x01\0").unwrap_err();
        assert!(error.contains("Gif") || error.contains("gif"), "{error}");
        decode(b"").expect_err("nothing is no picture");
    }
}
