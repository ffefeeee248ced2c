//! Places of a model's tensors in the files, checked before any is read.

use super::CheckpointError;
use super::entry::{Entry, Fused};
use super::layout::{Layout, TensorCopy};
use super::tensor_file::StoredTensor;
use super::tensor_files::TensorFiles;
use super::values::{BLOCK, Matrix, is_weight};
use safetensors::Dtype;
use std::collections::HashSet;
use std::ops::Range;

/// Ending of the names of FP8 multipliers, after the name of their weight.
pub(super) const SCALE: &str = "_scale_inv";

/// Checks that the files have every tensor of a model, in its shape and in a type of weights, and
/// nothing else.
pub(super) fn check(files: &TensorFiles, layout: &Layout<'_>) -> Result<(), CheckpointError> {
    check_tensors(files, layout.entries(), layout.copies())
}

/// Does what [`check`] does, of the tensors of a model and of those that must equal another where they are there.
pub(super) fn check_tensors(
    files: &TensorFiles,
    entries: impl Iterator<Item = Entry>,
    copies: Vec<TensorCopy>,
) -> Result<(), CheckpointError> {
    let mut used = HashSet::new();
    for entry in entries {
        place(files, &entry)?;
        used.extend(used_by(files, entry)?);
    }
    for copy in copies {
        if let Some(stored) = files.get(&copy.name) {
            check_copy(files, stored, &copy)?;
            used.insert(copy.name);
        }
    }
    let mut extra = files.names().into_iter();
    let extra = extra.find(|name| !used.contains(*name) && !is_derived(name));
    match extra.and_then(|name| Some((name, files.get(name)?))) {
        Some((name, stored)) => Err(CheckpointError::Extra {
            path: stored.path().to_owned(),
            tensor: name.to_owned(),
        }),
        None => Ok(()),
    }
}

/// The names of the tensors that an entry is read from: its own or the fused one, not both.
fn used_by(files: &TensorFiles, entry: Entry) -> Result<Vec<String>, CheckpointError> {
    match (files.get(&entry.name), &entry.fused) {
        (Some(stored), Some(fused)) if files.get(&fused.name).is_some() => {
            Err(CheckpointError::Twice {
                path: stored.path().to_owned(),
                tensor: entry.name,
                other: fused.name.clone(),
            })
        }
        (None, Some(fused)) => Ok(vec![fused.name.clone()]),
        (Some(stored), _) if stored.info.dtype == Dtype::F8_E4M3 => {
            let scale = format!("{}{SCALE}", entry.name);
            Ok(vec![scale, entry.name])
        }
        _ => Ok(vec![entry.name]),
    }
}

fn check_copy(
    files: &TensorFiles,
    stored: StoredTensor<'_>,
    copy: &TensorCopy,
) -> Result<(), CheckpointError> {
    let original = files.get(&copy.original);
    if original.map_or(Ok(false), |original| are_equal(original, stored))? {
        return Ok(());
    }
    Err(CheckpointError::NotACopy {
        path: stored.path().to_owned(),
        tensor: copy.name.clone(),
        original: copy.original.clone(),
    })
}

/// Holds for tensors that are a function of the configuration: files of older programs carry the rotary
/// frequencies, of each layer or of the model.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// Place of the values of an entry, checked and not read.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    name: String,
    stored: StoredTensor<'a>,
    /// Of the bytes of the tensor.
    range: Range<usize>,
    rows: usize,
    cols: usize,
    /// The multipliers of FP8 blocks.
    pub(super) scales: Option<StoredTensor<'a>>,
}

impl Place<'_> {
    /// The type of the values.
    pub(super) fn dtype(&self) -> Dtype {
        self.stored.info.dtype
    }

    /// The number of bytes.
    pub(super) fn n_bytes(&self) -> usize {
        self.range.len()
    }

    /// Reads the values as they are stored.
    pub(super) fn read(&self) -> Result<Matrix, CheckpointError> {
        let numbers = |scales: StoredTensor<'_>| {
            let scales = Matrix::of_numbers(scales.info, scales.read()?);
            Ok::<_, CheckpointError>(scales.values())
        };
        Ok(Matrix {
            bytes: self.stored.read_range(self.range.clone())?,
            dtype: self.dtype(),
            rows: self.rows,
            cols: self.cols,
            scales: self.scales.map(numbers).transpose()?,
        })
    }

    /// Reads the values, every one of which must be a finite number.
    pub(super) fn read_finite(&self) -> Result<Matrix, CheckpointError> {
        let matrix = self.read()?;
        let refuse = |tensor: String, (element, value)| CheckpointError::NotFinite {
            path: self.stored.path().to_owned(),
            tensor,
            element,
            value,
        };
        if let Some(found) = matrix.not_finite() {
            return Err(refuse(self.name.clone(), found));
        }
        let mut scales = matrix.scales.iter().flatten().copied().enumerate();
        match scales.find(|(_, scale)| !scale.is_finite()) {
            Some(found) => Err(refuse(format!("{}{SCALE}", self.name), found)),
            None => Ok(matrix),
        }
    }
}

