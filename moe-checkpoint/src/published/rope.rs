//! Rotary positions of a published configuration: the fields `rope_theta` and `rope_scaling`, or the
//! one dictionary `rope_parameters` that replaced them.

use super::error::{Refusal, check_positive};
use super::unread::unknown;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written, flattened into each family's.
#[derive(Deserialize, Debug, Clone, Default, PartialEq)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_scaling: Option<ScalingFields>,
    rope_parameters: Option<ScalingFields>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
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
    partial_rotary_factor: Option<f64>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// Rotary positions.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedRope {
    /// The base of the angles. Default: 10000
    pub theta: f64,
    /// Stretching of the frequencies for longer contexts, if there is any.
    pub yarn: Option<PublishedYarn>,
}

/// The parameters of YaRN (Peng et al. 2023, arXiv 2309.00071).
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedYarn {
    /// Growth of the context.
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
    /// The positions, with the base that the family has and a context of `max_positions` where the fields
    /// do not tell.
    pub(super) fn resolve(
        &self,
        default_theta: f64,
        max_positions: usize,
    ) -> Result<PublishedRope, Refusal> {
        let theta = self.theta()?.unwrap_or(default_theta);
        check_positive(&[("rope_theta", theta)])?;
        check_whole("partial_rotary_factor", self.partial_rotary_factor)?;
        let yarn = |name: &str, fields: &Option<ScalingFields>| match fields {
            Some(fields) => fields
                .yarn(self.original_max_position_embeddings, max_positions)
                .map_err(|refusal| refusal.within(name)),
            None => Ok(None),
        };
        let old = yarn("rope_scaling", &self.rope_scaling)?;
        let new = yarn("rope_parameters", &self.rope_parameters)?;
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

    /// The keys of the dictionaries that are not read.
    pub(super) fn unknown(&self) -> Vec<String> {
        let dictionaries = [
            ("rope_scaling.", &self.rope_scaling),
            ("rope_parameters.", &self.rope_parameters),
        ];
        let given = dictionaries
            .iter()
            .filter_map(|(within, fields)| Some((within, fields.as_ref()?)));
        given
            .flat_map(|(within, fields)| unknown(&fields.left, within))
            .collect()
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
    /// The kind of positions.
    fn kind(&self) -> Result<&str, Refusal> {
        match (self.rope_type.as_deref(), self.old_type.as_deref()) {
            (Some(new), Some(old)) if new != old => {
                let rule = format!("type says {old}; remove one of the two");
                Err(Refusal::new("rope_type", new, rule))
            }
            (new, old) => Ok(new.or(old).unwrap_or("default")),
        }
    }

    /// Refuses what plain positions would pass over.
    fn check_plain(&self) -> Result<(), Refusal> {
        let scales = [
            ("factor", self.factor.filter(|f| *f != 1.0)),
            ("attention_factor", self.attention_factor),
            ("beta_fast", self.beta_fast),
            ("beta_slow", self.beta_slow),
            ("mscale", self.mscale),
            ("mscale_all_dim", self.mscale_all_dim),
        ];
        match scales.iter().find_map(|(key, x)| Some((key, (*x)?))) {
            Some((key, x)) => {
                let rule =
                    "positions of the default type are not scaled; set type to yarn, or remove it";
                Err(Refusal::new(key, x, rule))
            }
            None => Ok(()),
        }
    }

    /// Refuses what YaRN can be told and is not computed here.
    fn check_computed(&self) -> Result<(), Refusal> {
        if let Some(factor) = self.attention_factor {
            let rule = "the scale of cosines and sines follows from factor, mscale and mscale_all_dim; another is not supported";
            return Err(Refusal::new("attention_factor", factor, rule));
        }
        if self.truncate == Some(false) {
            let rule = "the ends of YaRN's ramp are whole coordinates; others are not supported";
            return Err(Refusal::new("truncate", false, rule));
        }
        Ok(())
    }

    /// The context before it grew, which the dictionary or the field beside it says.
    fn original(&self, beside: Option<usize>, max_positions: usize) -> Result<usize, Refusal> {
        const KEY: &str = "original_max_position_embeddings";
        let original = match (self.original_max_position_embeddings, beside) {
            (Some(inside), Some(beside)) if inside != beside => {
                let rule = format!(
                    "original_max_position_embeddings says {beside}; remove one of the two"
                );
                return Err(Refusal::new(KEY, inside, rule));
            }
            (inside, beside) => inside.or(beside).unwrap_or(max_positions),
        };
        check_positive(&[(KEY, original as f64)])?;
        Ok(original)
    }

    /// Tells whether the kind is YaRN; refuses all others but the default one.
    fn is_yarn(&self) -> Result<bool, Refusal> {
        match self.kind()? {
            "yarn" => self.check_computed().map(|()| true),
            "default" => self.check_plain().map(|()| false),
            other => {
                let rule = "the kinds of rotary positions known are default and yarn";
                let key = if self.rope_type.is_some() {
                    "rope_type"
                } else {
                    "type"
                };
                Err(Refusal::new(key, other, rule))
            }
        }
    }

    /// YaRN's parameters, if it is YaRN.
    fn yarn(
        &self,
        original: Option<usize>,
        max_positions: usize,
    ) -> Result<Option<PublishedYarn>, Refusal> {
        check_whole("partial_rotary_factor", self.partial_rotary_factor)?;
        if !self.is_yarn()? {
            return Ok(None);
        }
        let original = self.original(original, max_positions)?;
        let grown = max_positions as f64 / original as f64;
        let yarn = PublishedYarn {
            factor: self.factor.unwrap_or(grown),
            original_max_position_embeddings: original,
            beta_fast: self.beta_fast.unwrap_or(32.0),
            beta_slow: self.beta_slow.unwrap_or(1.0),
            mscale: self.mscale,
            mscale_all_dim: self.mscale_all_dim,
        };
        check_positive(&[
            ("factor", yarn.factor),
            ("beta_fast", yarn.beta_fast),
            ("beta_slow", yarn.beta_slow),
        ])?;
        Ok(Some(yarn))
    }
}

/// Refuses positions of a part of each head.
fn check_whole(key: &'static str, factor: Option<f64>) -> Result<(), Refusal> {
    match factor.filter(|factor| *factor != 1.0) {
        Some(factor) => Err(Refusal::new(key, factor, "whole heads are rotated here")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(fields: Value) -> Result<PublishedRope, Refusal> {
        let fields: RopeFields = serde_json::from_value(fields).expect("the fields parse");
        fields.resolve(10_000.0, 64)
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
    fn a_factor_that_is_not_said_is_how_much_longer_the_context_is() {
        for fields in [
            json!({"rope_scaling": {"type": "yarn", "factor": null,
                "original_max_position_embeddings": 16}}),
            json!({"original_max_position_embeddings": 16, "rope_scaling": {"type": "yarn"}}),
        ] {
            let yarn = resolve(fields).expect("yarn").yarn.expect("yarn");
            assert_eq!(
                (yarn.factor, yarn.original_max_position_embeddings),
                (4.0, 16)
            );
        }
    }

    #[test]
    fn keys_that_are_not_read_are_named() {
        let fields = json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "ramp": "soft",
            "low_freq_factor": null}});
        let fields: RopeFields = serde_json::from_value(fields).expect("the fields parse");
        assert_eq!(fields.unknown(), ["rope_scaling.ramp"]);
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

    /// YaRN's dictionary with more in it.
    fn yarn(mut more: Value) -> Value {
        more["type"] = json!("yarn");
        more["factor"] = json!(4.0);
        more
    }

    fn assert_refused(fields: Value, key: &str) {
        let text = fields.to_string();
        assert_eq!(resolve(fields).expect_err(&text).key, key, "{text}");
    }

    #[test]
    fn other_kinds_are_refused() {
        let refusal = resolve(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
        let refusal = refusal.expect_err("linear");
        assert_eq!(
            (&*refusal.key, refusal.value.as_str()),
            ("rope_scaling.type", "linear")
        );
        assert_refused(
            json!({"rope_parameters": {"rope_type": "linear"}}),
            "rope_parameters.rope_type",
        );
        assert_refused(json!({"rope_theta": -1.0}), "rope_theta");
    }

    #[test]
    fn keys_that_change_the_angles_and_are_not_computed_are_refused() {
        let cases = [
            (
                "attention_factor",
                json!(1.5),
                "rope_scaling.attention_factor",
            ),
            ("truncate", json!(false), "rope_scaling.truncate"),
            (
                "partial_rotary_factor",
                json!(0.5),
                "rope_scaling.partial_rotary_factor",
            ),
        ];
        for (key, value, refused) in cases {
            let mut more = json!({});
            more[key] = value;
            assert_refused(json!({"rope_scaling": yarn(more)}), refused);
        }
        let beside = json!({"partial_rotary_factor": 0.5});
        assert_refused(beside, "partial_rotary_factor");
        let harmless =
            yarn(json!({"rope_type": "yarn", "truncate": true, "attention_factor": null}));
        let harmless = json!({"rope_scaling": harmless, "rope_parameters": harmless});
        assert!(resolve(harmless).expect("both alike").yarn.is_some());
    }

    #[test]
    fn plain_positions_are_not_scaled() {
        let unsaid = json!({"rope_scaling": {"factor": 4.0}});
        assert_refused(unsaid, "rope_scaling.factor");
        let said = json!({"rope_parameters": {"rope_type": "default", "mscale": 1.0}});
        assert_refused(said, "rope_parameters.mscale");
    }

    #[test]
    fn contradictions_are_refused() {
        let bases = json!({"rope_theta": 1.0, "rope_parameters": {"rope_theta": 2.0}});
        assert_refused(bases, "rope_parameters.rope_theta");
        let bases = json!({"rope_theta": 1.0, "rope_scaling": yarn(json!({"rope_theta": 2.0}))});
        assert_refused(bases, "rope_scaling.rope_theta");
        let kinds =
            json!({"rope_scaling": yarn(json!({})), "rope_parameters": {"rope_theta": 2.0}});
        assert_refused(kinds, "rope_scaling");
        let names = json!({"rope_scaling": yarn(json!({"rope_type": "default"}))});
        assert_refused(names, "rope_scaling.rope_type");
        let contexts = json!({"original_max_position_embeddings": 32,
            "rope_scaling": yarn(json!({"original_max_position_embeddings": 16}))});
        assert_refused(contexts, "rope_scaling.original_max_position_embeddings");
    }
}
