//! The user's own pictures: a folder of class folders of PNG or JPEG files.

use super::picture::decode;
use super::{ImageError, ImagePart, ImageShape};
use crate::data::DataError;
use crate::data::read::{Source, check_memory, check_stop, io_error};
use image::imageops::FilterType;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Pictures with the names of their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pictures {
    /// The names of the class folders, sorted; a label is a place in this list.
    pub(super) class_names: Vec<String>,
    /// The pictures in the order of their paths, in colour.
    pub(super) part: ImagePart,
}

/// Reads all pictures of the class folders in `folder` and resizes them to `shape`, whatever their own.
/// Names that begin with a dot are skipped; anything else that is not a picture is an error, never skipped
/// in silence.
pub(super) fn read(
    folder: &Path,
    shape: &ImageShape,
    n_classes: usize,
    stop: &AtomicBool,
) -> Result<Pictures, DataError> {
    let classes = classes(folder)?;
    if classes.len() != n_classes {
        return Err(ImageError::ClassCount {
            path: folder.into(),
            found: classes.len(),
            configured: n_classes,
        }
        .into());
    }
    let files = files(folder, &classes, shape)?;
    let mut part = ImagePart::default();
    for (label, class) in files.iter().enumerate() {
        for path in class {
            check_stop(stop)?;
            part.push(&picture(path, shape.side as u32, stop)?, label as u16);
        }
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
    Ok(Pictures {
        class_names: classes.iter().map(name).collect(),
        part,
    })
}

/// Refuses pictures that memory does not hold at a shape. None is read.
pub(super) fn check_size(folder: &Path, shape: &ImageShape) -> Result<(), DataError> {
    files(folder, &classes(folder)?, shape).map(|_| ())
}

/// The files of each class, if memory holds them at a shape.
fn files(
    folder: &Path,
    classes: &[PathBuf],
    shape: &ImageShape,
) -> Result<Vec<Vec<PathBuf>>, DataError> {
    let files = classes.iter().map(|class| visible(class));
    let files: Vec<Vec<PathBuf>> = files.collect::<Result<_, _>>()?;
    let n_files: usize = files.iter().map(Vec::len).sum();
    // once as they are read, once as they are split
    check_memory(folder, 2 * n_files as u128 * shape.n_bytes() as u128)?;
    Ok(files)
}

/// The class folders in a folder, sorted by name.
pub(super) fn classes(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.is_dir() {
        return Err(ImageError::NotAFolder {
            path: folder.into(),
            expected: "give a folder of class folders of PNG or JPEG files",
        }
        .into());
    }
    let classes = visible(folder)?;
    if let Some(stray) = classes.iter().find(|path| !path.is_dir()) {
        return Err(ImageError::Stray {
            path: stray.clone(),
        }
        .into());
    }
    if classes.is_empty() {
        return Err(ImageError::NoClasses {
            path: folder.into(),
        }
        .into());
    }
    Ok(classes)
}

fn picture(path: &Path, side: u32, stop: &AtomicBool) -> Result<Vec<u8>, DataError> {
    if path.is_dir() {
        return Err(ImageError::FolderInClass { path: path.into() }.into());
    }
    let bytes = Source::plain(path, stop)?.rest()?;
    let picture = decode(&bytes).map_err(|reason| ImageError::NoImage {
        path: path.into(),
        reason,
    })?;
    let resized = picture.resize_exact(side, side, FilterType::Triangle);
    Ok(resized.into_rgb8().into_raw())
}

/// Lists the entries of a folder that are not hidden, sorted by path.
fn visible(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| io_error(folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::{Rgb, RgbImage};
    use tempfile::{TempDir, tempdir};

    fn paint(path: &Path, colour: [u8; 3]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(6, 4, Rgb(colour)).save(path).unwrap();
    }

    /// Two classes of a red and a blue picture.
    fn folder() -> TempDir {
        let dir = tempdir().unwrap();
        paint(&dir.path().join("red/a.png"), [250, 0, 0]);
        paint(&dir.path().join("blue/a.png"), [0, 0, 250]);
        fs::write(dir.path().join("red/.hidden"), b"x").unwrap();
        dir
    }

    const SHAPE: ImageShape = ImageShape {
        side: 2,
        n_channels: 3,
        white: 255,
    };

    fn message(dir: &TempDir, n_classes: usize) -> String {
        let pictures = read(dir.path(), &SHAPE, n_classes, &AtomicBool::new(false));
        pictures.unwrap_err().to_string()
    }

    #[test]
    fn folders_are_classes_in_the_order_of_their_names() {
        let pictures = read(folder().path(), &SHAPE, 2, &AtomicBool::new(false)).unwrap();
        assert_eq!(pictures.class_names, ["blue", "red"]);
        assert_eq!(pictures.part.labels, [0, 1]);
        assert_eq!(pictures.part.pixels[..3], [0, 0, 250]);
        assert_eq!(pictures.part.pixels[12..15], [250, 0, 0]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let dir = folder();
        let error = message(&dir, 10);
        assert!(error.contains("set data.n_classes = 2"), "{error}");

        fs::write(dir.path().join("red/b.png"), b"not a picture").unwrap();
        let error = message(&dir, 2);
        assert!(
            error.contains("b.png` cannot be read as an image"),
            "{error}"
        );

        fs::remove_file(dir.path().join("red/b.png")).unwrap();
        fs::create_dir(dir.path().join("red/more")).unwrap();
        let error = message(&dir, 2);
        assert!(error.contains("more` is a folder in a class"), "{error}");
        fs::remove_dir(dir.path().join("red/more")).unwrap();

        fs::write(dir.path().join("readme"), b"x").unwrap();
        assert!(message(&dir, 2).contains("beside the class folders"));

        let empty = tempdir().unwrap();
        assert!(message(&empty, 2).contains("has no folder in it"));
    }

    #[test]
    fn a_picture_that_is_cut_off_is_named() {
        let dir = folder();
        let whole = dir.path().join("red/b.jpg");
        let noise = |x: u32, y: u32| Rgb([(x * 91 + y * 57) as u8, (x * y * 3) as u8, 9]);
        RgbImage::from_fn(60, 40, noise).save(&whole).unwrap();
        let bytes = fs::read(&whole).unwrap();
        read(dir.path(), &SHAPE, 2, &AtomicBool::new(false)).unwrap();
        for eighth in 1..8 {
            fs::write(&whole, &bytes[..bytes.len() * eighth / 8]).unwrap();
            let error = message(&dir, 2);
            assert!(
                error.contains("b.jpg` cannot be read as an image"),
                "{error}"
            );
            assert!(error.contains("cut off"), "{error}");
        }
    }

    #[test]
    fn a_side_that_memory_does_not_hold_is_refused_before_a_picture_is_read() {
        let huge = ImageShape {
            side: 1 << 30,
            ..SHAPE
        };
        let dir = folder();
        let error = read(dir.path(), &huge, 2, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, DataError::Memory { .. }), "{error}");
    }

    #[test]
    fn reading_ends_when_it_is_asked_to() {
        let error = read(folder().path(), &SHAPE, 2, &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(error, DataError::Interrupted), "{error}");
    }
}
