//! Errors of image files: each message says what, where and what to do.

use std::path::PathBuf;
use thiserror::Error;

/// An error of reading images.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A set that is read from files, without a path.
    #[error("data.path is empty, but data.name = \"{name}\" reads {what}; set data.path to it")]
    NoPath {
        /// The set.
        name: &'static str,
        /// Data that the set reads.
        what: &'static str,
    },
    /// A path for the set that is embedded.
    #[error(
        "data.path = \"{path}\" is not read, because data.name = \"digits\" is embedded; choose data.name = \"fashion_mnist\" or \"images\", or remove data.path"
    )]
    UnusedPath {
        /// The path as it was given.
        path: String,
    },
    /// A size that the set does not have.
    #[error(
        "data.{key} = {value}, but the images of data.name = \"{name}\" have {own}; leave it out"
    )]
    Fixed {
        /// The configuration key.
        key: &'static str,
        /// The value given.
        value: usize,
        /// The set.
        name: &'static str,
        /// Value of the set.
        own: usize,
    },
    /// A number of classes that no classifier has.
    #[error("data.n_classes = {0}: it must be from 2 to 65536")]
    NClasses(usize),
    /// An image of more pixels than any model reads.
    #[error("data.image_size = {0} is too large: it must be at most 4096")]
    Side(usize),
    /// A shift that leaves nothing of an image.
    #[error("data.shift = {shift} must be below the side of an image, {side} pixels")]
    Shift {
        /// The largest shift.
        shift: usize,
        /// The side.
        side: usize,
    },
    /// A path that does not exist or is no folder.
    #[error("data.path: `{path}` is not a folder; {expected}")]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// Expected content.
        expected: &'static str,
    },
    /// A file of the set that is not there, plain or compressed.
    #[error("`{folder}` has no `{file}` and no `{file}.gz`; {hint}")]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file's name.
        file: String,
        /// Place to get it from.
        hint: &'static str,
    },
    /// A file that does not begin as an IDX file of its kind.
    #[error(
        "`{path}` begins with {found}, but an IDX file of {what} begins with {expected}; it is another file, or damaged"
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: String,
        /// Expected content.
        what: &'static str,
        /// Expected first bytes.
        expected: String,
    },
    /// A file that is shorter or longer than its head says.
    #[error(
        "`{path}` has {found} bytes, but its head promises {expected}; copy it again, it is cut off or damaged"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The bytes found, in words where the rest was not read.
        found: String,
        /// The bytes that the head promises.
        expected: u128,
    },
    /// As many labels as images are needed.
    #[error(
        "`{images}` has {n_images} images and `{labels}` {n_labels} labels; they are not of one set, copy both again"
    )]
    Counts {
        /// The images.
        images: PathBuf,
        /// Number of images.
        n_images: usize,
        /// The labels.
        labels: PathBuf,
        /// Number of labels.
        n_labels: usize,
    },
    /// Images of another size.
    #[error(
        "`{path}` has images of {found} pixels, but those of the set have {expected}; give the set's own files"
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Rows x columns found.
        found: String,
        /// Rows x columns expected.
        expected: String,
    },
    /// A label that is no class.
    #[error(
        "`{path}`: label {index} is {label}, but the classes are 0 to {}; copy it again, it is damaged or of another set",
        n_classes - 1
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The place of the label, from 0.
        index: usize,
        /// The label.
        label: u8,
        /// The number of classes.
        n_classes: usize,
    },
    /// Too few images for their parts.
    #[error("{place} has {found} images; at least {needed} are needed, {why}")]
    TooFew {
        /// The file or folder.
        place: String,
        /// The images found.
        found: usize,
        /// The images needed.
        needed: usize,
        /// Purpose of the images.
        why: &'static str,
    },
    /// A folder without class folders.
    #[error(
        "`{path}` has no folder in it (hidden ones are skipped); make one a class and put PNG or JPEG files there"
    )]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// Another number of classes than the configuration says.
    #[error(
        "data.n_classes = {configured}, but `{path}` has {found} class folders; set data.n_classes = {found}"
    )]
    ClassCount {
        /// The folder.
        path: PathBuf,
        /// The classes found.
        found: usize,
        /// Number in the configuration.
        configured: usize,
    },
    /// Something that lies where only folders may.
    #[error(
        "`{path}` lies beside the class folders; move it into one, away, or hide it (a leading dot)"
    )]
    Stray {
        /// The file.
        path: PathBuf,
    },
    /// A folder where a picture should be.
    #[error(
        "`{path}` is a folder in a class folder; data.path is the folder whose folders are the classes, and these hold pictures alone"
    )]
    FolderInClass {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is no picture.
    #[error(
        "`{path}` cannot be read as an image: {reason}; convert it to PNG or JPEG, move it away or hide it (a leading dot)"
    )]
    NoImage {
        /// The file.
        path: PathBuf,
        /// Message of the decoder.
        reason: String,
    },
}
