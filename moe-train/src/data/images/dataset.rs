//! A set of images, split, with the batches that are drawn from it.

use super::part::{ImagePart, ImageShape, split_by_class};
use super::{
    Augment, ImageBatch, ImageBatches, ImageConfig, ImageError, ImageName, ImageSummary, digits,
    fashion, folder,
};
use crate::data::fingerprint::Fingerprint;
use crate::data::{DataError, Split};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A set of images in three parts.
#[derive(Debug, Clone)]
pub struct ImageData {
    set: String,
    shape: ImageShape,
    class_names: Vec<String>,
    /// Parts in the order of [`Split::ALL`].
    parts: [ImagePart; 3],
    augment: Augment,
}

impl ImageData {
    /// Reads and splits a set.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, a file or a folder; a request to stop.
    pub fn load(config: &ImageConfig, stop: &AtomicBool) -> Result<Self, DataError> {
        let config = &ImageConfig {
            n_classes: config.counted_classes()?,
            ..config.clone()
        };
        config.validate()?;
        let data = match config.name {
            ImageName::Digits => Self::digits(config)?,
            ImageName::FashionMnist => Self::fashion_mnist(config, stop)?,
            ImageName::Images => Self::pictures(config, stop)?,
        };
        let augment = Augment {
            shift: config.shift,
            flip: config.flip,
        };
        Ok(Self { augment, ..data })
    }

    /// Checks a set as [`load`](Self::load) does, but keeps one pixel of each picture of the user's own:
    /// their size then takes no memory.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn check(config: &ImageConfig, stop: &AtomicBool) -> Result<(), DataError> {
        let mut config = ImageConfig {
            n_classes: config.counted_classes()?,
            ..config.clone()
        };
        config.validate()?;
        if config.name == ImageName::Images {
            folder::check_size(path_of(&config, PICTURES)?, &shape_of(&config))?;
            (config.image_size, config.shift) = (1, 0);
        }
        Self::load(&config, stop).map(|_| ())
    }

    fn digits(config: &ImageConfig) -> Result<Self, ImageError> {
        if !config.path.is_empty() {
            return Err(ImageError::UnusedPath {
                path: config.path.clone(),
            });
        }
        let class_names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
        let parts = split_by_class(&digits::read(), &digits::SHAPE, &class_names)?;
        Ok(Self::new("digits", digits::SHAPE, class_names, parts))
    }

    fn fashion_mnist(config: &ImageConfig, stop: &AtomicBool) -> Result<Self, DataError> {
        let path = path_of(config, "a folder of four IDX files (docs/guide/data.md)")?;
        let class_names = fashion::CLASSES.map(str::to_owned).to_vec();
        let parts = fashion::read(path, stop)?;
        Ok(Self::new(
            "fashion_mnist",
            fashion::SHAPE,
            class_names,
            parts,
        ))
    }

    fn pictures(config: &ImageConfig, stop: &AtomicBool) -> Result<Self, DataError> {
        let path = path_of(config, PICTURES)?;
        let shape = shape_of(config);
        let pictures = folder::read(path, &shape, config.n_classes, stop)?;
        let names = pictures.class_names.iter();
        let places: Vec<String> = names
            .map(|name| format!("`{}`", path.join(name).display()))
            .collect();
        let parts = split_by_class(&pictures.part, &shape, &places)?;
        Ok(Self::new(&config.path, shape, pictures.class_names, parts))
    }

    fn new(set: &str, shape: ImageShape, class_names: Vec<String>, parts: [ImagePart; 3]) -> Self {
        Self {
            set: set.to_owned(),
            shape,
            class_names,
            parts,
            augment: Augment::default(),
        }
    }

    /// The shape of every image.
    pub fn shape(&self) -> &ImageShape {
        &self.shape
    }

    /// The names of the classes; a label is a place in this list.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The images of a part.
    pub fn part(&self, split: Split) -> &ImagePart {
        &self.parts[split as usize]
    }

    /// Changes of training images.
    pub fn augment(&self) -> &Augment {
        &self.augment
    }

    /// Training batches from `consumed` images on, in an order that `seed` decides.
    pub fn batches(&self, seed: u64, consumed: u64, batch_size: usize) -> ImageBatches<'_> {
        ImageBatches::new(self, seed, consumed, batch_size)
    }

    /// A part in order, `batch_size` images at a time; at most `max_images` of them, evenly spaced, if
    /// given. The last batch is filled up with images from the start to a multiple of `group`; those do
    /// not count.
    ///
    /// # Panics
    ///
    /// Panics if `batch_size` or `group` is zero.
    pub fn eval_batches(
        &self,
        split: Split,
        max_images: Option<usize>,
        batch_size: usize,
        group: usize,
    ) -> Vec<ScoredImages<'_>> {
        let n_all = self.part(split).len();
        let n_kept = max_images.map_or(n_all, |max| max.clamp(1, n_all));
        let indices: Vec<usize> = (0..n_kept).map(|i| i * n_all / n_kept).collect();
        let scored = |chunk: &[usize]| {
            let n_filled = chunk.len().next_multiple_of(group);
            let filling = indices.iter().cycle().take(n_filled - chunk.len());
            ScoredImages {
                data: self,
                split,
                n_scored: chunk.len(),
                indices: chunk.iter().chain(filling).copied().collect(),
            }
        };
        indices.chunks(batch_size).map(scored).collect()
    }

    /// A hash of all images and labels of all parts.
    ///
    /// # Errors
    ///
    /// [`DataError::Interrupted`] soon after `stop` is set.
    pub fn fingerprint(&self, stop: &AtomicBool) -> Result<String, DataError> {
        let mut hash = Fingerprint::new(stop);
        for part in &self.parts {
            hash.length(part.len());
            hash.bytes(&part.pixels)?;
            for label in &part.labels {
                hash.bytes(&label.to_le_bytes())?;
            }
        }
        Ok(hash.finish())
    }

    /// The sizes of the set.
    pub fn describe(&self) -> ImageSummary {
        ImageSummary {
            set: self.set.clone(),
            classes: self.class_names.clone(),
            side: self.shape.side,
            n_channels: self.shape.n_channels,
            images: self.parts.each_ref().map(ImagePart::len),
        }
    }
}

