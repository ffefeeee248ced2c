//! Types that the matrices of a decoder are held in, beside everything else in f32.

use crate::Decoder;
use crate::path::ParameterPath;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
#[cfg(feature = "flex")]
use moe_quant::{Format, QuantizeError};
use serde::Serialize;
use std::fmt;

/// The type that the matrices which tokens are multiplied by are held in.
#[derive(Serialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WeightType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, with the range of f32.
    Bf16,
    /// Blocks of 32 weights of 8 bits with a scale in f16, on the CPU backend alone.
    Q8,
    /// Blocks of 32 weights of 4 bits with a scale in f16, on the CPU backend alone.
    Q4,
}

impl WeightType {
    /// The bytes of 32 weights.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 128,
            Self::Bf16 => 64,
            Self::Q8 => 34,
            Self::Q4 => 18,
        }
    }

    /// Tells whether weights on the device can be held in this type.
    pub fn is_held_on(self, device: &Device) -> bool {
        match self {
            Self::F32 | Self::Bf16 => true,
            Self::Q8 | Self::Q4 => has_blocks(device),
        }
    }

    /// The decoder with its matrices in this type, if they are in f32: experts, attention and head. Norms, routers,
    /// embeddings and all that is computed between stay in f32. For inference: an optimizer would lose its small
    /// steps, and blocks have no gradient.
    ///
    /// A matrix whose inputs are no multiple of 32 stays as it is beside others in blocks.
    ///
    /// # Panics
    ///
    /// Panics if the type [is not held](Self::is_held_on) on the decoder's device.
    pub fn hold<D: Decoder>(self, decoder: D) -> D {
        match self {
            Self::F32 => decoder,
            _ => decoder.map(&mut Narrow {
                path: ParameterPath::default(),
                weights: self,
            }),
        }
    }

    /// A parameter in this type, if it is a matrix that tokens are multiplied by, in f32.
    ///
    /// # Panics
    ///
    /// As [`hold`](Self::hold).
    pub fn hold_parameter<const D: usize>(self, path: &ParameterPath, x: Tensor<D>) -> Tensor<D> {
        if !path.is_product_weight(D) || x.dtype() != DType::F32 {
            return x;
        }
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(DType::BF16),
            Self::Q8 | Self::Q4 => self.in_blocks(x),
        }
    }

    #[cfg(feature = "flex")]
    fn in_blocks<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let format = if self == Self::Q8 {
            Format::Q8
        } else {
            Format::Q4
        };
        match moe_quant::quantize(x.clone(), format) {
            Ok(blocks) => blocks,
            Err(QuantizeError::Width(_)) => x,
            Err(error) => panic!("{self}: {error}"),
        }
    }

    #[cfg(not(feature = "flex"))]
    fn in_blocks<const D: usize>(self, _: Tensor<D>) -> Tensor<D> {
        panic!("{self}: this build is without the device `flex`")
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

/// Holds the matrices that tokens are multiplied by (experts, attention, head) in bf16, which halves what a
/// generated token reads: [`WeightType::hold`].
pub fn with_bf16_weights<D: Decoder>(decoder: D) -> D {
    WeightType::Bf16.hold(decoder)
}

/// The paths of the matrices that tokens are multiplied by and that are held in f32.
pub fn held_in_f32<D: Module>(decoder: &D) -> Vec<String> {
    let mut wide = Wide::default();
    decoder.visit(&mut wide);
    wide.found
}

#[cfg(feature = "flex")]
fn has_blocks(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

#[cfg(not(feature = "flex"))]
fn has_blocks(_: &Device) -> bool {
    false
}

struct Narrow {
    path: ParameterPath,
    weights: WeightType,
}

impl ModuleMapper for Narrow {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.is_product_weight(D) {
            param.map(|weight| self.weights.hold_parameter(&self.path, weight))
        } else {
            param
        }
    }
}

#[derive(Default)]
struct Wide {
    path: ParameterPath,
    found: Vec<String>,
}

impl ModuleVisitor for Wide {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.is_product_weight(D) && param.val().dtype() == DType::F32 {
            self.found.push(self.path.join());
        }
    }
}
