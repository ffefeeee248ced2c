//! Configuration of multi-head latent attention, and the choice between its two forms.

use burn::config::Config;
use burn::module::Initializer;
use burn::nn::{Linear, LinearConfig, RmsNormConfig};
use burn::tensor::Device;

use super::MultiHeadLatentAttention;
use crate::error::AttentionError;
use crate::rope::{RotaryEmbeddingConfig, RotaryLayout};
use crate::yarn::YarnConfig;

/// The order in which latent attention multiplies its matrices. All give the same result.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum LatentForm {
    /// Makes keys and values of every head from all latents, cached ones included, at each call:
    /// the cheaper one for whole sequences.
    Materialised,
    /// Multiplies the key matrix into the queries and the value matrix into the output, and attends
    /// the latents themselves: the cheaper one for a few tokens after a long cache.
    Absorbed,
    /// Whichever costs fewer multiply-adds for the tokens and the cache of a call.
    Auto,
}

/// Configuration to create a [`MultiHeadLatentAttention`] with
/// [`init`](MultiHeadLatentAttentionConfig::init).
#[derive(Config, Debug)]
pub struct MultiHeadLatentAttentionConfig {
    /// The width of the model.
    pub d_model: usize,
    /// The number of heads.
    pub n_heads: usize,
    /// The width of the latent of keys and values.
    pub kv_lora_rank: usize,
    /// The width of the part of a query or key that has no position.
    pub qk_nope_head_dim: usize,
    /// The width of the part of a query or key that has one, even.
    pub qk_rope_head_dim: usize,
    /// The width of a value.
    pub v_head_dim: usize,
    /// The width of the latent of queries. Defaults to none: queries are one product.
    #[config(default = "None")]
    pub q_lora_rank: Option<usize>,
    /// The base of the rotary angles. Defaults to 10000.
    #[config(default = 10_000.0)]
    pub rope_theta: f64,
    /// Stretches positions for long texts. Defaults to none.
    #[config(default = "None")]
    pub yarn: Option<YarnConfig>,
    /// Pairs of coordinates that turn together. Defaults to neighbours, as published.
    #[config(default = "RotaryLayout::Neighbours")]
    pub rope_layout: RotaryLayout,
    /// Positions below this have their angles in a table; later ones work, but are computed at
    /// each call. Defaults to 2048.
    #[config(default = 2048)]
    pub max_seq_length: usize,
    /// Bias of the two products that make latents, and of the output. Defaults to false.
    #[config(default = false)]
    pub attention_bias: bool,
    /// The order of the products. Defaults to whichever is cheaper.
    #[config(default = "LatentForm::Auto")]
    pub form: LatentForm,
    /// The initializer of the weights. Defaults to Burn's for linear layers.
    #[config(
        default = "Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }"
    )]
    pub initializer: Initializer,
}

/// The epsilon of the norms of latents: fixed in the published code, whatever that of the model.
const LATENT_NORM_EPS: f64 = 1e-6;

impl MultiHeadLatentAttentionConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics with the message of [`validate`](Self::validate) where that returns an error.
    pub fn init(&self, device: &Device) -> MultiHeadLatentAttention {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        let (d_model, n_heads, rank) = (self.d_model, self.n_heads, self.kv_lora_rank);
        let (nope, rope, value) = (
            self.qk_nope_head_dim,
            self.qk_rope_head_dim,
            self.v_head_dim,
        );
        let norm = |width| {
            RmsNormConfig::new(width)
                .with_epsilon(LATENT_NORM_EPS)
                .init(device)
        };
        let (plain, biased) = (false, self.attention_bias);
        let linear = |input, output, bias| self.linear(input, output, bias, device);
        MultiHeadLatentAttention {
            q_a_proj: self.q_lora_rank.map(|rank| linear(d_model, rank, biased)),
            q_a_layernorm: self.q_lora_rank.map(norm),
            q_b_proj: linear(
                self.q_lora_rank.unwrap_or(d_model),
                n_heads * (nope + rope),
                plain,
            ),
            kv_a_proj_with_mqa: linear(d_model, rank + rope, biased),
            kv_a_layernorm: norm(rank),
            kv_b_proj: linear(rank, n_heads * (nope + value), plain),
            o_proj: linear(n_heads * value, d_model, biased),
            rope: self.rope().init(device),
            form: self.form,
            scale: self.scale(),
            n_heads,
            qk_nope_head_dim: nope,
            qk_rope_head_dim: rope,
            v_head_dim: value,
        }
    }

    fn linear(&self, input: usize, output: usize, bias: bool, device: &Device) -> Linear {
        LinearConfig::new(input, output)
            .with_bias(bias)
            .with_initializer(self.initializer.clone())
            .init(device)
    }

    fn rope(&self) -> RotaryEmbeddingConfig {
        RotaryEmbeddingConfig::new(self.qk_rope_head_dim)
            .with_theta(self.rope_theta)
            .with_max_seq_length(self.max_seq_length)
            .with_layout(self.rope_layout)
            .with_yarn(self.yarn)
    }

    /// The factor of the scores: `1 / sqrt(qk_nope_head_dim + qk_rope_head_dim)`, times YaRN's.
    pub fn scale(&self) -> f64 {
        let width = self.qk_nope_head_dim + self.qk_rope_head_dim;
        let yarn = self.yarn.map_or(1.0, |yarn| yarn.score_factor());
        yarn / (width as f64).sqrt()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// Names the size that is zero, or the odd width of the rotary part.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let sizes = [
            ("d_model", self.d_model),
            ("n_heads", self.n_heads),
            ("kv_lora_rank", self.kv_lora_rank),
            ("qk_nope_head_dim", self.qk_nope_head_dim),
            ("qk_rope_head_dim", self.qk_rope_head_dim),
            ("v_head_dim", self.v_head_dim),
        ];
        let rank = self.q_lora_rank.map(|rank| ("q_lora_rank", rank));
        if let Some((name, _)) = sizes.into_iter().chain(rank).find(|(_, size)| *size == 0) {
            return Err(AttentionError::Zero(name));
        }
        if !self.qk_rope_head_dim.is_multiple_of(2) {
            return Err(AttentionError::OddRopeDim(self.qk_rope_head_dim));
        }
        self.yarn.map_or(Ok(()), |yarn| yarn.validate())
    }

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        let rope = self.qk_rope_head_dim;
        let norms = self.kv_lora_rank + self.q_lora_rank.unwrap_or(0);
        let biases = if self.attention_bias {
            self.kv_lora_rank + rope + self.q_lora_rank.unwrap_or(0) + self.d_model
        } else {
            0
        };
        self.n_weights() + norms + biases
    }

    /// The elements of the matrices: what a token is multiplied with.
    fn n_weights(&self) -> usize {
        let heads = self.n_heads;
        let query_width = heads * (self.qk_nope_head_dim + self.qk_rope_head_dim);
        let query = match self.q_lora_rank {
            Some(rank) => rank * (self.d_model + query_width),
            None => self.d_model * query_width,
        };
        query
            + self.d_model * (self.kv_lora_rank + self.qk_rope_head_dim)
            + self.kv_lora_rank * heads * (self.qk_nope_head_dim + self.v_head_dim)
            + heads * self.v_head_dim * self.d_model
    }

    /// The mean FLOP of one token's forward pass in a sequence of `context` tokens that is passed
    /// whole.
    ///
    /// One multiply-add counts 2 FLOP. A token attends `(context + 1) / 2` tokens on average.
    /// Norms, softmax and rotation are not counted.
    pub fn flops_per_token(&self, context: usize) -> u64 {
        let pair = match self.form {
            LatentForm::Absorbed => self.absorbed_pair(),
            LatentForm::Materialised => self.materialised_pair(),
            LatentForm::Auto => self.materialised_pair().min(self.absorbed_pair()),
        };
        (2 * self.n_weights() + self.n_heads * pair * (context + 1)) as u64
    }

    /// The FLOP of the token that follows `context - 1` cached ones.
    pub fn flops_per_decoded_token(&self, context: usize) -> u64 {
        let work = LatentWork {
            rank: self.kv_lora_rank,
            up: self.qk_nope_head_dim + self.v_head_dim,
            materialised_pair: self.materialised_pair(),
            absorbed_pair: self.absorbed_pair(),
        };
        let heads = match self.form.resolved(&work, 1, context) {
            LatentForm::Absorbed => work.absorbed(1, context),
            _ => work.materialised(1, context),
        };
        let up = self.n_heads * work.rank * work.up;
        2 * (self.n_weights() - up + self.n_heads * heads) as u64
    }

    /// Multiply-adds of a query of one head with one key and its value.
    fn materialised_pair(&self) -> usize {
        self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim
    }

    fn absorbed_pair(&self) -> usize {
        2 * self.kv_lora_rank + self.qk_rope_head_dim
    }

    /// The numbers that one token adds to a [`KvCache`](crate::KvCache): its latent and the key that
    /// all heads share.
    pub fn kv_elements_per_token(&self) -> usize {
        self.kv_lora_rank + self.qk_rope_head_dim
    }

    /// The bytes that one token adds to a [`KvCache`](crate::KvCache) of elements of
    /// `element_bytes` bytes.
    pub fn kv_bytes_per_token(&self, element_bytes: usize) -> usize {
        self.kv_elements_per_token() * element_bytes
    }
}

/// Work that decides which form is cheaper, in multiply-adds of one head.
pub(super) struct LatentWork {
    /// The width of a latent.
    pub rank: usize,
    /// Width that a latent is expanded to: key without position, and value.
    pub up: usize,
    /// A query with a key and its value.
    pub materialised_pair: usize,
    /// A query with a latent, twice.
    pub absorbed_pair: usize,
}

impl LatentWork {
    fn materialised(&self, queries: usize, keys: usize) -> usize {
        keys * self.rank * self.up + queries * keys * self.materialised_pair
    }

