//! The table `[data]` of a run that reads images.

use super::dataset::{PICTURES, path_of};
use super::{ImageError, folder};
use crate::data::DataError;
use serde::{Deserialize, Serialize};

/// A set of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageName {
    /// The embedded digits: 1,797 of 8 x 8 pixels.
    #[default]
    Digits,
    /// Fashion-MNIST in its own files: 70,000 of 28 x 28 pixels.
    FashionMnist,
    /// The user's own pictures, one folder a class.
    Images,
}

/// The table `[data]` of a run that reads images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    /// The set. Default: `digits`
    pub name: ImageName,
    /// The folder of the files; that of `images` has one folder a class. Default: empty
    pub path: String,
    /// The side of an image in pixels; `images` are resized to it. 0 means the set's own: 8 of `digits`,
    /// 28 of `fashion_mnist`, 32 of `images`. Default: 0
    pub image_size: usize,
    /// The number of classes. 0 means the set's own: 10, of `images` the number of folders. Default: 0
    pub n_classes: usize,
    /// Training images are moved by up to this many pixels each way. Default: 0
    pub shift: usize,
    /// Mirror half of the training images, left to right. Default: false
    pub flip: bool,
}

/// The classes of the sets of one size.
const N_CLASSES: usize = 10;

/// The largest side of an image in pixels.
const MOST_SIDE: usize = 1 << 12;

impl ImageName {
    /// The names of all sets.
    pub const NAMES: &'static [&'static str] = &["digits", "fashion_mnist", "images"];

    /// The set's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion_mnist",
            Self::Images => "images",
        }
    }
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            name: ImageName::Digits,
            path: String::new(),
            image_size: 0,
            n_classes: 0,
            shift: 0,
            flip: false,
        }
    }
}

impl ImageConfig {
    /// The side of an image in pixels.
    pub fn side(&self) -> usize {
        match (self.image_size, self.name) {
            (0, ImageName::Digits) => 8,
            (0, ImageName::FashionMnist) => 28,
            (0, ImageName::Images) => 32,
            (side, _) => side,
        }
    }

    /// The number of classes of the set: of the user's own pictures the number of class folders.
    ///
    /// # Errors
    ///
    /// If the class folders cannot be counted.
    pub(crate) fn counted_classes(&self) -> Result<usize, DataError> {
        match (self.n_classes, self.name) {
            (0, ImageName::Images) => {
                let path = path_of(self, PICTURES)?;
                Ok(folder::classes(path)?.len())
            }
            (0, _) => Ok(N_CLASSES),
            (n_classes, _) => Ok(n_classes),
        }
    }

    /// The number of colours of a pixel: one of grey images, three of the user's own.
    pub fn n_channels(&self) -> usize {
        match self.name {
            ImageName::Digits | ImageName::FashionMnist => 1,
            ImageName::Images => 3,
        }
    }

    /// Checks that the sizes are those of the set.
    ///
    /// # Errors
    ///
    /// A size or number of classes that the set does not have, a shift as wide as an image.
    pub fn validate(&self) -> Result<(), ImageError> {
        if !(2..=1 << 16).contains(&self.n_classes) {
            return Err(ImageError::NClasses(self.n_classes));
        }
        if self.side() > MOST_SIDE {
            return Err(ImageError::Side(self.side()));
        }
        let own = Self {
            name: self.name,
            ..Self::default()
        };
        let sizes = [
            ("image_size", self.side(), own.side()),
            ("n_classes", self.n_classes, N_CLASSES),
        ];
        let is_fixed = self.name != ImageName::Images;
        if let Some(&(key, value, own)) = sizes.iter().find(|(_, value, own)| value != own)
            && is_fixed
        {
            let name = self.name.name();
            return Err(ImageError::Fixed {
                key,
                value,
                name,
                own,
            });
        }
        let (shift, side) = (self.shift, self.side());
        if shift >= side {
            return Err(ImageError::Shift { shift, side });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_those_of_the_set() {
        let digits = ImageConfig {
            n_classes: 10,
            ..ImageConfig::default()
        };
        assert_eq!((digits.side(), digits.n_channels()), (8, 1));
        assert!(digits.validate().is_ok());
        let large = ImageConfig {
            image_size: 32,
            ..digits.clone()
        };
        let error = large.validate().unwrap_err().to_string();
        assert_eq!(
            error,
            "data.image_size = 32, but the images of data.name = \"digits\" have 8; leave it out"
        );
        let own = ImageConfig {
            name: ImageName::Images,
            n_classes: 3,
            image_size: 48,
            ..digits.clone()
        };
        assert!(own.validate().is_ok());
        let moved = ImageConfig { shift: 8, ..digits };
        assert!(moved.validate().unwrap_err().to_string().contains("below"));
        let none = ImageConfig {
            n_classes: 0,
            ..own
        };
        assert!(none.validate().unwrap_err().to_string().contains("from 2"));
        let huge = ImageConfig {
            image_size: 4_294_967_310,
            n_classes: 3,
            ..none
        };
        let error = huge.validate().unwrap_err().to_string();
        assert!(error.contains("data.image_size = 4294967310"), "{error}");
    }

    #[test]
    fn classes_are_counted_unless_they_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let mut own = ImageConfig {
            name: ImageName::Images,
            path: dir.path().to_string_lossy().into_owned(),
            ..ImageConfig::default()
        };
        let error = own.counted_classes().unwrap_err().to_string();
        assert!(error.contains("has no folder in it"), "{error}");
        for class in ["ant", "bee", "cat", ".hidden"] {
            std::fs::create_dir(dir.path().join(class)).unwrap();
        }
        assert_eq!(own.counted_classes().unwrap(), 3);
        own.n_classes = 7;
        assert_eq!(own.counted_classes().unwrap(), 7);
        assert_eq!(ImageConfig::default().counted_classes().unwrap(), 10);
    }

    #[test]
    fn names_are_those_of_a_file() {
        for (name, set) in ImageName::NAMES.iter().zip([
            ImageName::Digits,
            ImageName::FashionMnist,
            ImageName::Images,
        ]) {
            let config: ImageConfig = toml::from_str(&format!("name = \"{name}\"")).unwrap();
            assert_eq!((config.name, set.name()), (set, *name));
        }
    }
}
