//! The two decoders whose inference is timed: small enough for a laptop, of the proportions of the
//! large ones.

use moe_attention::{GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig};
use moe_experts::MoeLayerConfig;
use moe_models::deepseek::DeepSeekAttentionConfig;
use moe_models::{DecoderConfig, DeepSeekConfig, MixtralConfig};
use moe_router::RouterConfig;
use moe_router::zoo::DeepSeekV3RouterConfig;

/// A decoder to time.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// Its sizes.
    pub decoder: DecoderConfig,
    /// Its router.
    pub router: RouterConfig,
}

const VOCAB: usize = 32_000;
const D_MODEL: usize = 1024;
const N_LAYERS: usize = 4;

impl Shape {
    /// The names of all shapes.
    pub const NAMES: [&str; 2] = ["mixtral-428m", "deepseek-486m"];

    /// The shape of a name, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "mixtral-428m" => Some(Self::mixtral()),
            "deepseek-486m" => Some(Self::deepseek()),
            _ => None,
        }
    }

    /// 428 M parameters as Mixtral has them: 16 query and 4 key heads, 8 experts of 3,584, top-2.
    fn mixtral() -> Self {
        Self {
            name: "mixtral-428m",
            decoder: DecoderConfig::Mixtral(MixtralConfig::new(
                VOCAB,
                N_LAYERS,
                GroupedQueryAttentionConfig::new(D_MODEL, 16, 4),
                experts(8, 3584, 0),
            )),
            router: RouterConfig::mixtral(2),
        }
    }

    /// 486 M parameters as DeepSeek-V3 has them: latent attention, 64 experts of 512, top-8 in 4 of 8
    /// groups, one shared expert.
    fn deepseek() -> Self {
        let attention = MultiHeadLatentAttentionConfig::new(D_MODEL, 16, 256, 64, 32, 64)
            .with_q_lora_rank(Some(384));
        Self {
            name: "deepseek-486m",
            decoder: DecoderConfig::DeepSeek(DeepSeekConfig::new(
                VOCAB,
                N_LAYERS,
                DeepSeekAttentionConfig::Mla(attention),
                experts(64, 512, 1),
            )),
            router: RouterConfig::DeepSeekV3(DeepSeekV3RouterConfig {
                top_k: 8,
                n_groups: 8,
                topk_groups: 4,
                routed_scaling_factor: 2.5,
                ..Default::default()
            }),
        }
    }
}

fn experts(n_experts: usize, d_expert: usize, n_shared_experts: usize) -> MoeLayerConfig {
    MoeLayerConfig::new(D_MODEL, n_experts, d_expert).with_n_shared_experts(n_shared_experts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_have_the_parameters_in_their_names() {
        for (name, millions) in [("mixtral-428m", 428), ("deepseek-486m", 486)] {
            let shape = Shape::of(name).expect("a shape of this name");
            let total = shape.decoder.account(&shape.router, 1, 512).params_total;
            assert_eq!((total as f64 / 1e6).round() as usize, millions);
        }
        assert!(Shape::NAMES.iter().all(|name| Shape::of(name).is_some()));
        assert!(Shape::of("mixtral").is_none());
    }
}
