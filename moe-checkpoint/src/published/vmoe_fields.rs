//! The fields of a published vision configuration as written; those left out have the defaults of the
//! published code (google-research/vmoe).

use super::error::{Refusal, check_sizes};
use super::unread::unknown;
use super::vmoe_router_fields::RouterFields;
use super::{PublishedVmoe, PublishedVmoeExperts};
use moe_models::vmoe::{PatchPositions, Pooling};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The fields as written.
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
    #[serde(flatten)]
    left: Map<String, Value>,
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
    #[serde(flatten)]
    left: Map<String, Value>,
}

#[derive(Deserialize, Debug)]
struct PositionFields {
    name: Option<String>,
    temperature: Option<f64>,
    #[serde(flatten)]
    left: Map<String, Value>,
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
    #[serde(flatten)]
    left: Map<String, Value>,
}

impl VmoeFields {
    /// The configuration, its values checked.
    pub(super) fn resolve(self) -> Result<PublishedVmoe, Refusal> {
        if let Some(dtype) = self.encoder.dtype.as_deref().filter(|d| *d != "float32") {
            let rule = "layers compute in float32 here";
            return Err(Refusal::new("encoder.dtype", dtype, rule));
        }
        let Some(num_classes) = self.num_classes.filter(|n| *n > 0) else {
            let rule = "a model without a head gives no scores; only classifiers are supported";
            return Err(Refusal::new("num_classes", "none", rule));
        };
        self.check_sizes(num_classes)?;
        let rounded = !self.f32_soft_dispatch.unwrap_or(false);
        let unread = self.unread();
        Ok(PublishedVmoe {
            image_size: self.image_size.sides(),
            num_channels: self.num_channels,
            num_classes,
            patch_size: self.patch_size.sides(),
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
            unread,
        })
    }

    fn check_sizes(&self, num_classes: usize) -> Result<(), Refusal> {
        let ([height, width], [ph, pw]) = (self.image_size.sides(), self.patch_size.sides());
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
        ])
    }

    /// The fields that are not read, by their paths.
    fn unread(&self) -> Vec<String> {
        let mut unread = unknown(&self.left, "");
        unread.extend(unknown(&self.encoder.left, "encoder."));
        if let Some(positions) = &self.encoder.position_emb {
            unread.extend(unknown(&positions.left, "encoder.position_emb."));
        }
        if let Some(moe) = &self.encoder.moe {
            unread.extend(unknown(&moe.left, "encoder.moe."));
            unread.extend(moe.router.unread());
        }
        unread
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
