//! The embedded digits: the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
//! 1998, UCI Machine Learning Repository), 8 x 8 counts of dark pixels from 0 to 16.

use super::{ImagePart, ImageShape};
use flate2::read::GzDecoder;

/// One line an image: 64 pixels and the digit. Source and licence are in `data/NOTICE`.
const CSV: &[u8] = include_bytes!("../../../data/digits.csv.gz");

/// The shape of the images.
pub(super) const SHAPE: ImageShape = ImageShape {
    side: 8,
    n_channels: 1,
    white: 16,
};

/// All images in the order of the file.
pub(super) fn read() -> ImagePart {
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(GzDecoder::new(CSV));
    let mut part = ImagePart::default();
    for row in rows.deserialize::<Vec<u8>>() {
        let row = row.expect("a test reads the embedded file");
        let (label, pixels) = row.split_last().expect("a row is not empty");
        part.push(pixels, u16::from(*label));
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_file_holds_1797_digits() {
        let part = read();
        assert_eq!((part.len(), part.pixels.len()), (1797, 1797 * 64));
        assert!(part.pixels.iter().all(|&pixel| pixel <= 16));
        let mut counts = [0; 10];
        part.labels
            .iter()
            .for_each(|&l| counts[usize::from(l)] += 1);
        // the published counts of the set
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(part.image(0, &SHAPE)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    }

    #[test]
    fn the_notice_names_source_and_licence() {
        let notice = include_str!("../../../data/NOTICE");
        let (_, entry) = notice.split_once("\ndigits.csv.gz ").expect("an entry");
        assert!(entry.contains("Creative Commons Attribution 4.0"));
    }
}
