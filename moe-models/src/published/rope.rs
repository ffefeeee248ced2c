//! Rotary positions of a published configuration: the fields `rope_theta` and `rope_scaling`, or the
//! one dictionary `rope_parameters` that replaced them.

use super::error::{Refusal, check_positive};
use serde::{Deserialize, Serialize};

/// The fields as written, flattened into each family's.
#[derive(Deserialize, Debug, Clone, Default, PartialEq)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_scaling: Option<ScalingFields>,
    rope_parameters: Option<ScalingFields>,
}

#[derive(Deserialize, Debug, Clone, Default, PartialEq)]
struct ScalingFields {
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    attention_factor: Option<f64>,
    truncate: Option<bool>,
}

/// Rotary positions.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedRope {
    /// The base of the angles. Default: 10000
    pub theta: f64,
    /// How frequencies are stretched for longer contexts, if they are.
    pub yarn: Option<PublishedYarn>,
}

/// The parameters of YaRN (Peng et al. 2023, arXiv 2309.00071).
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedYarn {
    /// How many times the context grows.
    pub factor: f64,
    /// The context before it grew.
    pub original_max_position_embeddings: usize,
    /// Rotations above which frequencies stay. Default: 32
    pub beta_fast: f64,
    /// Rotations below which frequencies are divided by the factor. Default: 1
    pub beta_slow: f64,
    /// The numerator of the scale of cosines and sines; none or 0 is not used.
    pub mscale: Option<f64>,
    /// Its denominator, squared also the scale of attention scores; none or 0 is not used.
    pub mscale_all_dim: Option<f64>,
}

impl RopeFields {
    /// The positions, `max_positions` being the context where the scaling does not tell.
    pub(super) fn resolve(&self, max_positions: usize) -> Result<PublishedRope, Refusal> {
        let theta = self.theta()?.unwrap_or(10_000.0);
        check_positive(&[("rope_theta", theta)])?;
        let yarn = |fields: &Option<ScalingFields>| match fields {
            Some(fields) => fields.yarn(max_positions),
            None => Ok(None),
        };
        let (old, new) = (yarn(&self.rope_scaling)?, yarn(&self.rope_parameters)?);
        let both = self.rope_scaling.is_some() && self.rope_parameters.is_some();
        if both && old != new {
            let kind = |yarn: Option<_>| yarn.map_or("default", |_| "yarn");
            let rule = format!(
                "rope_parameters says {} with other values; remove one of the two",
                kind(new)
            );
            return Err(Refusal::new("rope_scaling", kind(old), rule));
        }
        Ok(PublishedRope {
            theta,
            yarn: old.or(new),
        })
    }

    /// The base of the angles, which several fields may say alike.
    fn theta(&self) -> Result<Option<f64>, Refusal> {
        let inner = |fields: &Option<ScalingFields>| fields.as_ref()?.rope_theta;
        let said = [
            ("rope_theta", self.rope_theta),
            ("rope_scaling.rope_theta", inner(&self.rope_scaling)),
            ("rope_parameters.rope_theta", inner(&self.rope_parameters)),
        ];
        let mut said = said
            .iter()
            .filter_map(|(key, theta)| Some((key, (*theta)?)));
        let Some((first, theta)) = said.next() else {
            return Ok(None);
        };
        match said.find(|(_, other)| *other != theta) {
            Some((key, other)) => Err(Refusal::new(
                key,
                other,
                format!("{first} says {theta}; remove one of the two"),
            )),
            None => Ok(Some(theta)),
        }
    }
}

