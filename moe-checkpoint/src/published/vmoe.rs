//! The published configuration of V-MoE and Soft-MoE (google-research/vmoe), `model`
//! "VisionTransformerMoe".

use super::config::{json, read_text};
use super::error::PublishedError;
use super::in_words_of;
use super::vmoe_fields::VmoeFields;
use super::vmoe_router::PublishedVmoeRouter;
use moe_experts::{Activation, MoeLayerConfig};
use moe_models::vmoe::{Grouping, PatchPositions, Pooling, VmoeConfig};
use moe_router::RouterConfig;
use serde::Serialize;
use std::path::Path;

/// A vision transformer with mixtures of experts as published. Rates of dropout are not kept: nothing is
/// dropped here.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedVmoe {
    /// Height and width of the images.
    pub image_size: [usize; 2],
    /// The number of channels of the images. Default: 3
    pub num_channels: usize,
    /// The number of classes.
    pub num_classes: usize,
    /// Height and width of a patch.
    pub patch_size: [usize; 2],
    /// The width of the model.
    pub hidden_size: usize,
    /// The number of blocks.
    pub num_layers: usize,
    /// The hidden width of dense feed-forwards.
    pub mlp_dim: usize,
    /// The number of attention heads.
    pub num_heads: usize,
    /// True if queries and keys are normalised.
    pub attention_qk_norm: bool,
    /// Positions of the tokens.
    pub positions: PatchPositions,
    /// Pooling of the tokens of an image into one vector.
    pub classifier: Pooling,
    /// The width of the layer before the head, if there is one.
    pub representation_size: Option<usize>,
    /// Initial value of the head's biases.
    pub head_bias_init: f64,
    /// The mixtures of experts, if there are any.
    pub moe: Option<PublishedVmoeExperts>,
    /// The fields of `config.json` that are not read, and not known to be without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// The mixtures of experts of a [`PublishedVmoe`].
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedVmoeExperts {
    /// The blocks that are mixtures, counted from 0.
    pub layers: Vec<usize>,
    /// The number of experts of each.
    pub num_experts: usize,
    /// The number of tokens that are routed together.
    pub group_size: usize,
    /// The hidden width of an expert.
    pub mlp_dim: usize,
    /// Router.
    pub router: PublishedVmoeRouter,
}

