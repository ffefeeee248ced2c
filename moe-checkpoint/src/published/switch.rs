//! The published configuration of the Switch Transformer (Fedus et al. 2021, arXiv 2101.03961),
//! `model_type` "switch_transformers".

use super::config::{fields, read_text};
use super::error::{PublishedError, Refusal, check_positive, check_sizes};
use super::in_words_of;
use super::switch_fields::SwitchFields;
use moe_experts::{Activation, MoeLayerConfig};
use moe_models::switch::{Embeddings, PaddedTokens, SwitchConfig, SwitchStackConfig};
use moe_router::RouterConfig;
use moe_router::zoo::SwitchRouterConfig;
use serde::Serialize;
use std::path::Path;

/// A Switch model as published.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedSwitch {
    /// The number of vocabulary entries.
    pub vocab_size: usize,
    /// The width of the model.
    pub d_model: usize,
    /// The width of a head.
    pub d_kv: usize,
    /// The hidden width of dense layers and of experts.
    pub d_ff: usize,
    /// The number of tokens that an expert takes from a sequence.
    pub expert_capacity: usize,
    /// The number of layers of the encoder.
    pub num_layers: usize,
    /// The number of its sparse layers that was asked for.
    pub num_sparse_encoder_layers: usize,
    /// The number of layers of the decoder.
    pub num_decoder_layers: usize,
    /// The number of its sparse layers that was asked for.
    pub num_sparse_decoder_layers: usize,
    /// The number of heads.
    pub num_heads: usize,
    /// The number of experts of a sparse layer.
    pub num_experts: usize,
    /// True if routers have a bias.
    pub router_bias: bool,
    /// The width of the noise that multiplies the input of sparse layers in training.
    pub router_jitter_noise: f64,
    /// The number of buckets of relative distances.
    pub relative_attention_num_buckets: usize,
    /// Distances from here on share a bucket.
    pub relative_attention_max_distance: usize,
    /// The epsilon of the RMS norms.
    pub layer_norm_epsilon: f64,
    /// Weight of the router z-loss in training.
    pub router_z_loss_coef: f64,
    /// Weight of the balance loss in training.
    pub router_aux_loss_coef: f64,
    /// The activation of dense layers and experts.
    pub activation: Activation,
    /// The token that fills shorter texts.
    pub pad_token_id: u32,
    /// The tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// The token that the decoder begins with.
    pub decoder_start_token_id: u32,
    /// True if encoder, decoder and head have one table.
    pub tie_word_embeddings: bool,
    /// The fields of `config.json` that are not read, and not known to be without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl PublishedSwitch {
    /// The `model_type` of the family.
    pub const MODEL_TYPE: &'static str = "switch_transformers";

    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is of another kind of model, or has a value that
    /// cannot be or is not supported.
    pub fn read(path: &Path) -> Result<Self, PublishedError> {
        Self::parse(&read_text(path)?, path)
    }

    /// Reads a configuration from the text of `config.json`; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, PublishedError> {
        let fields: SwitchFields = fields(Self::MODEL_TYPE, text, path)?;
        let published = fields.resolve().map_err(|refusal| refusal.at(path))?;
        let (router, config) = (published.router(), published.model());
        match config.validate(&router, &router) {
            Ok(()) => Ok(published),
            Err(error) => Err(PublishedError::Model {
                path: path.to_owned(),
                what: in_words_of(Self::MODEL_TYPE, &error),
            }),
        }
    }

    /// The model that this describes.
    pub fn model(&self) -> SwitchConfig {
        SwitchConfig {
            vocab_size: self.vocab_size,
            encoder: SwitchStackConfig::of_sparse(self.num_layers, self.num_sparse_encoder_layers),
            decoder: SwitchStackConfig::of_sparse(
                self.num_decoder_layers,
                self.num_sparse_decoder_layers,
            ),
            n_heads: self.num_heads,
            head_dim: self.d_kv,
            n_buckets: self.relative_attention_num_buckets,
            max_distance: self.relative_attention_max_distance,
            d_dense: self.d_ff,
            moe: MoeLayerConfig::new(self.d_model, self.num_experts, self.d_ff)
                .with_activation(self.activation),
            norm_eps: self.layer_norm_epsilon,
            embeddings: if self.tie_word_embeddings {
                Embeddings::Tied
            } else {
                Embeddings::UntiedBesideUnused
            },
            padded_tokens: PaddedTokens::Routed,
            input_jitter: self.router_jitter_noise,
            allow_leak: false,
        }
    }

    /// The router of its sparse layers. The noise of the input is the model's.
    pub fn router(&self) -> RouterConfig {
        RouterConfig::Switch(SwitchRouterConfig {
            jitter: 0.0,
            expert_capacity: Some(self.expert_capacity),
            gate_bias: self.router_bias,
            ..Default::default()
        })
    }
}

