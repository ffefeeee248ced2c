//! Writing a model in the published layout: whole or not at all.

use super::CheckpointError;
use super::entry::Entry;
use super::error::file_error;
use super::layout::{ByParameter, Layout};
use super::published_values::published;
use crate::disk::{Draft, write_new};
use crate::published::PublishedConfig;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use moe_models::AnyDecoder;
use moe_models::ParameterPath;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

const SHARD: &str = "model.safetensors";

/// Writes a model with its configuration to a new folder: `config.json` as given, and
/// `model.safetensors` with every tensor by its published name, each in the type that it is held in.
///
/// # Errors
///
/// Returns an error if `folder` exists or cannot be written; nothing is left behind then.
pub fn write_published(
    model: &AnyDecoder,
    config: &PublishedConfig,
    config_text: &[u8],
    folder: &Path,
) -> Result<(), CheckpointError> {
    let tensors = collect(model, Layout::new(config).by_parameter())?;
    whole_folder(folder, |folder| write_files(folder, config_text, tensors))
}

/// Checks that a folder can be made: that nothing is there, and that what is above it is a folder.
///
/// # Errors
///
/// Returns what is there, or in the way.
pub fn check_target(target: &Path) -> Result<(), CheckpointError> {
    let is_there = |path: &&Path| path.symlink_metadata().is_ok();
    if is_there(&target) {
        return Err(CheckpointError::Exists(target.to_owned()));
    }
    let above = target.ancestors().skip(1).find(is_there);
    let in_the_way = above.filter(|above| !above.is_dir());
    let what = match (target.file_name(), in_the_way) {
        (None, _) => "the path does not end in a name".to_owned(),
        (Some(_), Some(file)) => format!("{} is not a folder", file.display()),
        (Some(_), None) => return Ok(()),
    };
    Err(CheckpointError::Target {
        path: target.to_owned(),
        what,
    })
}

/// Makes a folder with what `fill` writes into it, which appears whole or not at all.
pub(super) fn whole_folder<T>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, CheckpointError>,
) -> Result<T, CheckpointError> {
    check_target(target)?;
    let draft = Draft::new(target).map_err(file_error("create", target))?;
    let filled = fill(draft.path())?;
    draft.publish().map_err(file_error("create", target))?;
    Ok(filled)
}

/// Writes `config.json` and the tensors, each made when its turn comes.
pub(super) fn write_files<V: View>(
    folder: &Path,
    config_text: &[u8],
    tensors: Vec<(String, V)>,
) -> Result<(), CheckpointError> {
    let config = folder.join("config.json");
    write_new(&config, config_text).map_err(file_error("write", &config))?;
    let path = folder.join(SHARD);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), &path).map_err(|source| {
        CheckpointError::Native {
            path: path.clone(),
            what: format!("it cannot be written: {source}"),
        }
    })?;
    // the format's own writer makes a file that nobody else can read
    let permissions = fs::metadata(&config).map_err(file_error("read", &config))?;
    fs::set_permissions(&path, permissions.permissions()).map_err(file_error("write", &path))
}

pub(super) fn collect<M: Module>(
    model: &M,
    entries: ByParameter,
) -> Result<Vec<(String, Pending)>, CheckpointError> {
    let mut collector = Collector {
        entries,
        path: ParameterPath::default(),
        tensors: Vec::new(),
    };
    model.visit(&mut collector);
    match collector.entries.into_keys().next() {
        Some(parameter) => Err(CheckpointError::Layout(parameter)),
        None => Ok(collector.tensors),
    }
}

/// A published tensor that is made of our parameter when it is written.
pub(super) struct Pending {
    pub(super) entry: Entry,
    pub(super) dtype: Dtype,
    pub(super) bytes: Rc<dyn Fn() -> Vec<u8>>,
}

impl Pending {
    /// The same tensor under another name.
    pub(super) fn renamed(&self, name: String) -> Self {
        Self {
            entry: Entry {
                name,
                ..self.entry.clone()
            },
            dtype: self.dtype,
            bytes: self.bytes.clone(),
        }
    }

    /// Its values, if they are in f32.
    pub(super) fn values(&self) -> Option<Vec<f32>> {
        let word = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
        let bytes = (self.bytes)();
        (self.dtype == Dtype::F32).then(|| bytes.as_chunks().0.iter().map(word).collect())
    }
}

impl View for Pending {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned((self.bytes)())
    }

    fn data_len(&self) -> usize {
        self.entry.n_elements() * self.dtype.bitsize() / 8
    }
}

/// Collects what is to be written. Tensors share their memory, so this copies nothing.
struct Collector {
    entries: ByParameter,
    path: ParameterPath,
    tensors: Vec<(String, Pending)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for entry in self.entries.remove(&self.path.join()).unwrap_or_default() {
            let tensor = param.val().detach();
            let dtype = match tensor.dtype() {
                DType::BF16 => Dtype::BF16,
                DType::F16 => Dtype::F16,
                _ => Dtype::F32,
            };
            let ours = entry.clone();
            let bytes = move || {
                let data = published(tensor.clone(), &ours).into_data();
                match dtype {
                    Dtype::F32 => data.convert::<f32>().as_bytes().to_vec(),
                    _ => data.as_bytes().to_vec(),
                }
            };
            let pending = Pending {
                entry,
                dtype,
                bytes: Rc::new(bytes),
            };
            self.tensors.push((pending.entry.name.clone(), pending));
        }
    }
}