impl PublishedVmoe {
    /// Value of `model` (or `name`) in the configuration of the family.
    pub const MODEL: &'static str = "VisionTransformerMoe";

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
        let fields: VmoeFields = json(text, path)?;
        let published = fields.resolve().map_err(|refusal| refusal.at(path))?;
        match published.model().validate(&published.router()) {
            Ok(()) => Ok(published),
            Err(error) => Err(PublishedError::Model {
                path: path.to_owned(),
                what: in_words_of(Self::MODEL, &error),
            }),
        }
    }

    /// The model.
    pub fn model(&self) -> VmoeConfig {
        let experts = self.moe.as_ref();
        VmoeConfig {
            image_size: self.image_size,
            patch_size: self.patch_size,
            n_channels: self.num_channels,
            n_classes: self.num_classes,
            n_layers: self.num_layers,
            n_heads: self.num_heads,
            d_mlp: self.mlp_dim,
            positions: self.positions,
            pooling: self.classifier,
            d_pre_logits: self.representation_size,
            qk_norm: self.attention_qk_norm,
            head_bias: self.head_bias_init,
            moe_layers: experts.map_or_else(Vec::new, |moe| moe.layers.clone()),
            grouping: experts.map_or(Grouping::Images(1), |moe| Grouping::Tokens(moe.group_size)),
            moe: MoeLayerConfig::new(
                self.hidden_size,
                experts.map_or(1, |moe| moe.num_experts),
                experts.map_or(self.mlp_dim, |moe| moe.mlp_dim),
            )
            .with_activation(Activation::Gelu)
            .with_bias(true)
            .with_exchange(experts.map(|moe| moe.router.exchange()).unwrap_or_default()),
        }
    }

    /// The router of its mixtures; of a model without any, one that nobody asks.
    pub fn router(&self) -> RouterConfig {
        match &self.moe {
            Some(moe) => moe.router.router(),
            None => RouterConfig::Vmoe(moe_router::zoo::VmoeRouterConfig {
                top_k: 1,
                ..Default::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_experts::Exchange;
    use serde_json::{Value, json};

    fn small() -> Value {
        json!({"model": "VisionTransformerMoe", "image_size": 8, "num_classes": 5, "patch_size": [4, 2],
            "hidden_size": 8, "encoder": {"num_layers": 4, "mlp_dim": 12, "num_heads": 2,
                "moe": {"layers": [1, 3], "num_experts": 4, "group_size": 9,
                    "router": {"dispatcher": {"name": "einsum", "capacity_factor": 1.5,
                        "batch_priority": false}}}}})
    }

    fn parse(config: &Value) -> Result<PublishedVmoe, PublishedError> {
        PublishedVmoe::parse(config.to_string().as_bytes(), Path::new("x/config.json"))
    }

    #[test]
    fn absent_keys_have_the_defaults_of_the_code() {
        let published = parse(&small()).expect("a configuration");
        let model = published.model();
        assert_eq!(model.grid(), [2, 4]);
        assert_eq!(model.n_tokens(), 9);
        assert_eq!(published.num_channels, 3);
        assert_eq!(model.positions, PatchPositions::Learned);
        assert_eq!(model.pooling, Pooling::ClassToken);
        assert_eq!((model.d_pre_logits, model.qk_norm), (None, false));
        assert_eq!(model.head_bias, 0.0);
        assert_eq!(model.moe.exchange, Exchange::Exact);
        assert_eq!(model.moe.d_expert, 12);
        let RouterConfig::Vmoe(router) = published.router() else {
            panic!("V-MoE's router");
        };
        assert_eq!((router.top_k, router.capacity_multiple_of), (1, 4));
        assert_eq!(router.noise_std, 1.0);
        let mut config = small();
        config["encoder"]["position_emb"] = json!({"name": "sincos2d"});
        let temperature = 10_000.0;
        let positions = parse(&config).expect("a configuration").positions;
        assert_eq!(positions, PatchPositions::SinCos2d { temperature });
        config["encoder"]["position_emb"] = json!({});
        let positions = parse(&config).expect("a configuration").positions;
        assert_eq!(positions, PatchPositions::Learned);
    }

    #[test]
    fn a_model_without_mixtures_is_read() {
        let mut config = small();
        config["encoder"]["moe"]["layers"] = json!([]);
        assert_eq!(parse(&config).expect("a dense model").moe, None);
        config["encoder"]["moe"] = Value::Null;
        assert!(
            parse(&config)
                .expect("a dense model")
                .model()
                .moe_layers
                .is_empty()
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        let cases: [(&[&str], Value, &str); 9] = [
            (&["hidden_size"], json!(0), "hidden_size"),
            (&["num_classes"], Value::Null, "num_classes"),
            (&["classifier"], json!("cls"), "classifier"),
            (&["encoder", "dtype"], json!("bfloat16"), "encoder.dtype"),
            (
                &["encoder", "position_emb"],
                json!({"name": "rope"}),
                "position_emb",
            ),
            (&["encoder", "num_heads"], json!(3), "encoder.num_heads"),
            (
                &["encoder", "moe", "layers"],
                json!([4]),
                "encoder.moe.layers",
            ),
            (
                &["encoder", "moe", "router", "name"],
                json!("OtRouter"),
                "router.name",
            ),
            (
                &["encoder", "moe", "router", "dispatcher"],
                json!({"name": "einsum"}),
                "capacity_factor",
            ),
        ];
        for (path, value, key) in cases {
            let mut config = small();
            let mut at = &mut config;
            for name in path {
                at = &mut at[*name];
            }
            *at = value;
            let error = parse(&config).expect_err(key).to_string();
            assert!(
                error.contains(key) && error.contains("x/config.json"),
                "{error}"
            );
        }
    }
}
