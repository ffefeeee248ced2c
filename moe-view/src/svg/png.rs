//! Pictures of pixels, as PNG in an address.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use moe_lab::analyze::Pixels;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A picture as an address that holds it whole: `data:image/png;base64,...`.
pub fn uri(pixels: &Pixels) -> String {
    png_uri(
        &pixels.bytes,
        [pixels.height, pixels.width],
        pixels.n_channels,
    )
}

/// Pixels as an address that holds the whole picture, so that a page needs no other file.
///
/// # Shapes
///
/// - bytes: `[H * W * C]`, row by row, colours innermost
///
/// # Panics
///
/// Panics if there is another number of bytes, or if `C` is neither 1 nor 3.
fn png_uri(bytes: &[u8], [height, width]: [usize; 2], n_channels: usize) -> String {
    let colours = match n_channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        other => panic!("a picture has 1 or 3 colours, not {other}"),
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(bytes, width as u32, height as u32, colours)
        .expect("memory takes all bytes of a picture of the right size");
    format!("data:image/png;base64,{}", base64(&png))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_vectors_of_the_standard() {
        // RFC 4648, section 10
        let cases = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = cases.map(|text| base64(text.as_bytes()));
        let expected = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        assert_eq!(encoded, expected);
    }

    #[test]
    fn a_png_in_an_address() {
        let uri = png_uri(&[0, 128, 255, 7], [2, 2], 1);
        // every PNG file begins with the bytes 89 50 4E 47 0D 0A 1A 0A
        assert!(
            uri.starts_with("data:image/png;base64,iVBORw0KGgo"),
            "{uri}"
        );
        assert_eq!(uri, png_uri(&[0, 128, 255, 7], [2, 2], 1));
        assert!(png_uri(&[9; 12], [2, 2], 3).len() > 30);
    }

    #[test]
    #[should_panic(expected = "1 or 3 colours")]
    fn other_colours_panic() {
        png_uri(&[0; 8], [2, 2], 2);
    }
}
