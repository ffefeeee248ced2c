//! Size and cost of a published model, from its configuration alone.

use super::PublishedConfig;
use serde::Serialize;

/// The size and cost of a published model.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedAccount {
    /// All parameters of the model, the routers' untrained biases included, modules that predict
    /// further tokens not.
    pub params_total: usize,
    /// The parameters of the modules that predict further tokens.
    pub params_mtp: usize,
    /// The parameters that a token passes through, embedding table and output head included.
    pub params_active: usize,
    /// Of these, the decoder layers and the output head: without the embedding table, of which a token
    /// reads one row, and the final norm.
    pub params_active_head_only: usize,
    /// Of these, the decoder layers alone.
    pub params_active_no_embedding: usize,
    /// FLOP of a token, forward, at the mean causal context of the sequence length.
    pub flops_per_token: u64,
    /// Numbers that a token adds to the cache, of all layers.
    pub kv_elements_per_token: usize,
    /// Numbers that it would add if every query head had its own key and value.
    pub kv_elements_per_token_materialised: usize,
    /// Form in which keys and values are cached.
    pub attention: AttentionKind,
}

/// Form in which keys and values are cached.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// A key and a value for each query head.
    MultiHead,
    /// A key and a value for each group of query heads.
    Grouped,
    /// One latent for all heads.
    Latent,
}

impl AttentionKind {
    /// The name as printed in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiHead => "multi-head (MHA)",
            Self::Grouped => "grouped queries (GQA)",
            Self::Latent => "latent (MLA)",
        }
    }
}

impl PublishedConfig {
    /// The size and cost of the model for sequences of `seq_length` tokens, which
    /// [`check`](Self::check) says can be counted.
    ///
    /// # Panics
    ///
    /// May panic, or give numbers that mean nothing, where `check` returns an error.
    pub fn account(&self, seq_length: usize) -> PublishedAccount {
        let model = self.model();
        let counted = model.decoder.account(&model.router, 1, seq_length);
        let final_norm = self.common().hidden_size;
        PublishedAccount {
            params_total: counted.params_total - counted.params_mtp,
            params_mtp: counted.params_mtp,
            params_active: counted.params_active,
            params_active_head_only: counted.params_active_head_only - final_norm,
            params_active_no_embedding: counted.params_active_no_embedding - final_norm,
            flops_per_token: counted.flops_per_token,
            kv_elements_per_token: counted.kv_bytes_per_token / size_of::<f32>(),
            kv_elements_per_token_materialised: self.materialised(),
            attention: self.attention_kind(),
        }
    }

    fn materialised(&self) -> usize {
        let common = self.common();
        let widths = match self {
            Self::DeepSeek(published) => published
                .latent
                .map(|l| l.qk_nope_head_dim + l.qk_rope_head_dim + l.v_head_dim),
            _ => None,
        };
        let widths = widths.unwrap_or(2 * common.resolved_head_dim());
        common.num_hidden_layers * common.num_attention_heads * widths
    }

    pub(super) fn attention_kind(&self) -> AttentionKind {
        let common = self.common();
        match self {
            Self::DeepSeek(published) if published.latent.is_some() => AttentionKind::Latent,
            _ if common.num_key_value_heads == common.num_attention_heads => {
                AttentionKind::MultiHead
            }
            _ => AttentionKind::Grouped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> PublishedAccount {
        PublishedConfig::known(name)
            .expect("a known name")
            .account(4096)
    }

    #[test]
    fn parameters_to_the_unit() {
        let cases = [
            ("mixtral-8x7b", 46_702_792_704, 12_879_925_248),
            ("deepseek-v2", 235_741_434_880, 21_375_800_320),
            ("deepseek-v2-lite", 15_706_484_224, 2_661_150_208),
            ("deepseek-v3", 671_026_419_200, 37_552_297_472),
            ("olmoe-1b-7b", 6_919_161_856, 1_282_017_280),
            ("qwen3-30b-a3b", 30_532_122_624, 3_353_032_704),
            ("qwen3-235b-a22b", 235_093_634_560, 22_190_763_520),
            ("smollm2-135m", 134_515_008, 134_515_008),
        ];
        for (name, total, active) in cases {
            let account = account(name);
            assert_eq!(
                (account.params_total, account.params_active),
                (total, active),
                "{name}"
            );
        }
    }

    #[test]
    fn active_parameters_by_what_counts_as_one() {
        let lite = account("deepseek-v2-lite");
        assert_eq!(lite.params_active_head_only, 2_451_432_960);
        let v3 = account("deepseek-v3");
        assert_eq!(v3.params_active_head_only, 36_625_611_264);
        // the head is 129,280 x 7,168 = 926,679,040
        assert_eq!(v3.params_active_no_embedding, 35_698_932_224);
    }

    #[test]
    fn the_cache_of_deepseek_v2() {
        let v2 = account("deepseek-v2");
        assert_eq!(v2.kv_elements_per_token, (512 + 64) * 60);
        assert_eq!(
            v2.kv_elements_per_token_materialised,
            (192 + 128) * 128 * 60
        );
        assert_eq!(v2.attention, AttentionKind::Latent);
        let mixtral = account("mixtral-8x7b");
        assert_eq!(mixtral.kv_elements_per_token, 2 * 8 * 128 * 32);
        assert_eq!(mixtral.attention, AttentionKind::Grouped);
        assert_eq!(account("olmoe-1b-7b").attention, AttentionKind::MultiHead);
    }
}
