//! Models of any task, alone and with data of their task.

use super::TaskData;
use crate::data::{ImageData, PairData, TextData};
use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Device;
use moe_models::switch::{Switch, SwitchBatch, SwitchConfig};
use moe_models::vmoe::{Vmoe, VmoeConfig};
use moe_models::{Account, AnyDecoder, Decoder, DecoderConfig, ModelError};
use moe_router::{Load, RouterConfig};
use thiserror::Error;

/// A model of any task, chosen at run time.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it, and Burn has no boxed modules"
)]
pub enum AnyModel {
    /// A decoder of text.
    Text(AnyDecoder),
    /// A vision transformer.
    Images(Vmoe),
    /// An encoder with a decoder.
    Pairs(Switch),
}

/// A model with data of its task.
#[derive(Debug, Clone, Copy)]
pub enum ModelAndData<'a> {
    /// A decoder and text.
    Text(&'a AnyDecoder, &'a TextData),
    /// A vision transformer and images with labels.
    Images(&'a Vmoe, &'a ImageData),
    /// An encoder with a decoder, and pairs of texts.
    Pairs(&'a Switch, &'a PairData),
}

/// Data of another task than the model's.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("the data is of another task than the model: take both from one configuration")]
pub struct OtherTask;

/// The configuration of a model of any task.
#[derive(Debug, Clone)]
pub enum AnyModelConfig {
    /// A decoder of text.
    Text(DecoderConfig),
    /// A vision transformer.
    Images(VmoeConfig),
    /// An encoder with a decoder, and the most tokens of a text and of a target.
    Pairs(SwitchConfig, [usize; 2]),
}

impl AnyModelConfig {
    /// Checks that all sizes fit together and that the router may be used.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        match self {
            Self::Text(config) => {
                config.validate(router)?;
                config.check_mixtures()
            }
            Self::Images(config) => config.validate(router),
            Self::Pairs(config, _) => config.validate(router, router),
        }
    }

    /// Builds the model with the weights that a seed gives.
    pub fn init(&self, router: &RouterConfig, seed: u64, device: &Device) -> AnyModel {
        match self {
            Self::Text(config) => AnyModel::Text(config.init(router, seed, device)),
            Self::Images(config) => AnyModel::Images(config.init_seeded(router, seed, device)),
            Self::Pairs(config, _) => {
                AnyModel::Pairs(config.init_seeded(router, router, seed, device))
            }
        }
    }

    /// The size and cost of the model with a router. Batches are of `batch_size` sequences of `seq_length`
    /// tokens, or of `batch_size` images, whose length is their own.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        match self {
            Self::Text(config) => config.account(router, batch_size, seq_length),
            Self::Images(config) => config.account(router, batch_size),
            Self::Pairs(config, [length, target_length]) => {
                let batch = SwitchBatch {
                    size: batch_size,
                    length: *length,
                    target_length: *target_length,
                };
                config.account(router, router, batch)
            }
        }
    }

    /// The number of layers with experts, without those of multi-token prediction.
    pub fn n_moe_layers(&self) -> usize {
        match self {
            Self::Text(model) => model.n_moe_layers(),
            Self::Images(model) => model.moe_layers.len(),
            Self::Pairs(model, _) => {
                model.encoder.sparse_layers().len() + model.decoder.sparse_layers().len()
            }
        }
    }
}

impl AnyModel {
    /// The model with data that it reads.
    ///
    /// # Errors
    ///
    /// If the data is of another task.
    pub fn with<'a>(&'a self, data: &'a TaskData) -> Result<ModelAndData<'a>, OtherTask> {
        match (self, data) {
            (Self::Text(model), TaskData::Text(data)) => Ok(ModelAndData::Text(model, data)),
            (Self::Images(model), TaskData::Images(data)) => Ok(ModelAndData::Images(model, data)),
            (Self::Pairs(model), TaskData::Pairs(data)) => Ok(ModelAndData::Pairs(model, data)),
            _ => Err(OtherTask),
        }
    }

    /// The decoder, of a model of text.
    pub fn decoder(self) -> Option<AnyDecoder> {
        match self {
            Self::Text(model) => Some(model),
            Self::Images(_) | Self::Pairs(_) => None,
        }
    }

    /// Advances the routers' state after an optimizer step, from the load of each layer in the order of
    /// the routings.
    ///
    /// # Panics
    ///
    /// Panics if there is not one load for each layer that has a router.
    pub fn advance_routers(self, loads: &[Load]) -> Self {
        match self {
            Self::Text(model) => Self::Text(model.advance_routers(loads)),
            Self::Images(model) => Self::Images(model.advance_routers(loads)),
            Self::Pairs(model) => Self::Pairs(model.advance_routers(loads)),
        }
    }

    /// The values of all parameters under the names of the model itself, so that a checkpoint does not
    /// depend on this enum.
    pub fn record(&self) -> ModuleRecord {
        match self {
            Self::Text(model) => model.clone().into_record(),
            Self::Images(model) => model.clone().into_record(),
            Self::Pairs(model) => model.clone().into_record(),
        }
    }

    /// The model with the values of a record.
    ///
    /// # Errors
    ///
    /// If the record is of another model.
    pub fn with_record(self, record: ModuleRecord) -> Result<Self, RecordError> {
        match self {
            Self::Text(model) => model.try_load_record(record).map(Self::Text),
            Self::Images(model) => model.try_load_record(record).map(Self::Images),
            Self::Pairs(model) => model.try_load_record(record).map(Self::Pairs),
        }
    }
}
