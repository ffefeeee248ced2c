//! Images with their labels, and how they are split by class.

use super::ImageError;

/// The shape of every image of a set, and what a pixel can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows and columns, `S`.
    pub side: usize,
    /// Colours of a pixel, `C`.
    pub n_channels: usize,
    /// The value of a white pixel; black is 0.
    pub white: u8,
}

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePart {
    /// Pixels row by row, colours innermost: `[N * S * S * C]`.
    pub pixels: Vec<u8>,
    /// The class of each image: `[N]`.
    pub labels: Vec<u16>,
}

impl ImageShape {
    /// The bytes of an image.
    pub fn n_bytes(&self) -> usize {
        self.side * self.side * self.n_channels
    }
}

impl ImagePart {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns `true` if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of an image.
    ///
    /// # Panics
    ///
    /// Panics if there is no such image.
    pub fn image(&self, index: usize, shape: &ImageShape) -> &[u8] {
        let n_bytes = shape.n_bytes();
        &self.pixels[index * n_bytes..(index + 1) * n_bytes]
    }

    /// Adds an image.
    pub(super) fn push(&mut self, pixels: &[u8], label: u16) {
        self.pixels.extend_from_slice(pixels);
        self.labels.push(label);
    }

    /// The images before a place, and those from it on.
    pub(super) fn split_at(mut self, place: usize, shape: &ImageShape) -> [Self; 2] {
        let pixels = self.pixels.split_off(place * shape.n_bytes());
        let labels = self.labels.split_off(place);
        [self, Self { pixels, labels }]
    }
}

/// Parts for training, validation and test: of each five images of a class in order the first three, the
/// fourth and the fifth. So every class is in every part in equal shares. `places` says where each class
/// is, for messages.
///
/// # Errors
///
/// If a class has fewer than five images.
pub fn split_by_class(
    all: &ImagePart,
    shape: &ImageShape,
    places: &[String],
) -> Result<[ImagePart; 3], ImageError> {
    let mut parts: [ImagePart; 3] = Default::default();
    let mut seen = vec![0; places.len()];
    for (index, &label) in all.labels.iter().enumerate() {
        let count: &mut usize = &mut seen[usize::from(label)];
        let part = match *count % 5 {
            3 => 1,
            4 => 2,
            _ => 0,
        };
        parts[part].push(all.image(index, shape), label);
        *count += 1;
    }
    match seen.iter().zip(places).find(|(n, _)| **n < 5) {
        None => Ok(parts),
        Some((&found, place)) => Err(ImageError::TooFew {
            place: place.clone(),
            found,
            needed: 5,
            why: "so that training, validation and test each have one",
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DOT: ImageShape = ImageShape {
        side: 1,
        n_channels: 1,
        white: 255,
    };

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("the class `{i}`")).collect()
    }

    #[test]
    fn of_five_images_of_a_class_three_train() {
        // class 0 at even places, class 1 at odd ones: pixel = place
        let all = ImagePart {
            pixels: (0..20).collect(),
            labels: (0..20).map(|i| i % 2).collect(),
        };
        let [train, validation, test] = split_by_class(&all, &DOT, &names(2)).unwrap();
        // the places of a class are 0, 2, 4 | 6 | 8, then 10, 12, 14 | 16 | 18; of the other one later
        assert_eq!(train.pixels, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
        assert_eq!(validation.pixels, [6, 7, 16, 17]);
        assert_eq!(test.pixels, [8, 9, 18, 19]);
        assert_eq!(test.labels, [0, 1, 0, 1]);
    }

    #[test]
    fn a_class_of_four_images_is_too_small() {
        let all = ImagePart {
            pixels: vec![0; 9],
            labels: vec![0, 0, 0, 0, 0, 1, 1, 1, 1],
        };
        let error = split_by_class(&all, &DOT, &names(2)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("the class `1` has 4 images; at least 5"),
            "{text}"
        );
    }
}
