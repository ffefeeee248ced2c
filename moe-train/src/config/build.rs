//! From a configuration to the things that it describes.

use super::{AttentionConfig, ConfigError, DeepSeekModel, MixtralModel, ModelConfig, RunConfig};
use crate::data::VocabKind;
use burn::tensor::Device;
use moe_experts::MoeLayerConfig;
use moe_models::deepseek::DeepSeekAttentionConfig;
use moe_models::{Account, AnyDecoder, DecoderConfig, DeepSeekConfig, MixtralConfig};

impl RunConfig {
    /// The number of vocabulary entries.
    pub fn vocab_size(&self) -> usize {
        match self.data.vocab {
            VocabKind::Bytes => 256,
            VocabKind::Bpe => self.data.vocab_size,
        }
    }

    /// The model's configuration.
    pub fn model(&self) -> DecoderConfig {
        match &self.model {
            ModelConfig::Mixtral(model) => DecoderConfig::Mixtral(self.mixtral(model)),
            ModelConfig::DeepSeekMoe(model)
            | ModelConfig::DeepSeekV2(model)
            | ModelConfig::DeepSeekV3(model) => DecoderConfig::DeepSeek(self.deepseek(model)),
        }
    }

    fn mixtral(&self, model: &MixtralModel) -> MixtralConfig {
        let AttentionConfig::Gqa(attention) = &self.attention else {
            panic!("a Mixtral has grouped-query attention: attention.kind = \"gqa\"");
        };
        MixtralConfig {
            vocab_size: self.vocab_size(),
            n_layers: model.n_layers,
            norm_eps: model.norm_eps,
            attention: attention.layer(model.d_model, self.train.seq_length),
            moe: self.experts(),
            tied_embeddings: model.tied_embeddings,
            allow_leak: model.allow_leak,
        }
    }

    fn deepseek(&self, model: &DeepSeekModel) -> DeepSeekConfig {
        let seq_length = self.train.seq_length;
        let attention = match &self.attention {
            AttentionConfig::Gqa(gqa) => {
                DeepSeekAttentionConfig::Gqa(gqa.layer(model.d_model, seq_length))
            }
            AttentionConfig::Mla(mla) => {
                DeepSeekAttentionConfig::Mla(mla.layer(model.d_model, seq_length))
            }
        };
        DeepSeekConfig {
            vocab_size: self.vocab_size(),
            n_layers: model.n_layers,
            n_dense_layers: model.n_dense_layers,
            moe_every: model.moe_every,
            d_dense: model.d_dense,
            norm_eps: model.norm_eps,
            attention,
            moe: self.experts(),
            n_mtp_layers: model.n_mtp_layers,
            tied_embeddings: model.tied_embeddings,
            allow_leak: model.allow_leak,
        }
    }

    fn experts(&self) -> MoeLayerConfig {
        let experts = &self.experts;
        MoeLayerConfig {
            d_model: self.model.d_model(),
            n_experts: experts.n_experts,
            d_expert: experts.d_expert,
            n_shared_experts: experts.n_shared_experts,
            activation: experts.activation,
            dispatch: experts.dispatch,
        }
    }

    /// Builds the model with the weights that the seed gives.
    pub fn init_model(&self, device: &Device) -> AnyDecoder {
        self.model().init(&self.router, self.seed, device)
    }

    /// The size and cost of the model.
    pub fn account(&self) -> Account {
        let train = &self.train;
        self.model()
            .account(&self.router, train.batch_size, train.seq_length)
    }

    /// The tokens of an optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.batch_size * self.train.seq_length * self.train.accumulate) as u64
    }

    /// Checks that all values fit together.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.model().validate(&self.router)?;
        let t = &self.train;
        let at_least_one = [
            ("train.steps", t.steps),
            ("train.batch_size", t.batch_size as u64),
            ("train.seq_length", t.seq_length as u64),
            ("train.accumulate", t.accumulate as u64),
            ("train.log_every", t.log_every),
            ("train.eval_every", t.eval_every),
            ("train.eval_windows", t.eval_windows as u64),
            ("train.checkpoint_every", t.checkpoint_every),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(range(key, 0.0, "at least 1"));
            }
        }
        if t.seq_length <= self.model.n_mtp_layers() {
            let length = t.seq_length as f64;
            return Err(range(
                "train.seq_length",
                length,
                "above model.n_mtp_layers",
            ));
        }
        let positive = [
            ("train.lr", t.lr),
            ("attention.rope_theta", self.attention.rope_theta()),
            ("model.norm_eps", self.model.norm_eps()),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(range(key, value, "a finite number above 0"));
            }
        }
        if t.steps.checked_mul(self.tokens_per_step()).is_none() {
            let steps = t.steps as f64;
            return Err(range(
                "train.steps",
                steps,
                "fewer: their tokens cannot be counted",
            ));
        }
        let not_negative = [
            ("train.final_lr", t.final_lr),
            ("train.weight_decay", t.weight_decay),
            ("train.clip_norm", t.clip_norm),
            ("model.mtp_weight", self.model.mtp_weight()),
        ];
        for (key, value) in not_negative {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(range(key, value, "a finite number of at least 0"));
            }
        }
        for (key, value) in [("train.beta_1", t.beta_1), ("train.beta_2", t.beta_2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(range(key, value, "at least 0 and below 1"));
            }
        }
        Ok(())
    }
}

fn range(key: &'static str, value: f64, range: &'static str) -> ConfigError {
    ConfigError::Range { key, value, range }
}