/// The place of an entry's values in the files.
pub(super) fn place<'a>(
    files: &'a TensorFiles,
    entry: &Entry,
) -> Result<Place<'a>, CheckpointError> {
    if let Some(stored) = files.get(&entry.name) {
        return whole(files, entry, stored);
    }
    let fused = entry.fused.as_ref();
    match fused.and_then(|fused| Some((fused, files.get(&fused.name)?))) {
        Some((fused, stored)) => part(entry, fused, stored),
        None => Err(CheckpointError::Missing {
            path: files.path().to_owned(),
            tensor: entry.name.clone(),
            shape: entry.shape.clone(),
        }),
    }
}

fn are_equal(a: StoredTensor<'_>, b: StoredTensor<'_>) -> Result<bool, CheckpointError> {
    let form = |stored: StoredTensor<'_>| (stored.info.dtype, stored.info.shape.clone());
    Ok(form(a) == form(b) && a.read()? == b.read()?)
}

fn whole<'a>(
    files: &'a TensorFiles,
    entry: &Entry,
    stored: StoredTensor<'a>,
) -> Result<Place<'a>, CheckpointError> {
    check_shape(&entry.name, &entry.shape, stored)?;
    let scale = format!("{}{SCALE}", entry.name);
    let scales = match (stored.info.dtype, files.get(&scale)) {
        (Dtype::F8_E4M3, Some(scales)) if entry.shape.len() == 2 => {
            check_shape(&scale, &blocks(entry), scales)?;
            check_scales(scale, scales)?;
            Some(scales)
        }
        (Dtype::F8_E4M3, _) => return Err(dtype_error(&entry.name, stored)),
        _ => None,
    };
    weights(&entry.name, entry, stored, 0..stored.n_bytes(), scales)
}

fn check_scales(tensor: String, stored: StoredTensor<'_>) -> Result<(), CheckpointError> {
    match stored.info.dtype {
        Dtype::F32 | Dtype::BF16 | Dtype::F16 => Ok(()),
        found => Err(CheckpointError::ScaleDtype {
            path: stored.path().to_owned(),
            tensor,
            found,
        }),
    }
}

/// The shape of the scales of a matrix in FP8.
pub(super) fn blocks(entry: &Entry) -> Vec<usize> {
    entry.shape.iter().map(|n| n.div_ceil(BLOCK)).collect()
}

fn part<'a>(
    entry: &Entry,
    fused: &Fused,
    stored: StoredTensor<'a>,
) -> Result<Place<'a>, CheckpointError> {
    check_shape(&fused.name, &fused.shape, stored)?;
    if !is_weight(stored.info.dtype) || stored.info.dtype == Dtype::F8_E4M3 {
        return Err(dtype_error(&fused.name, stored));
    }
    let size = stored.info.dtype.bitsize() / 8;
    let range = fused.start * size..(fused.start + entry.n_elements()) * size;
    weights(&fused.name, entry, stored, range, None)
}

fn weights<'a>(
    name: &str,
    entry: &Entry,
    stored: StoredTensor<'a>,
    range: Range<usize>,
    scales: Option<StoredTensor<'a>>,
) -> Result<Place<'a>, CheckpointError> {
    if !is_weight(stored.info.dtype) {
        return Err(dtype_error(name, stored));
    }
    Ok(Place {
        name: name.to_owned(),
        stored,
        range,
        rows: entry.shape.first().copied().unwrap_or(1),
        cols: entry.shape.iter().skip(1).product(),
        scales,
    })
}

fn check_shape(
    name: &str,
    expected: &[usize],
    stored: StoredTensor<'_>,
) -> Result<(), CheckpointError> {
    if stored.info.shape == expected {
        return Ok(());
    }
    Err(CheckpointError::Shape {
        path: stored.path().to_owned(),
        tensor: name.to_owned(),
        found: stored.info.shape.clone(),
        expected: expected.to_vec(),
    })
}

fn dtype_error(name: &str, stored: StoredTensor<'_>) -> CheckpointError {
    CheckpointError::Dtype {
        path: stored.path().to_owned(),
        tensor: name.to_owned(),
        found: stored.info.dtype,
    }
}
