//! Parts of a published checkpoint that our parameters do not have: the scales of its FP8 blocks, and which
//! copies of other tensors there were. Kept beside our own files, so that the way back gives the same
//! bytes.

use super::CheckpointError;
use super::entry::Entry;
use super::error::file_error;
use super::layout::TensorCopy;
use super::source::{SCALE, blocks};
use super::tensor_file::{StoredTensor, TensorFile};
use super::tensor_files::TensorFiles;
use super::values::{Matrix, to_e4m3};
use super::write::Pending;
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const FILE: &str = "published.safetensors";

/// The scales by their names, and for every copy its name with an empty tensor.
#[derive(Debug, Default)]
pub(super) struct Kept {
    path: PathBuf,
    tensors: BTreeMap<String, Raw>,
}

/// A tensor as it is stored.
#[derive(Debug)]
struct Raw {
    info: TensorInfo,
    bytes: Vec<u8>,
}

impl Raw {
    fn read(stored: StoredTensor<'_>) -> Result<Self, CheckpointError> {
        Ok(Self {
            info: stored.info.clone(),
            bytes: stored.read()?,
        })
    }

    fn empty() -> Self {
        Self {
            info: TensorInfo {
                dtype: Dtype::F32,
                shape: vec![0],
                data_offsets: (0, 0),
            },
            bytes: Vec::new(),
        }
    }
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.info.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.info.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Kept {
    /// Writes what is to be kept of published files into the folder of our own; nothing if there is
    /// nothing.
    pub(super) fn write(
        files: &TensorFiles,
        entries: impl Iterator<Item = Entry>,
        copies: Vec<TensorCopy>,
        folder: &Path,
    ) -> Result<(), CheckpointError> {
        let path = folder.join(FILE);
        let mut tensors = Vec::new();
        for entry in entries {
            let name = format!("{}{SCALE}", entry.name);
            let fp8 = files.get(&entry.name);
            let fp8 = fp8.filter(|stored| stored.info.dtype == Dtype::F8_E4M3);
            if let (Some(_), Some(scales)) = (fp8, files.get(&name)) {
                tensors.push((name, Raw::read(scales)?));
            }
        }
        let present = copies
            .into_iter()
            .filter(|copy| files.get(&copy.name).is_some());
        tensors.extend(present.map(|copy| (copy.name, Raw::empty())));
        if tensors.is_empty() {
            return Ok(());
        }
        let written = safetensors::serialize_to_file(tensors, None, &path);
        written.map_err(|error| CheckpointError::Native {
            what: format!("it cannot be written: {error}"),
            path,
        })
    }

    /// Reads what was kept beside our own files.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(FILE);
        let is_there = path.try_exists().map_err(file_error("read", &path))?;
        let mut kept = Self {
            tensors: BTreeMap::new(),
            path,
        };
        if is_there {
            for (name, stored) in TensorFile::open(&kept.path)?.tensors() {
                kept.tensors.insert(name.to_owned(), Raw::read(stored)?);
            }
        }
        Ok(kept)
    }

    /// Tells whether there are scales.
    pub(super) fn has_scales(&self) -> bool {
        self.tensors.keys().any(|name| name.ends_with(SCALE))
    }

    /// Puts tensors that had scales back into FP8, and adds the scales and the copies.
    ///
    /// # Errors
    ///
    /// Returns an error if something is kept of a tensor that the model does not have, or if the values of
    /// a tensor are no longer those of FP8 numbers times its scales.
    pub(super) fn restore(
        mut self,
        tensors: Vec<(String, Pending)>,
        copies: Vec<TensorCopy>,
    ) -> Result<Vec<(String, Pending)>, CheckpointError> {
        let mut restored = Vec::with_capacity(tensors.len() + self.tensors.len());
        for copy in copies {
            let original = tensors.iter().find(|(name, _)| *name == copy.original);
            if let (Some(_), Some((_, original))) = (self.tensors.remove(&copy.name), original) {
                restored.push((copy.name.clone(), original.renamed(copy.name)));
            }
        }
        for (name, tensor) in tensors {
            let of_scales = format!("{name}{SCALE}");
            match self.tensors.remove(&of_scales) {
                Some(scales) => {
                    let scales = self.checked(&of_scales, scales, &tensor.entry)?;
                    let fp8 = self.quantised(tensor, &scales)?;
                    restored.push((name, fp8));
                    restored.push((of_scales.clone(), scales_of(of_scales, scales)));
                }
                None => restored.push((name, tensor)),
            }
        }
        match self.tensors.keys().next() {
            Some(name) => Err(self.problem(format!("the model has no tensor {name}"))),
            None => Ok(restored),
        }
    }

    fn checked(&self, name: &str, raw: Raw, entry: &Entry) -> Result<Scales, CheckpointError> {
        let Raw { info, bytes } = raw;
        let is_number = matches!(info.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16);
        if !is_number || entry.shape.len() != 2 || info.shape != blocks(entry) {
            return Err(self.problem(format!(
                "{name} is {:?} of type {:?}, and must be {:?}, numbers",
                info.shape,
                info.dtype,
                blocks(entry)
            )));
        }
        Ok(Scales {
            values: Matrix::of_numbers(&info, bytes.clone()).values(),
            raw: Raw { info, bytes },
        })
    }

    fn quantised(&self, tensor: Pending, scales: &Scales) -> Result<Pending, CheckpointError> {
        let name = tensor.entry.name.clone();
        let cols = tensor.entry.shape[1];
        let values = tensor.values();
        match values.and_then(|values| to_e4m3(&values, cols, &scales.values)) {
            Some(bytes) => Ok(Pending {
                entry: tensor.entry,
                dtype: Dtype::F8_E4M3,
                bytes: Rc::new(move || bytes.clone()),
            }),
            None => Err(self.problem(format!(
                "{name} has values that are not FP8 numbers times its scales: it was changed since it was converted; without this file it is written as F32"
            ))),
        }
    }

    fn problem(&self, what: String) -> CheckpointError {
        CheckpointError::Native {
            path: self.path.clone(),
            what,
        }
    }
}

/// The scales of the blocks of a matrix.
struct Scales {
    raw: Raw,
    values: Vec<f32>,
}

fn scales_of(name: String, scales: Scales) -> Pending {
    let Raw { info, bytes } = scales.raw;
    Pending {
        entry: Entry::plain(name, &info.shape, String::new()),
        dtype: info.dtype,
        bytes: Rc::new(move || bytes.clone()),
    }
}
