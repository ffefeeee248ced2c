//! Writing a model in the published layout: whole or not at all.

use super::CheckpointError;
use super::entry::Entry;
use super::error::file_error;
use super::layout::{ByParameter, Layout};
use super::path::ParameterPath;
use super::published_values::published;
use crate::AnyDecoder;
use crate::published::PublishedConfig;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

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
    let layout = Layout::new(config).ok_or_else(|| {
        let kind = config.model_type();
        CheckpointError::NotPublishable(format!("models of type \"{kind}\" are counted, not built"))
    })?;
    whole_folder(folder, |folder| {
        let path = folder.join("config.json");
        fs::write(&path, config_text).map_err(file_error("write", &path))?;
        let tensors = folder.join(SHARD);
        write_tensors(model, layout.by_parameter(), &tensors)?;
        // the format's own writer makes a file that nobody else can read
        let permissions = fs::metadata(&path).map_err(file_error("read", &path))?;
        fs::set_permissions(&tensors, permissions.permissions())
            .map_err(file_error("write", &tensors))
    })
}

/// Makes a folder with what `fill` writes into it, which appears whole or not at all.
pub(super) fn whole_folder(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    if folder.symlink_metadata().is_ok() {
        return Err(CheckpointError::Exists(folder.to_owned()));
    }
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let temporary = folder.with_file_name(name);
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(file_error("delete", &temporary))?;
    }
    fs::create_dir_all(&temporary).map_err(file_error("create", &temporary))?;
    let done = fill(&temporary)
        .and_then(|()| fs::rename(&temporary, folder).map_err(file_error("rename", folder)));
    if done.is_err() {
        // the error that is returned says more than one of cleaning up would
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

fn write_tensors(
    model: &AnyDecoder,
    entries: ByParameter,
    path: &Path,
) -> Result<(), CheckpointError> {
    let mut collector = Collector {
        entries,
        path: ParameterPath::default(),
        tensors: Vec::new(),
    };
    model.visit(&mut collector);
    if let Some(parameter) = collector.entries.into_keys().next() {
        return Err(CheckpointError::Layout(parameter));
    }
    let tensors = collector.tensors.into_iter();
    let tensors = tensors.map(|tensor| (tensor.entry.name.clone(), tensor));
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path).map_err(|source| {
        CheckpointError::Native {
            path: path.to_owned(),
            what: format!("it cannot be written: {source}"),
        }
    })
}

/// A published tensor that is made of our parameter when it is written.
struct Pending {
    entry: Entry,
    dtype: Dtype,
    bytes: Box<dyn Fn() -> Vec<u8>>,
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
    tensors: Vec<Pending>,
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
            self.tensors.push(Pending {
                entry,
                dtype,
                bytes: Box::new(bytes),
            });
        }
    }
}
