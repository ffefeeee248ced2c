//! What a published checkpoint has and our parameters do not: the scales of its FP8 blocks, and which
//! copies of other tensors there were. Kept beside our own files, so that the way back gives the same
//! bytes.

use super::CheckpointError;
use super::entry::Entry;
use super::error::file_error;
use super::files::TensorFiles;
use super::layout::TensorCopy;
use super::named::{HostTensor, HostValues, read_tensors};
use super::source::{SCALE, blocks};
use super::values::to_e4m3;
use super::write::Pending;
use safetensors::{Dtype, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const FILE: &str = "published.safetensors";

/// The scales by their names, and for every copy its name with an empty tensor.
#[derive(Debug, Default)]
pub(super) struct Kept {
    path: PathBuf,
    tensors: BTreeMap<String, HostTensor>,
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
        let unwritable = |error: safetensors::SafeTensorError| CheckpointError::Native {
            path: path.clone(),
            what: format!("it cannot be written: {error}"),
        };
        let mut tensors = Vec::new();
        for entry in entries {
            let name = format!("{}{SCALE}", entry.name);
            let fp8 = files.get(&entry.name);
            let fp8 = fp8.filter(|stored| stored.info.dtype == Dtype::F8_E4M3);
            if let (Some(_), Some(scales)) = (fp8, files.get(&name)) {
                let shape = scales.info.shape.clone();
                let view = TensorView::new(Dtype::F32, shape, scales.bytes).map_err(unwritable)?;
                tensors.push((name, view));
            }
        }
        for copy in copies {
            if files.get(&copy.name).is_some() {
                let view = TensorView::new(Dtype::F32, vec![0], &[]).map_err(unwritable)?;
                tensors.push((copy.name, view));
            }
        }
        if tensors.is_empty() {
            return Ok(());
        }
        safetensors::serialize_to_file(tensors, None, &path).map_err(unwritable)
    }

    /// Reads what was kept beside our own files.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(FILE);
        let is_there = path.try_exists().map_err(file_error("read", &path))?;
        Ok(Self {
            tensors: match is_there {
                true => read_tensors(&path)?,
                false => BTreeMap::new(),
            },
            path,
        })
    }

    /// Whether there are scales.
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
                    restored.push((of_scales.clone(), scales_of(of_scales, &scales)));
                }
                None => restored.push((name, tensor)),
            }
        }
        match self.tensors.keys().next() {
            Some(name) => Err(self.problem(format!("the model has no tensor {name}"))),
            None => Ok(restored),
        }
    }

    fn checked(
        &self,
        name: &str,
        scales: HostTensor,
        entry: &Entry,
    ) -> Result<Scales, CheckpointError> {
        match scales {
            HostTensor {
                shape,
                values: HostValues::Floats(values),
            } if entry.shape.len() == 2 && shape == blocks(entry) => Ok(Scales { shape, values }),
            other => Err(self.problem(format!(
                "{name} is {:?}, and must be {:?}, numbers",
                other.shape,
                blocks(entry)
            ))),
        }
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
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn scales_of(name: String, scales: &Scales) -> Pending {
    let bytes: Vec<u8> = scales.values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Pending {
        entry: Entry::plain(name, &scales.shape, String::new()),
        dtype: Dtype::F32,
        bytes: Rc::new(move || bytes.clone()),
    }
}