impl PublishedSwitch {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("expert_capacity", self.expert_capacity),
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.num_decoder_layers),
            ("num_heads", self.num_heads),
            ("num_experts", self.num_experts),
            (
                "relative_attention_num_buckets",
                self.relative_attention_num_buckets,
            ),
            (
                "relative_attention_max_distance",
                self.relative_attention_max_distance,
            ),
        ])?;
        check_positive(&[("layer_norm_epsilon", self.layer_norm_epsilon)])?;
        let ends = self.eos_token_ids.iter().map(|id| ("eos_token_id", *id));
        let ids = [
            ("pad_token_id", self.pad_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ];
        for (key, id) in ids.into_iter().chain(ends) {
            if id as usize >= self.vocab_size {
                let rule = format!("the vocabulary has 0 to {}", self.vocab_size - 1);
                return Err(Refusal::new(key, id, rule));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(config: &Value) -> Result<PublishedSwitch, PublishedError> {
        PublishedSwitch::parse(config.to_string().as_bytes(), Path::new("x/config.json"))
    }

    #[test]
    fn what_is_left_out_is_the_published_default() {
        let switch =
            parse(&json!({"num_decoder_layers": null, "num_layers": 6})).expect("defaults");
        assert_eq!(
            (switch.d_model, switch.d_kv, switch.num_heads),
            (768, 64, 12)
        );
        assert_eq!(switch.num_decoder_layers, 6);
        assert_eq!(switch.model().encoder.sparse_layers(), [1, 3, 5]);
        assert_eq!(switch.decoder_start_token_id, 0);
        assert_eq!(switch.activation, Activation::Relu);
    }

    #[test]
    fn gated_and_other_activations() {
        let activation = |name: &str, gated: bool| {
            let config = json!({"dense_act_fn": name, "is_gated_act": gated});
            parse(&config).map(|switch| switch.activation)
        };
        assert_eq!(
            activation("gelu_new", false).expect("known"),
            Activation::Gelu
        );
        assert_eq!(activation("silu", true).expect("known"), Activation::SwiGlu);
        let error = activation("gelu_new", true)
            .expect_err("not known")
            .to_string();
        assert!(
            error.contains("x/config.json: dense_act_fn = gelu_new"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        for (key, value) in [
            ("d_kv", json!(0)),
            ("router_dtype", json!("bfloat16")),
            ("router_jitter_noise", json!(1.0)),
            ("layer_norm_epsilon", json!(0.0)),
            ("eos_token_id", json!(32128)),
            ("router_aux_loss_coef", json!(-1.0)),
            ("num_experts", json!(1u64 << 40)),
        ] {
            let mut config = json!({});
            config[key] = value;
            let error = parse(&config).expect_err(key).to_string();
            assert!(
                error.contains(&format!("x/config.json: {key} = ")),
                "{error}"
            );
        }
        let error = parse(&json!({"relative_attention_num_buckets": 2})).expect_err("few");
        assert!(error.to_string().contains("at least 4"), "{error}");
        let error = parse(&json!({"d_model": "wide"})).expect_err("text");
        assert!(
            error.to_string().contains("cannot be understood"),
            "{error}"
        );
    }
}