    fn absorbed(&self, queries: usize, keys: usize) -> usize {
        queries * self.rank * self.up + queries * keys * self.absorbed_pair
    }
}

impl LatentForm {
    /// The form of a call of `queries` tokens over `keys`.
    pub(super) fn resolved(self, work: &LatentWork, queries: usize, keys: usize) -> Self {
        match self {
            Self::Auto if work.absorbed(queries, keys) < work.materialised(queries, keys) => {
                Self::Absorbed
            }
            Self::Auto => Self::Materialised,
            form => form,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;

    use super::*;
    use crate::testing::values;
    use crate::{AttentionInput, KvCache};

    fn config() -> MultiHeadLatentAttentionConfig {
        MultiHeadLatentAttentionConfig::new(20, 3, 10, 6, 4, 5)
    }

    #[test]
    fn parameters_equal_the_layer() {
        // q 20 x 30, kv_a 20 x 14, kv_b 10 x 33, o 15 x 20, norm 10.
        assert_eq!(config().n_params(), 600 + 280 + 330 + 300 + 10);
        let low_rank = config().with_q_lora_rank(Some(7)).with_attention_bias(true);
        for config in [config(), low_rank] {
            assert_eq!(config.init(&Device::flex()).num_params(), config.n_params());
        }
    }

    #[test]
    fn flops_by_hand() {
        // 1510 weights, 2 FLOP each; 3 tokens attend 2 on average. Materialised: 3 heads, 6 + 4 + 5
        // multiply-adds a pair. Absorbed: 10 + 10 + 4.
        let flops = |form: LatentForm| config().with_form(form).flops_per_token(3);
        assert_eq!(flops(LatentForm::Materialised), 2 * 1510 + 2 * 3 * 2 * 15);
        assert_eq!(flops(LatentForm::Absorbed), 2 * 1510 + 2 * 3 * 2 * 24);
        assert_eq!(flops(LatentForm::Auto), flops(LatentForm::Materialised));
    }

    #[test]
    fn flops_of_a_decoded_token_by_hand() {
        // 1180 weights without kv_b. With 8 keys, of each of 3 heads: materialised 8 x 10 x 11
        // to expand and 8 x 15; absorbed 10 x 11 and 8 x 24.
        let flops = |form: LatentForm| config().with_form(form).flops_per_decoded_token(8);
        assert_eq!(flops(LatentForm::Materialised), 2 * (1180 + 3 * 1000));
        assert_eq!(flops(LatentForm::Absorbed), 2 * (1180 + 3 * 302));
        assert_eq!(flops(LatentForm::Auto), flops(LatentForm::Absorbed));
        // The first token has one key: 110 + 15 against 110 + 24.
        let first = |form: LatentForm| config().with_form(form).flops_per_decoded_token(1);
        assert_eq!(first(LatentForm::Auto), first(LatentForm::Materialised));
    }

    #[test]
    fn the_cache_of_deepseek_v2_counts_its_latents() {
        // The published ranks and layers, with few heads: the cache does not depend on them.
        let (layers, tokens) = (60, 5);
        let config = MultiHeadLatentAttentionConfig::new(32, 2, 512, 128, 64, 128);
        let layer = config.init(&Device::flex());
        let mut cache = KvCache::new();
        for length in [3, 2] {
            let x = values([1, length, 32], 1, &Device::flex());
            layer.forward(AttentionInput::new(x).cache(&mut cache));
        }
        assert_eq!(cache.n_elements(), tokens * config.kv_elements_per_token());
        assert_eq!(cache.n_elements() * layers / tokens, (512 + 64) * 60);
        assert_eq!(cache.bytes(), tokens * config.kv_bytes_per_token(4));
    }

    #[test]
    fn the_scale_carries_the_factor_of_yarn() {
        assert_eq!(config().scale(), 1.0 / 10f64.sqrt());
        let yarn = YarnConfig::new(40.0, 4096).with_mscale_all_dim(0.707);
        let factor = 1.0 + 0.0707 * 40f64.ln();
        let scale = config().with_yarn(Some(yarn)).scale();
        assert!((scale - factor * factor / 10f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn validate_names_the_fault() {
        assert_eq!(config().validate(), Ok(()));
        let refused = |config: MultiHeadLatentAttentionConfig| config.validate().err();
        assert_eq!(
            refused(config().with_q_lora_rank(Some(0))),
            Some(AttentionError::Zero("q_lora_rank"))
        );
        assert_eq!(
            refused(MultiHeadLatentAttentionConfig::new(20, 3, 10, 6, 3, 5)),
            Some(AttentionError::OddRopeDim(3))
        );
        assert_eq!(
            refused(config().with_yarn(Some(YarnConfig::new(0.0, 16)))),
            Some(AttentionError::Yarn("factor"))
        );
    }

    #[test]
    #[should_panic(expected = "`n_heads` is 0: set it to at least 1")]
    fn init_refuses_what_validate_refuses() {
        MultiHeadLatentAttentionConfig::new(20, 0, 10, 6, 4, 5).init(&Device::flex());
    }
}
