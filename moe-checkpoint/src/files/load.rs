//! Filling a model from the files, one parameter at a time.

use super::CheckpointError;
use super::entry::Entry;
use super::layout::ByParameter;
use super::source;
use super::tensor_files::TensorFiles;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Element, ElementConversion, Tensor, TensorData, bf16, f16};
use moe_models::ParameterPath;
use moe_models::WeightType;
use safetensors::Dtype;
use serde::Serialize;

/// The type that weights are held in. The bias of a router's choice is in 32 bits unless it is held as
/// stored.
#[derive(Serialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, with the range of f32.
    Bf16,
    /// The matrices that tokens are multiplied by in a type of their own, everything else in f32: for decoders.
    Weights(WeightType),
    /// 16 bits.
    F16,
    /// Each as it is stored; FP8, which no layer computes in, becomes f32.
    Stored,
}

impl From<WeightType> for Precision {
    fn from(weights: WeightType) -> Self {
        match weights {
            WeightType::F32 => Self::F32,
            weights => Self::Weights(weights),
        }
    }
}

impl Precision {
    /// A parameter that was read, as it is held.
    pub(super) fn hold<const D: usize>(self, path: &ParameterPath, tensor: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Weights(weights) => weights.hold_parameter(path, tensor),
            _ => tensor,
        }
    }
}

/// Fills every parameter of `model`, of which none is drawn before.
pub(super) fn fill<M: Module>(
    model: M,
    files: &TensorFiles,
    entries: ByParameter,
    precision: Precision,
) -> Result<M, CheckpointError> {
    let mut filler = Filler {
        files,
        entries,
        precision,
        path: ParameterPath::default(),
        error: None,
    };
    let model = model.map(&mut filler);
    match (filler.error, filler.entries.into_keys().next()) {
        (Some(error), _) => Err(error),
        (None, Some(parameter)) => Err(CheckpointError::Layout(parameter)),
        (None, None) => Ok(model),
    }
}

struct Filler<'a> {
    files: &'a TensorFiles,
    entries: ByParameter,
    precision: Precision,
    path: ParameterPath,
    error: Option<CheckpointError>,
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape: [usize; D] = param.lazy_shape().dims();
        match self.tensor(shape, &param.lazy_device()) {
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

impl Filler<'_> {
    fn tensor<const D: usize>(
        &mut self,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, CheckpointError> {
        let path = self.path.join();
        let entries = self.entries.remove(&path).unwrap_or_default();
        if !fits(&entries, &shape) {
            return Err(CheckpointError::Layout(path));
        }
        let dtype = self.dtype(&entries, D)?;
        let data = match dtype {
            DType::BF16 => self.read::<bf16>(&entries, shape)?,
            DType::F16 => self.read::<f16>(&entries, shape)?,
            _ => self.read::<f32>(&entries, shape)?,
        };
        let tensor = Tensor::from_data(data, (device, dtype));
        Ok(self.precision.hold(&self.path, tensor))
    }

    fn dtype(&self, entries: &[Entry], rank: usize) -> Result<DType, CheckpointError> {
        let is_choice_bias = entries.iter().any(Entry::is_choice_bias);
        if let Some(dtype) = held(self.precision, &self.path, rank, is_choice_bias) {
            return Ok(dtype);
        }
        let mut types = Vec::with_capacity(entries.len());
        for entry in entries {
            types.push(source::place(self.files, entry)?.dtype());
        }
        Ok(match types.split_first() {
            Some((Dtype::BF16, rest)) if rest.iter().all(|t| *t == Dtype::BF16) => DType::BF16,
            Some((Dtype::F16, rest)) if rest.iter().all(|t| *t == Dtype::F16) => DType::F16,
            _ => DType::F32,
        })
    }

    fn read<T: Element>(
        &self,
        entries: &[Entry],
        shape: impl Into<burn::tensor::Shape>,
    ) -> Result<TensorData, CheckpointError> {
        let n_elements = entries.iter().map(Entry::n_elements).sum();
        let mut values: Vec<T> = vec![0f32.elem(); n_elements];
        let mut rest = values.as_mut_slice();
        for entry in entries {
            let (slot, after) = rest.split_at_mut(entry.n_elements());
            let matrix = source::place(self.files, entry)?.read_finite()?;
            matrix.write(slot, entry.transposed);
            rest = after;
        }
        Ok(TensorData::new(values, shape))
    }
}

/// The type that a parameter of `rank` axes is read in; none if it is the one that it is stored in.
pub(super) fn held(
    precision: Precision,
    path: &ParameterPath,
    rank: usize,
    is_choice_bias: bool,
) -> Option<DType> {
    match precision {
        Precision::Stored => None,
        _ if is_choice_bias => Some(DType::F32),
        Precision::F32 => Some(DType::F32),
        Precision::Bf16 => Some(DType::BF16),
        Precision::Weights(WeightType::Bf16) if path.is_product_weight(rank) => Some(DType::BF16),
        Precision::Weights(_) => Some(DType::F32),
        Precision::F16 => Some(DType::F16),
    }
}

/// Tells whether the entries, stacked or single, have the shape of their parameter.
fn fits(entries: &[Entry], shape: &[usize]) -> bool {
    let stacked = |(i, entry): (usize, &Entry)| {
        entry.slot == Some(i)
            && shape.first() == Some(&entries.len())
            && shape.get(1..) == Some(entry.our_shape().as_slice())
    };
    match entries {
        [entry] if entry.slot.is_none() => entry.our_shape() == shape,
        [] => false,
        _ => entries.iter().enumerate().all(stacked),
    }
}
