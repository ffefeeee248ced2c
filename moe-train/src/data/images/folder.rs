//! The user's own pictures: a folder of class folders of PNG or JPEG files.

use super::{ImageError, ImagePart};
use image::imageops::FilterType;
use image::{ImageError as DecodeError, ImageReader};
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures with the names of their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pictures {
    /// The names of the class folders, sorted; a label is a place in this list.
    pub(super) class_names: Vec<String>,
    /// The pictures in the order of their paths, in colour.
    pub(super) part: ImagePart,
}

/// Reads all pictures of the class folders in `folder` and resizes them to `side` x `side` pixels,
/// whatever their shape. Names that begin with a dot are skipped; anything else that is not a picture is
/// an error, never skipped in silence.
pub(super) fn read(folder: &Path, side: usize, n_classes: usize) -> Result<Pictures, ImageError> {
    if !folder.is_dir() {
        return Err(ImageError::NotAFolder {
            path: folder.into(),
            expected: "give a folder of class folders of PNG or JPEG files",
        });
    }
    let classes = visible(folder)?;
    if let Some(stray) = classes.iter().find(|path| !path.is_dir()) {
        return Err(ImageError::Stray {
            path: stray.clone(),
        });
    }
    if classes.is_empty() {
        return Err(ImageError::NoClasses {
            path: folder.into(),
        });
    }
    if classes.len() != n_classes {
        return Err(ImageError::ClassCount {
            path: folder.into(),
            found: classes.len(),
            configured: n_classes,
        });
    }
    let mut part = ImagePart::default();
    for (label, class) in classes.iter().enumerate() {
        for path in visible(class)? {
            part.push(&picture(&path, side as u32)?, label as u16);
        }
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
    Ok(Pictures {
        class_names: classes.iter().map(name).collect(),
        part,
    })
}

fn picture(path: &Path, side: u32) -> Result<Vec<u8>, ImageError> {
    let decode =
        || -> Result<_, DecodeError> { ImageReader::open(path)?.with_guessed_format()?.decode() };
    let picture = decode().map_err(|error| ImageError::NoImage {
        path: path.into(),
        reason: error.to_string(),
    })?;
    let resized = picture.resize_exact(side, side, FilterType::Triangle);
    Ok(resized.into_rgb8().into_raw())
}

/// What lies in a folder and is not hidden, sorted by path.
fn visible(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let unreadable = |source| ImageError::Unreadable {
        path: folder.into(),
        source,
    };
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

    fn message(dir: &TempDir, n_classes: usize) -> String {
        read(dir.path(), 2, n_classes).unwrap_err().to_string()
    }

    #[test]
    fn folders_are_classes_in_the_order_of_their_names() {
        let pictures = read(folder().path(), 2, 2).unwrap();
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
        fs::write(dir.path().join("readme"), b"x").unwrap();
        assert!(message(&dir, 2).contains("beside the class folders"));

        let empty = tempdir().unwrap();
        assert!(message(&empty, 2).contains("has no folder in it"));
    }
}