/// A batch of an evaluation.
#[derive(Debug, Clone)]
pub struct ScoredImages<'a> {
    data: &'a ImageData,
    split: Split,
    indices: Vec<usize>,
    /// The images that count, which come first.
    pub n_scored: usize,
}

impl ScoredImages<'_> {
    /// The images, as they are.
    pub fn batch(&self) -> ImageBatch {
        let part = self.data.part(self.split);
        ImageBatch::gather(part, self.data.shape, &self.indices)
    }

    /// The places in their part of the images that count.
    pub fn places(&self) -> &[usize] {
        &self.indices[..self.n_scored]
    }
}

/// Description of `data.path` for the user's own pictures.
pub(super) const PICTURES: &str = "a folder of class folders of PNG or JPEG files";

/// The shape of the user's own pictures.
fn shape_of(config: &ImageConfig) -> ImageShape {
    ImageShape {
        side: config.side(),
        n_channels: config.n_channels(),
        white: 255,
    }
}

pub(super) fn path_of<'a>(
    config: &'a ImageConfig,
    what: &'static str,
) -> Result<&'a Path, ImageError> {
    match config.path.as_str() {
        "" => Err(ImageError::NoPath {
            name: config.name.name(),
            what,
        }),
        path => Ok(Path::new(path)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn digits_in_three_parts_of_every_class() {
        let data = ImageData::load(&ImageConfig::default(), &AtomicBool::new(false)).unwrap();
        let summary = data.describe();
        // a class of n images has n / 5 test images, and (n + 1) / 5 for validation:
        // 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 give 355 and 357
        assert_eq!(summary.images, [1085, 357, 355]);
        for split in Split::ALL {
            for class in 0..10 {
                let labels = &data.part(split).labels;
                let n = labels.iter().filter(|&&label| label == class).count();
                assert!(n >= 34, "{class} in {split}: {n}");
            }
        }
        let go = AtomicBool::new(false);
        let again = ImageData::load(&ImageConfig::default(), &go).unwrap();
        let hash = data.fingerprint(&go).unwrap();
        assert_eq!(hash, again.fingerprint(&go).unwrap());
        let stopped = data.fingerprint(&AtomicBool::new(true));
        assert!(matches!(stopped, Err(DataError::Interrupted)));
    }

    #[test]
    fn an_evaluation_takes_images_evenly() {
        let data = ImageData::load(&ImageConfig::default(), &AtomicBool::new(false)).unwrap();
        let sizes = |max, size| -> Vec<usize> {
            data.eval_batches(Split::Test, max, size, 1)
                .iter()
                .map(|scored| scored.n_scored)
                .collect()
        };
        assert_eq!(sizes(None, 100), [100, 100, 100, 55]);
        assert_eq!(sizes(Some(10), 8), [8, 2]);
        let labels = &data.part(Split::Test).labels;
        let two = &data.eval_batches(Split::Test, Some(2), 2, 1)[0];
        assert_eq!(two.batch().labels, [labels[0], labels[177]]);

        // groups of 20: 55 images are filled up to 60 with the first five
        let grouped = data.eval_batches(Split::Test, None, 100, 20);
        assert_eq!(grouped[3].n_scored, 55);
        assert_eq!(grouped[3].batch().labels[55..], labels[..5]);
    }

    #[test]
    fn name_and_path_must_agree() {
        let message = |config: &ImageConfig| {
            ImageData::load(config, &AtomicBool::new(false))
                .unwrap_err()
                .to_string()
        };
        let unused = ImageConfig {
            path: "mine".into(),
            ..ImageConfig::default()
        };
        assert!(message(&unused).contains("is embedded"));
        for (name, words) in [
            (ImageName::FashionMnist, "reads a folder of four IDX files"),
            (ImageName::Images, "reads a folder of class folders"),
        ] {
            let config = ImageConfig {
                name,
                ..ImageConfig::default()
            };
            assert!(message(&config).contains(words), "{}", message(&config));
        }
    }
}
