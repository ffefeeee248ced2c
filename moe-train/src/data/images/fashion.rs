//! Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): four IDX files under their published names.

use super::{IdxFile, ImageError, ImagePart, ImageShape};
use crate::data::DataError;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The classes in the order of their labels.
pub(super) const CLASSES: [&str; 10] = [
    "t_shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
];

/// The shape of the images.
pub(super) const SHAPE: ImageShape = ImageShape {
    side: 28,
    n_channels: 1,
    white: 255,
};

const HINT: &str =
    "docs/guide/data.md says how to get them: apt-get download dataset-fashion-mnist";

/// Train, validation and test: the last twelfth of the training file validates, the test file tests.
pub(super) fn read(folder: &Path, stop: &AtomicBool) -> Result<[ImagePart; 3], DataError> {
    if !folder.is_dir() {
        return Err(ImageError::NotAFolder {
            path: folder.into(),
            expected: "give the folder of the four IDX files of Fashion-MNIST",
        }
        .into());
    }
    let files = |part: &str| {
        let name = |what: &str| format!("{part}-{what}-ubyte");
        pair(folder, [name("images-idx3"), name("labels-idx1")], stop)
    };
    let (train, test) = (files("train")?, files("t10k")?);
    for (part, needed) in [(&train, 12), (&test, 1)] {
        if part.len() < needed {
            return Err(ImageError::TooFew {
                place: format!("`{}`", folder.display()),
                found: part.len(),
                needed,
                why: "so that the last twelfth of the training images can validate",
            }
            .into());
        }
    }
    let n_train = train.len() - train.len() / 12;
    let [train, validation] = train.split_at(n_train, &SHAPE);
    Ok([train, validation, test])
}

/// The images and the labels of a part, from the files of these names.
fn pair(folder: &Path, names: [String; 2], stop: &AtomicBool) -> Result<ImagePart, DataError> {
    let [images, labels] = names;
    let images = IdxFile::read(&find(folder, images)?, "images", 3, stop)?;
    let labels = IdxFile::read(&find(folder, labels)?, "labels", 1, stop)?;
    check(&images, &labels)?;
    Ok(ImagePart {
        pixels: images.values,
        labels: labels.values.into_iter().map(u16::from).collect(),
    })
}

/// Checks that images and labels are of this set and belong together.
fn check(images: &IdxFile, labels: &IdxFile) -> Result<(), ImageError> {
    let side = SHAPE.side;
    if images.dims[1..] != [side, side] {
        return Err(ImageError::Size {
            path: images.path.clone(),
            found: format!("{} x {}", images.dims[1], images.dims[2]),
            expected: format!("{side} x {side}"),
        });
    }
    if images.dims[0] != labels.dims[0] {
        return Err(ImageError::Counts {
            images: images.path.clone(),
            n_images: images.dims[0],
            labels: labels.path.clone(),
            n_labels: labels.dims[0],
        });
    }
    let is_class = |label: u8| usize::from(label) < CLASSES.len();
    if let Some(index) = labels.values.iter().position(|&label| !is_class(label)) {
        return Err(ImageError::Label {
            path: labels.path.clone(),
            index,
            label: labels.values[index],
            n_classes: CLASSES.len(),
        });
    }
    Ok(())
}

/// The file, or the compressed one.
fn find(folder: &Path, file: String) -> Result<PathBuf, ImageError> {
    [file.clone(), format!("{file}.gz")]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or(ImageError::MissingFile {
            folder: folder.into(),
            file,
            hint: HINT,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use tempfile::{TempDir, tempdir};

    fn images(n: u32, side: u32) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3];
        for dim in [n, side, side] {
            bytes.extend(dim.to_be_bytes());
        }
        bytes.extend((0..n * side * side).map(|i| (i / (side * side)) as u8));
        bytes
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 1];
        bytes.extend((labels.len() as u32).to_be_bytes());
        bytes.extend(labels);
        bytes
    }

    /// A folder of 24 training and 2 test images.
    fn folder() -> TempDir {
        let dir = tempdir().unwrap();
        let all: Vec<u8> = (0..24).map(|i| i % 10).collect();
        for (file, bytes) in [
            ("train-images-idx3-ubyte", images(24, 28)),
            ("train-labels-idx1-ubyte", labels(&all)),
            ("t10k-images-idx3-ubyte", images(2, 28)),
            ("t10k-labels-idx1-ubyte", labels(&[9, 0])),
        ] {
            fs::write(dir.path().join(file), bytes).unwrap();
        }
        dir
    }

    #[test]
    fn the_last_twelfth_validates() {
        let [train, validation, test] = read(folder().path(), &AtomicBool::new(false)).unwrap();
        assert_eq!((train.len(), validation.len(), test.len()), (22, 2, 2));
        assert_eq!(validation.labels, [2, 3]);
        assert_eq!(validation.image(1, &SHAPE), [23; 784]);
        assert_eq!(test.labels, [9, 0]);
    }

    #[test]
    fn a_broken_file_is_named() {
        for (file, bytes, words) in [
            (
                "train-images-idx3-ubyte",
                images(24, 27),
                "27 x 27 pixels, but those of the set have 28 x 28",
            ),
            (
                "train-images-idx3-ubyte",
                images(23, 28),
                "has 23 images and",
            ),
            (
                "t10k-labels-idx1-ubyte",
                labels(&[9, 10]),
                "label 1 is 10, but the classes are 0 to 9",
            ),
            (
                "t10k-labels-idx1-ubyte",
                images(2, 28),
                "an IDX file of labels begins with 00 00 08 01",
            ),
        ] {
            let dir = folder();
            fs::write(dir.path().join(file), bytes).unwrap();
            let error = read(dir.path(), &AtomicBool::new(false))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words) && error.contains(file), "{error}");
        }
        let dir = folder();
        fs::remove_file(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
        let error = read(dir.path(), &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no `t10k-images-idx3-ubyte.gz`"), "{error}");
        assert!(error.contains("docs/guide/data.md"), "{error}");
        let error = read(&dir.path().join("gone"), &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains("is not a folder"), "{error}");
    }
}
