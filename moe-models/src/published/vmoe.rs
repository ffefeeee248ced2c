//! The published configuration of V-MoE and Soft-MoE (google-research/vmoe), `model`
//! "VisionTransformerMoe".

use super::config::{json, read_text};
use super::error::{PublishedError, Refusal, check_sizes};
use super::vmoe_router::{PublishedVmoeRouter, RouterFields};
use crate::vmoe::{Grouping, PatchPositions, Pooling, VmoeConfig};
use moe_experts::{Activation, Dispatch, MoeLayerConfig};
use moe_router::RouterConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The fields as written; those left out have the defaults of the published code.
#[derive(Deserialize, Debug)]
pub(super) struct VmoeFields {
    image_size: Size,
    #[serde(default = "three")]
    num_channels: usize,
    num_classes: Option<usize>,
    patch_size: Size,
    hidden_size: usize,
    encoder: EncoderFields,
    classifier: Option<String>,
    representation_size: Option<usize>,
    head_bias_init: Option<f64>,
    /// Set in goldens of Soft-MoE without the rounding that the published router always has.
    f32_soft_dispatch: Option<bool>,
}

fn three() -> usize {
    3
}

/// A height and a width, or one number for both.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum Size {
    Square(usize),
    Sides([usize; 2]),
}

impl Size {
    fn sides(&self) -> [usize; 2] {
        match self {
            Self::Square(side) => [*side; 2],
            Self::Sides(sides) => *sides,
        }
    }
}

#[derive(Deserialize, Debug)]
struct EncoderFields {
    num_layers: usize,
    mlp_dim: usize,
    num_heads: usize,
    attention_qk_norm: Option<bool>,
    dtype: Option<String>,
    position_emb: Option<PositionFields>,
    moe: Option<MoeFields>,
}

#[derive(Deserialize, Debug)]
struct PositionFields {
    name: Option<String>,
    temperature: Option<f64>,
}

#[derive(Deserialize, Debug)]
struct MoeFields {
    #[serde(default)]
    layers: Vec<usize>,
    num_experts: usize,
    group_size: usize,
    mlp_dim: Option<usize>,
    #[serde(default)]
    router: RouterFields,
}

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
    /// Whether queries and keys are normalised.
    pub attention_qk_norm: bool,
    /// How tokens know where they are.
    pub positions: PatchPositions,
    /// How the tokens of an image become one vector.
    pub classifier: Pooling,
    /// The width of the layer before the head, if there is one.
    pub representation_size: Option<usize>,
    /// What the biases of the head start with.
    pub head_bias_init: f64,
    /// The mixtures of experts, if there are any.
    pub moe: Option<PublishedVmoeExperts>,
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
    /// Who goes where.
    pub router: PublishedVmoeRouter,
}

impl PublishedVmoe {
    /// What `model` (or `name`) is in the configuration of the family.
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
            Err(source) => Err(PublishedError::Model {
                path: path.to_owned(),
                source,
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
            d_model: self.hidden_size,
            d_mlp: self.mlp_dim,
            positions: self.positions,
            pooling: self.classifier,
            d_pre_logits: self.representation_size,
            qk_norm: self.attention_qk_norm,
            head_bias: self.head_bias_init,
            moe_layers: experts.map_or_else(Vec::new, |moe| moe.layers.clone()),
            grouping: experts.map_or(Grouping::Images(1), |moe| Grouping::Tokens(moe.group_size)),
            moe: MoeLayerConfig {
                d_model: self.hidden_size,
                n_experts: experts.map_or(1, |moe| moe.num_experts),
                d_expert: experts.map_or(self.mlp_dim, |moe| moe.mlp_dim),
                n_shared_experts: 0,
                activation: Activation::Gelu,
                bias: true,
                dispatch: Dispatch::Grouped,
                exchange: experts.map(|moe| moe.router.exchange()).unwrap_or_default(),
            },
        }
    }

    /// The router of its mixtures; of a model without any, one that nobody asks.
    pub fn router(&self) -> RouterConfig {
        match &self.moe {
            Some(moe) => moe.router.router(),
            None => RouterConfig::VMoe(moe_router::VMoeConfig {
                top_k: 1,
                ..Default::default()
            }),
        }
    }
}

