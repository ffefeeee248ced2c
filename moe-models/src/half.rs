//! Weights in bf16 beside everything else in f32.

use crate::Decoder;
use crate::path::ParameterPath;
use burn::module::{ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
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
}

impl WeightType {
    /// The bytes of a weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// The decoder with its matrices in this type, if they are in f32.
    pub fn hold<D: Decoder>(self, decoder: D) -> D {
        match self {
            Self::F32 => decoder,
            Self::Bf16 => with_bf16_weights(decoder),
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// Holds the matrices that tokens are multiplied by (experts, attention, head) in bf16, which halves what a
/// generated token reads; norms, routers, embeddings and all that is computed between stay in f32. For
/// inference: an optimizer would lose its small steps.
pub fn with_bf16_weights<D: Decoder>(decoder: D) -> D {
    decoder.map(&mut Narrow::default())
}

#[derive(Debug, Default)]
struct Narrow(ParameterPath);

impl ModuleMapper for Narrow {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.is_product_weight(D) {
            param.map(|weight| weight.cast(DType::BF16))
        } else {
            param
        }
    }
}
