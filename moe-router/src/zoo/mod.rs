//! The routers, one a file.
//!
//! To add one: write its file, with a configuration that implements [`Preset`](crate::Preset) and a
//! module that implements [`Router`](crate::Router), and add one line to the list below. The command
//! line, configuration files, ablations, benches and the documentation all loop over that list.

mod common;
#[cfg(test)]
mod testing;

routers! {
    "mixtral" => mixtral::{Mixtral, MixtralConfig},
    "switch" => switch::{Switch, SwitchConfig},
    "noisy_topk" => noisy_topk::{NoisyTopK, NoisyTopKConfig},
    "deepseek_moe" => deepseek_moe::{DeepSeekMoe, DeepSeekMoeConfig},
    "deepseek_v2" => deepseek_v2::{DeepSeekV2, DeepSeekV2Config},
    "deepseek_v3" => deepseek_v3::{DeepSeekV3, DeepSeekV3Config},
    "loss_free" => loss_free::{LossFree, LossFreeConfig},
    "quantile" => quantile::{Quantile, QuantileConfig},
    "sinkhorn" => sinkhorn::{Sinkhorn, SinkhornConfig},
    "base" => base::{Base, BaseConfig},
    "v_moe" => v_moe::{VMoe, VMoeConfig},
    "gshard" => gshard::{GShard, GShardConfig},
    "st_moe" => st_moe::{StMoe, StMoeConfig},
    "composed" => composed::{Composed, ComposedConfig},
    "expert_choice" => expert_choice::{ExpertChoice, ExpertChoiceConfig},
    "cosine" => cosine::{Cosine, CosineConfig},
    "top_p" => top_p::{TopP, TopPConfig},
    "dyn_moe" => dyn_moe::{DynMoe, DynMoeConfig},
    "remoe" => remoe::{ReMoe, ReMoeConfig},
    "moe_pp" => moe_pp::{MoePlusPlus, MoePlusPlusConfig},
    "mixture_of_depths" => mixture_of_depths::{MixtureOfDepths, MixtureOfDepthsConfig},
    "dense" => dense::{Dense, DenseConfig},
    "soft" => soft::{SoftMoe, SoftMoeConfig},
    "hash" => hash::{Hash, HashConfig},
    "random" => random::{Random, RandomConfig},
    "round_robin" => round_robin::{RoundRobin, RoundRobinConfig},
    "frozen" => frozen::{Frozen, FrozenConfig},
    "replay" => replay::{Replay, ReplayConfig},
}

impl RouterConfig {
    /// Other names, each with the name of the list that it stands for: those of the families whose routers
    /// they are.
    pub const ALIASES: &'static [(&'static str, &'static str)] =
        &[("vmoe", "v_moe"), ("soft_moe", "soft")];
}