impl VmoeFields {
    fn resolve(self) -> Result<PublishedVmoe, Refusal> {
        if let Some(dtype) = self.encoder.dtype.as_deref().filter(|d| *d != "float32") {
            let rule = "layers compute in float32 here";
            return Err(Refusal::new("encoder.dtype", dtype, rule));
        }
        let ([height, width], [ph, pw]) = (self.image_size.sides(), self.patch_size.sides());
        let Some(num_classes) = self.num_classes.filter(|n| *n > 0) else {
            let rule = "a model without a head gives no scores; only classifiers are supported";
            return Err(Refusal::new("num_classes", "none", rule));
        };
        check_sizes(&[
            ("image_size", height.min(width)),
            ("image_size", height.max(width)),
            ("patch_size", ph.min(pw)),
            ("patch_size", ph.max(pw)),
            ("num_channels", self.num_channels),
            ("num_classes", num_classes),
            ("hidden_size", self.hidden_size),
            ("representation_size", self.representation_size.unwrap_or(1)),
            ("encoder.num_layers", self.encoder.num_layers),
            ("encoder.mlp_dim", self.encoder.mlp_dim),
            ("encoder.num_heads", self.encoder.num_heads),
        ])?;
        let rounded = !self.f32_soft_dispatch.unwrap_or(false);
        Ok(PublishedVmoe {
            image_size: [height, width],
            num_channels: self.num_channels,
            num_classes,
            patch_size: [ph, pw],
            hidden_size: self.hidden_size,
            num_layers: self.encoder.num_layers,
            mlp_dim: self.encoder.mlp_dim,
            num_heads: self.encoder.num_heads,
            attention_qk_norm: self.encoder.attention_qk_norm.unwrap_or(false),
            positions: positions(self.encoder.position_emb.as_ref())?,
            classifier: pooling(self.classifier.as_deref())?,
            representation_size: self.representation_size,
            head_bias_init: self.head_bias_init.unwrap_or(0.0),
            moe: match self.encoder.moe {
                Some(moe) => moe.resolve(self.encoder.mlp_dim, rounded)?,
                None => None,
            },
        })
    }
}

impl MoeFields {
    fn resolve(
        self,
        mlp_dim: usize,
        rounded: bool,
    ) -> Result<Option<PublishedVmoeExperts>, Refusal> {
        if self.layers.is_empty() {
            return Ok(None);
        }
        let mlp_dim = self.mlp_dim.unwrap_or(mlp_dim);
        check_sizes(&[
            ("encoder.moe.num_experts", self.num_experts),
            ("encoder.moe.group_size", self.group_size),
            ("encoder.moe.mlp_dim", mlp_dim),
        ])?;
        let mut layers = self.layers;
        layers.sort_unstable();
        layers.dedup();
        Ok(Some(PublishedVmoeExperts {
            layers,
            num_experts: self.num_experts,
            group_size: self.group_size,
            mlp_dim,
            router: self
                .router
                .resolve(self.num_experts, self.group_size, rounded)?,
        }))
    }
}

fn positions(fields: Option<&PositionFields>) -> Result<PatchPositions, Refusal> {
    let name = fields.and_then(|fields| fields.name.as_deref());
    match (name, fields) {
        (None | Some("learned"), _) => Ok(PatchPositions::Learned),
        (Some("none"), _) => Ok(PatchPositions::None),
        (Some("sincos2d"), fields) => Ok(PatchPositions::SinCos2d {
            temperature: fields.and_then(|f| f.temperature).unwrap_or(10_000.0),
        }),
        (Some(other), _) => {
            let rule = "those known are learned, sincos2d and none";
            Err(Refusal::new("encoder.position_emb.name", other, rule))
        }
    }
}

fn pooling(classifier: Option<&str>) -> Result<Pooling, Refusal> {
    match classifier {
        None | Some("token") => Ok(Pooling::ClassToken),
        Some("0") => Ok(Pooling::First),
        Some("gap") => Ok(Pooling::Mean),
        Some("map") => Ok(Pooling::Attention),
        Some(other) => {
            let rule = "those known are token, 0, gap and map";
            Err(Refusal::new("classifier", other, rule))
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
                    "router": {"dispatcher": {"name": "einsum", "capacity_factor": 1.5}}}}})
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
        assert_eq!(model.positions, PatchPositions::Learned);
        assert_eq!(model.moe.exchange, Exchange::Exact);
        assert_eq!(model.moe.d_expert, 12);
        let RouterConfig::VMoe(router) = published.router() else {
            panic!("V-MoE's router");
        };
        assert_eq!((router.top_k, router.capacity_multiple_of), (1, 4));
        assert_eq!(router.noise_std, 1.0);
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
            (&["encoder", "num_heads"], json!(3), "attention.n_heads"),
            (
                &["encoder", "moe", "layers"],
                json!([4]),
                "model.moe_layers",
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
