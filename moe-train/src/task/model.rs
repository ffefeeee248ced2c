//! Models of any task.

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Device;
use moe_models::switch::{Switch, SwitchBatch, SwitchConfig};
use moe_models::vmoe::{Vmoe, VmoeConfig};
use moe_models::{Account, AnyDecoder, Decoder, DecoderConfig, ModelError};
use moe_router::{Load, RouterConfig};

/// A model of any task, chosen at run time.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it, and Burn has no boxed modules"
)]
pub enum AnyModel {
    /// A decoder of text.
    Decoder(AnyDecoder),
    /// A vision transformer.
    Vision(Vmoe),
    /// An encoder with a decoder.
    Switch(Switch),
}

/// The configuration of a model of any task.
#[derive(Debug, Clone)]
pub enum AnyModelConfig {
    /// A decoder of text.
    Decoder(DecoderConfig),
    /// A vision transformer.
    Vision(VmoeConfig),
    /// An encoder with a decoder, and the most tokens of a text and of a target.
    Switch(SwitchConfig, [usize; 2]),
}

impl AnyModelConfig {
    /// Checks that all sizes fit together and that the router may be used.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        match self {
            Self::Decoder(config) => {
                config.validate(router)?;
                config.check_mixtures()
            }
            Self::Vision(config) => config.validate(router),
            Self::Switch(config, _) => config.validate(router, router),
        }
    }

    /// Builds the model with the weights that a seed gives.
    pub fn init(&self, router: &RouterConfig, seed: u64, device: &Device) -> AnyModel {
        match self {
            Self::Decoder(config) => AnyModel::Decoder(config.init(router, seed, device)),
            Self::Vision(config) => AnyModel::Vision(config.init_seeded(router, seed, device)),
            Self::Switch(config, _) => {
                AnyModel::Switch(config.init_seeded(router, router, seed, device))
            }
        }
    }

    /// The size and cost of the model with a router. Batches are of `batch_size` sequences of `seq_length`
    /// tokens, or of `batch_size` images, whose length is their own.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        match self {
            Self::Decoder(config) => config.account(router, batch_size, seq_length),
            Self::Vision(config) => config.account(router, batch_size),
            Self::Switch(config, [length, target_length]) => {
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
            Self::Decoder(model) => model.n_moe_layers(),
            Self::Vision(model) => model.moe_layers.len(),
            Self::Switch(model, _) => {
                model.encoder.sparse_layers().len() + model.decoder.sparse_layers().len()
            }
        }
    }
}

impl AnyModel {
    /// The decoder, of a model of text.
    pub fn decoder(self) -> Option<AnyDecoder> {
        match self {
            Self::Decoder(model) => Some(model),
            Self::Vision(_) | Self::Switch(_) => None,
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
            Self::Decoder(model) => Self::Decoder(model.advance_routers(loads)),
            Self::Vision(model) => Self::Vision(model.advance_routers(loads)),
            Self::Switch(model) => Self::Switch(model.advance_routers(loads)),
        }
    }

    /// The values of all parameters under the names of the model itself, so that a checkpoint does not
    /// depend on this enum.
    pub fn record(&self) -> ModuleRecord {
        match self {
            Self::Decoder(model) => model.clone().into_record(),
            Self::Vision(model) => model.clone().into_record(),
            Self::Switch(model) => model.clone().into_record(),
        }
    }

    /// The model with the values of a record.
    ///
    /// # Errors
    ///
    /// If the record is of another model.
    pub fn with_record(self, record: ModuleRecord) -> Result<Self, RecordError> {
        match self {
            Self::Decoder(model) => model.try_load_record(record).map(Self::Decoder),
            Self::Vision(model) => model.try_load_record(record).map(Self::Vision),
            Self::Switch(model) => model.try_load_record(record).map(Self::Switch),
        }
    }
}
