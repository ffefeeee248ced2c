//! Fields that all published decoders have.

use super::defaults::rope_theta;
use super::ends::Ids;
use super::error::{Refusal, check_positive, check_sizes, needed};
use super::rope::{PublishedRope, RopeFields};
use super::unread::unknown;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields that all families have, as written.
#[derive(Deserialize, Debug)]
pub(super) struct CommonFields {
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    torch_dtype: Option<String>,
    dtype: Option<String>,
    eos_token_id: Option<Ids>,
    quantization_config: Option<Quantization>,
}

#[derive(Deserialize, Debug)]
struct Quantization {
    quant_method: Option<String>,
    fmt: Option<String>,
    weight_block_size: Option<Vec<usize>>,
    activation_scheme: Option<String>,
}

/// Fields that all published decoders have, by the published names.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Common {
    /// The number of vocabulary entries.
    pub vocab_size: usize,
    /// The width of the model.
    pub hidden_size: usize,
    /// The hidden width of a dense feed-forward layer; in Mixtral, of an expert.
    pub intermediate_size: usize,
    /// The number of layers.
    pub num_hidden_layers: usize,
    /// The number of query heads.
    pub num_attention_heads: usize,
    /// The number of key and value heads.
    pub num_key_value_heads: usize,
    /// The width of a head, where it is not `hidden_size / num_attention_heads`.
    pub head_dim: Option<usize>,
    /// The longest context.
    pub max_position_embeddings: usize,
    /// The epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// True if the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// The rotary positions.
    pub rope: PublishedRope,
    /// The type that the weights were trained in, if said.
    pub dtype: Option<String>,
    /// The ids that end a text.
    pub eos_token_ids: Vec<u32>,
    /// The fields of `config.json` that are not read, and not known to be without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Common {
    /// Refuses scaled rotary positions, for families that are read without them.
    pub(super) fn check_default_rope(&self) -> Result<(), Refusal> {
        let rule = "scaled rotary positions are read for DeepSeek-V2 and V3 alone";
        match self.rope.yarn {
            Some(yarn) => Err(Refusal::new("rope_scaling.factor", yarn.factor, rule)),
            None => Ok(()),
        }
    }

    /// The width of a head.
    pub fn resolved_head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// Refuses sizes that no model has.
    fn check(&self) -> Result<(), Refusal> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim.unwrap_or(1)),
            (
                "max_position_embeddings",
                self.max_position_embeddings.min(1 << 20),
            ),
        ])?;
        check_positive(&[("rms_norm_eps", self.rms_norm_eps)])
    }
}

impl CommonFields {
    /// The fields of a family, of which `left` were not read.
    pub(super) fn resolve(
        self,
        model_type: &str,
        rope: &RopeFields,
        left: &Map<String, Value>,
    ) -> Result<Common, Refusal> {
        self.check_support()?;
        let num_attention_heads = needed("num_attention_heads", self.num_attention_heads)?;
        let positions = needed("max_position_embeddings", self.max_position_embeddings)?;
        let mut unread = unknown(left, "");
        unread.extend(rope.unknown());
        let common = Common {
            vocab_size: needed("vocab_size", self.vocab_size)?,
            hidden_size: needed("hidden_size", self.hidden_size)?,
            intermediate_size: needed("intermediate_size", self.intermediate_size)?,
            num_hidden_layers: needed("num_hidden_layers", self.num_hidden_layers)?,
            num_attention_heads,
            num_key_value_heads: self.num_key_value_heads.unwrap_or(num_attention_heads),
            head_dim: self.head_dim,
            max_position_embeddings: positions,
            rms_norm_eps: needed("rms_norm_eps", self.rms_norm_eps)?,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(false),
            rope: rope.resolve(rope_theta(model_type), positions)?,
            dtype: self.dtype.or(self.torch_dtype),
            eos_token_ids: self.eos_token_id.map(Vec::from).unwrap_or_default(),
            unread,
        };
        common.check()?;
        Ok(common)
    }

    /// Refuses what no layer here computes.
    fn check_support(&self) -> Result<(), Refusal> {
        let biases = [
            ("attention_bias", self.attention_bias),
            ("mlp_bias", self.mlp_bias),
        ];
        for (key, bias) in biases {
            if bias == Some(true) {
                return Err(Refusal::new(
                    key,
                    true,
                    "layers with a bias are not supported",
                ));
            }
        }
        match self.hidden_act.as_deref() {
            None | Some("silu" | "swish") => {}
            Some(other) => {
                let rule = "the activation of published models is silu";
                return Err(Refusal::new("hidden_act", other, rule));
            }
        }
        self.quantization_config
            .as_ref()
            .map_or(Ok(()), Quantization::check)
    }
}

impl Quantization {
    fn check(&self) -> Result<(), Refusal> {
        let known = [
            (
                "quantization_config.quant_method",
                &self.quant_method,
                "fp8",
            ),
            ("quantization_config.fmt", &self.fmt, "e4m3"),
        ];
        for (key, value, known) in known {
            if let Some(other) = value.as_deref().filter(|value| *value != known) {
                let rule = "the quantisation known is fp8 in the format e4m3";
                return Err(Refusal::new(key, other, rule));
            }
        }
        match self.weight_block_size.as_deref() {
            None | Some([128, 128]) => {}
            Some(other) => {
                return Err(Refusal::new(
                    "quantization_config.weight_block_size",
                    format!("{other:?}"),
                    "blocks are 128 x 128",
                ));
            }
        }
        match self.activation_scheme.as_deref() {
            None | Some("dynamic") => Ok(()),
            Some(other) => Err(Refusal::new(
                "quantization_config.activation_scheme",
                other,
                "scales of activations are not read; the scheme known is dynamic",
            )),
        }
    }
}
