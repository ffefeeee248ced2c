//! The families of decoders, and the decoder of any family.
//!
//! To add one: a module of this crate with `Name`, which implements [`Decoder`], and `NameConfig`, which has the
//! methods that this list calls; and a line of the list.

use super::{Decoder, DecoderCache, DecoderInput, DecoderOutput};
use crate::{Account, ModelError, seed_parameters};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use moe_router::{Load, RouterConfig, RouterShape};

/// Writes the decoder and the configuration of any family.
macro_rules! decoders {
    ($($module:ident::$family:ident($config:ident),)+) => {
        /// A decoder of any family, chosen at run time. There may be more families.
        #[derive(Module, Debug)]
        #[non_exhaustive]
        pub enum AnyDecoder {
            $(
                #[doc = concat!("A decoder of the family `", stringify!($module), "`.")]
                $family(crate::$module::$family),
            )+
        }

        impl Decoder for AnyDecoder {
            fn forward(&self, input: DecoderInput) -> DecoderOutput {
                match self {
                    $(Self::$family(model) => model.forward(input),)+
                }
            }

            fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput {
                match self {
                    $(Self::$family(model) => model.forward_cache(input, cache),)+
                }
            }

            fn draft(
                &self,
                hidden: Tensor<3>,
                next: Tensor<2, Int>,
                cache: &mut DecoderCache,
            ) -> Tensor<3> {
                match self {
                    $(Self::$family(model) => model.draft(hidden, next, cache),)+
                }
            }

            fn new_cache(&self) -> DecoderCache {
                match self {
                    $(Self::$family(model) => model.new_cache(),)+
                }
            }

            fn advance_routers(self, loads: &[Load]) -> Self {
                match self {
                    $(Self::$family(model) => Self::$family(model.advance_routers(loads)),)+
                }
            }

            fn tokens_compete(&self) -> bool {
                match self {
                    $(Self::$family(model) => model.tokens_compete(),)+
                }
            }

            fn n_layers(&self) -> usize {
                match self {
                    $(Self::$family(model) => model.n_layers(),)+
                }
            }

            fn n_moe_layers(&self) -> usize {
                match self {
                    $(Self::$family(model) => model.n_moe_layers(),)+
                }
            }

            fn n_mtp_layers(&self) -> usize {
                match self {
                    $(Self::$family(model) => model.n_mtp_layers(),)+
                }
            }
        }

        /// The configuration of a decoder of any family. There may be more families.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum DecoderConfig {
            $(
                #[doc = concat!("A decoder of the family `", stringify!($module), "`.")]
                $family(crate::$module::$config),
            )+
        }

        impl DecoderConfig {
            /// Checks that all sizes fit together and that the router may be used in a decoder.
            ///
            /// # Errors
            ///
            /// Returns what is wrong, where, and what to do.
            pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
                match self {
                    $(Self::$family(config) => config.validate(router),)+
                }
            }

            /// Builds the decoder, its weights not drawn until they are touched.
            pub fn init_unseeded(&self, router: &RouterConfig, device: &Device) -> AnyDecoder {
                let router = |shape: &RouterShape| router.init(shape, device);
                match self {
                    $(Self::$family(config) => AnyDecoder::$family(config.init(router, device)),)+
                }
            }

            /// Builds the decoder with the weights that a seed gives.
            pub fn init(&self, router: &RouterConfig, seed: u64, device: &Device) -> AnyDecoder {
                let router = |shape: &RouterShape| router.init(shape, device);
                match self {
                    $(Self::$family(config) => {
                        let model = config.init(router, device);
                        AnyDecoder::$family(seed_parameters(model, "Mixtral", seed, config.n_layers))
                    })+
                }
            }

            /// The size and cost of the decoder with a router, trained on batches of `batch_size` sequences
            /// of `seq_length` tokens.
            pub fn account(
                &self,
                router: &RouterConfig,
                batch_size: usize,
                seq_length: usize,
            ) -> Account {
                match self {
                    $(Self::$family(config) => config.account(router, batch_size, seq_length),)+
                }
            }

            /// The number of layers with experts, without those of modules that predict further tokens.
            pub fn n_moe_layers(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.n_moe_layers(),)+
                }
            }
        }
    };
}

decoders! {
    mixtral::Mixtral(MixtralConfig),
    deepseek::DeepSeek(DeepSeekConfig),
}

impl DecoderConfig {
    /// Checks that there is a mixture of experts, of a family whose layers can all be dense.
    ///
    /// # Errors
    ///
    /// Returns how many layers there are, and that all are dense.
    pub fn check_mixtures(&self) -> Result<(), ModelError> {
        match self {
            Self::DeepSeek(config) => config.check_mixtures(),
            _ => Ok(()),
        }
    }
}
