//! The list of families, and all that is written from it.
//!
//! To add one: a struct of its keys that implements [`FamilyKeys`], unless another family has the same keys, and an
//! entry of the list: the name, the keys with the function that gives their defaults, and the facts.

use super::keys::FamilyKeys;
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// Facts about a family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyInfo {
    /// The architecture in one line.
    pub rule: &'static str,
    /// Authors and year of the paper.
    pub paper: &'static str,
    /// The paper's arXiv number.
    pub arxiv: &'static str,
    /// The implementation that its numbers are compared with.
    pub reference: &'static str,
    /// The task that it learns.
    pub task: Task,
    /// The router that it is published with.
    pub router: &'static str,
    /// The kinds of attention that it can have, the published one first.
    pub attention: &'static [&'static str],
}

/// Writes the table `[model]`, tagged by the family's name, and what is known about each family.
macro_rules! families {
    ($($name:literal => $family:ident($module:ident::$keys:ident = $default:ident), $info:expr;)+) => {
        /// The table `[model]`: its keys depend on the family.
        #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
        #[serde(tag = "family")]
        pub enum ModelConfig {
            $(
                #[doc = concat!("The family named `", $name, "`.")]
                #[serde(rename = $name)]
                $family(super::$module::$keys),
            )+
        }

        impl ModelConfig {
            /// The names of all families, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The defaults of a family, if there is one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$family(super::$module::$keys::$default())),)+
                    _ => None,
                }
            }

            /// The family's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$family(_) => $name,)+
                }
            }

            /// Facts about the family.
            pub fn info(&self) -> FamilyInfo {
                match self {
                    $(Self::$family(_) => $info,)+
                }
            }

            /// The family's keys.
            pub(super) fn keys(&self) -> &dyn FamilyKeys {
                match self {
                    $(Self::$family(keys) => keys,)+
                }
            }
        }
    };
}

families! {
    "mixtral" => Mixtral(mixtral::MixtralModel = default), FamilyInfo {
        rule: "decoder: RMS norms, grouped-query attention with rotary positions, experts in every layer",
        paper: "Jiang et al. 2024",
        arxiv: "2401.04088",
        reference: "transformers",
        task: Task::Text,
        router: "mixtral",
        attention: &["gqa"],
    };
    "olmoe" => Olmoe(mixtral::MixtralModel = default), FamilyInfo {
        rule: "mixtral with queries and keys normalised over all heads",
        paper: "Muennighoff et al. 2024",
        arxiv: "2409.02060",
        reference: "transformers",
        task: Task::Text,
        router: "deepseek_moe",
        attention: &["gqa"],
    };
    "qwen3_moe" => Qwen3Moe(qwen3::Qwen3MoeModel = default), FamilyInfo {
        rule: "decoder: queries and keys normalised by head, layers dense or with experts",
        paper: "Yang et al. 2025",
        arxiv: "2505.09388",
        reference: "transformers",
        task: Task::Text,
        router: "mixtral",
        attention: &["gqa"],
    };
    "llama" => Llama(llama::LlamaModel = default), FamilyInfo {
        rule: "decoder without experts: every feed-forward is dense",
        paper: "Touvron et al. 2023",
        arxiv: "2302.13971",
        reference: "transformers",
        task: Task::Text,
        router: "mixtral",
        attention: &["gqa"],
    };
    "deepseek_moe" => DeepSeekMoe(deepseek::DeepSeekModel = default), FamilyInfo {
        rule: "decoder: a dense layer first, then many narrow experts beside shared ones",
        paper: "Dai et al. 2024",
        arxiv: "2401.06066",
        reference: "modeling_deepseek.py of deepseek-moe-16b",
        task: Task::Text,
        router: "deepseek_moe",
        attention: &["gqa", "mla"],
    };
    "deepseek_v2" => DeepSeekV2(deepseek::DeepSeekModel = default), FamilyInfo {
        rule: "deepseek_moe with latent attention and experts limited to groups",
        paper: "DeepSeek-AI 2024",
        arxiv: "2405.04434",
        reference: "transformers",
        task: Task::Text,
        router: "deepseek_v2",
        attention: &["mla", "gqa"],
    };
    "deepseek_v3" => DeepSeekV3(deepseek::DeepSeekModel = with_mtp), FamilyInfo {
        rule: "deepseek_v2 balanced by a bias, with multi-token prediction",
        paper: "DeepSeek-AI 2024",
        arxiv: "2412.19437",
        reference: "transformers; multi-token prediction from the paper's equations",
        task: Task::Text,
        router: "deepseek_v3",
        attention: &["mla", "gqa"],
    };
    "vmoe" => Vmoe(vision::VisionModel = vmoe), FamilyInfo {
        rule: "vision transformer: a class token, experts in every second block",
        paper: "Riquelme et al. 2021",
        arxiv: "2106.05974",
        reference: "google-research/vmoe",
        task: Task::Images,
        router: "vmoe",
        attention: &["mha"],
    };
    "soft_moe" => SoftMoe(vision::VisionModel = soft_moe), FamilyInfo {
        rule: "vision transformer: the mean of all patches, slots that mix them in the last blocks",
        paper: "Puigcerver et al. 2023",
        arxiv: "2308.00951",
        reference: "google-research/vmoe",
        task: Task::Images,
        router: "soft_moe",
        attention: &["mha"],
    };
    "switch" => Switch(switch::SwitchModel = default), FamilyInfo {
        rule: "encoder and decoder: relative positions, experts in every second block, fills gaps",
        paper: "Fedus et al. 2021",
        arxiv: "2101.03961",
        reference: "transformers",
        task: Task::Pairs,
        router: "switch",
        attention: &["t5"],
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AttentionConfig, RunConfig};
    use crate::resolve::ConfigFile;
    use moe_router::RouterConfig;

    #[test]
    fn every_family_has_a_router_an_attention_and_a_model() {
        for name in ModelConfig::NAMES {
            let family = ModelConfig::from_name(name).expect("a name of the list");
            assert_eq!(family.name(), *name);
            let info = family.info();
            assert!(RouterConfig::from_name(info.router).is_some(), "{name}");
            for kind in info.attention {
                assert!(
                    AttentionConfig::from_name(kind, &family).is_some(),
                    "{name}: {kind}"
                );
            }
            let file = ConfigFile::parse("a.toml", "").expect("an empty file");
            let resolved = RunConfig::resolve(file, &[format!("model.family={name}")]);
            let config = resolved.expect("defaults that fit together").config;
            assert_eq!(config.router.name(), info.router);
            assert!(config.account().params_total > 0, "{name}");
        }
    }
}