impl ScalingFields {
    fn yarn(&self, max_positions: usize) -> Result<Option<PublishedYarn>, Refusal> {
        let kind = match (self.rope_type.as_deref(), self.old_type.as_deref()) {
            (Some(new), Some(old)) if new != old => {
                let rule = format!("type says {old}; remove one of the two");
                return Err(Refusal::new("rope_type", new, rule));
            }
            (new, old) => new.or(old),
        };
        match kind.unwrap_or("default") {
            "default" => return Ok(None),
            "yarn" => {}
            other => {
                let rule = "the kinds of rotary positions known are default and yarn";
                return Err(Refusal::new("rope_type", other, rule));
            }
        }
        if let Some(factor) = self.attention_factor {
            let rule = "the scale of cosines and sines follows from factor, mscale and mscale_all_dim; another is not supported";
            return Err(Refusal::new("attention_factor", factor, rule));
        }
        if self.truncate == Some(false) {
            let rule = "the ends of YaRN's ramp are whole coordinates; others are not supported";
            return Err(Refusal::new("truncate", false, rule));
        }
        let yarn = PublishedYarn {
            factor: self.factor.unwrap_or(1.0),
            original_max_position_embeddings: self
                .original_max_position_embeddings
                .unwrap_or(max_positions),
            beta_fast: self.beta_fast.unwrap_or(32.0),
            beta_slow: self.beta_slow.unwrap_or(1.0),
            mscale: self.mscale,
            mscale_all_dim: self.mscale_all_dim,
        };
        check_positive(&[
            ("rope_scaling.factor", yarn.factor),
            ("rope_scaling.beta_fast", yarn.beta_fast),
            ("rope_scaling.beta_slow", yarn.beta_slow),
            (
                "rope_scaling.original_max_position_embeddings",
                yarn.original_max_position_embeddings as f64,
            ),
        ])?;
        Ok(Some(yarn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(fields: serde_json::Value) -> Result<PublishedRope, Refusal> {
        let fields: RopeFields = serde_json::from_value(fields).expect("the fields parse");
        fields.resolve(64)
    }

    #[test]
    fn old_and_new_fields_mean_the_same() {
        let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
            "mscale": 0.707, "mscale_all_dim": 0.5});
        let old = json!({"rope_theta": 5000.0, "rope_scaling": yarn});
        let new = json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 5000.0, "factor": 4.0,
            "original_max_position_embeddings": 16, "mscale": 0.707, "mscale_all_dim": 0.5}});
        let rope = resolve(old).expect("old fields");
        assert_eq!(Ok(rope), resolve(new));
        assert_eq!(rope.theta, 5000.0);
        let yarn = rope.yarn.expect("yarn");
        assert_eq!(
            (yarn.factor, yarn.beta_fast, yarn.beta_slow),
            (4.0, 32.0, 1.0)
        );
    }

    #[test]
    fn nothing_said_is_the_plain_kind() {
        let plain = PublishedRope {
            theta: 10_000.0,
            yarn: None,
        };
        assert_eq!(resolve(json!({})), Ok(plain));
        assert_eq!(resolve(json!({"rope_scaling": null})), Ok(plain));
        assert_eq!(
            resolve(json!({"rope_parameters": {"rope_type": "default"}})),
            Ok(plain)
        );
    }

    #[test]
    fn other_kinds_and_contradictions_are_refused() {
        let refusal = resolve(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
        assert_eq!(refusal.expect_err("linear").value, "linear");
        let both = json!({"rope_theta": 1.0, "rope_parameters": {"rope_theta": 2.0}});
        assert_eq!(
            resolve(both).expect_err("two bases").key,
            "rope_parameters.rope_theta"
        );
        let yarn = |mut more: serde_json::Value| {
            more["type"] = json!("yarn");
            more["factor"] = json!(4.0);
            more
        };
        let cases = [
            // a kind that the other dictionary does not have
            (
                json!({"rope_scaling": yarn(json!({})), "rope_parameters": {"rope_theta": 2.0}}),
                "rope_scaling",
            ),
            (
                json!({"rope_theta": 1.0, "rope_scaling": yarn(json!({"rope_theta": 2.0}))}),
                "rope_scaling.rope_theta",
            ),
            (
                json!({"rope_scaling": yarn(json!({"rope_type": "default"}))}),
                "rope_type",
            ),
            // keys that change the angles
            (
                json!({"rope_scaling": yarn(json!({"attention_factor": 1.5}))}),
                "attention_factor",
            ),
            (
                json!({"rope_scaling": yarn(json!({"truncate": false}))}),
                "truncate",
            ),
        ];
        for (fields, key) in cases {
            let text = fields.to_string();
            assert_eq!(resolve(fields).expect_err(&text).key, key, "{text}");
        }
        let harmless =
            yarn(json!({"rope_type": "yarn", "truncate": true, "attention_factor": null}));
        let twice = json!({"rope_scaling": harmless, "rope_parameters": harmless});
        assert!(resolve(twice).expect("both alike").yarn.is_some());
        let negative = json!({"rope_theta": -1.0});
        assert_eq!(resolve(negative).expect_err("negative").key, "rope_theta");
    }
}
