//! The grid of an ablation: `-x key=a,b,c`, several of which make a Cartesian product.

use toml::Value;

use moe_train::resolve::{Override, ResolveError};

/// The most arms of an ablation.
const MOST_ARMS: usize = 1000;

/// Why a grid could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// No axis was given.
    #[error(
        "an ablation needs an `--axis`, such as `-x router.name=mixtral,switch`, or a claim's file"
    )]
    NoAxis,
    /// An axis is not of the form `key=a,b`.
    #[error("the axis `{text}` cannot be read: {reason}")]
    Syntax {
        /// The axis as it was given.
        text: String,
        /// The fault, and what to write instead.
        reason: String,
    },
    /// A value of an axis is not an override.
    #[error("the axis `{text}` cannot be read: {source}")]
    Value {
        /// The axis as it was given.
        text: String,
        /// The fault of the value.
        source: Box<ResolveError>,
    },
    /// A value appears twice on one axis.
    #[error("the axis `{text}` has the value `{value}` twice; remove one")]
    DuplicateValue {
        /// The axis as it was given.
        text: String,
        /// The later of the two.
        value: String,
    },
    /// More arms than anybody trains.
    #[error("the axes make {n_arms} arms; an ablation has at most {MOST_ARMS}")]
    ManyArms {
        /// The number of combinations.
        n_arms: usize,
    },
    /// Two axes have the same key.
    #[error("two axes have the key `{key}`; put all its values on one, `-x {key}=a,b,c`")]
    DuplicateKey {
        /// The dotted key.
        key: String,
    },
}

/// One axis: a key and its values, of which the first is the baseline's.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The dotted key.
    pub key: String,
    /// The values as they were written, at least two.
    pub values: Vec<String>,
}

impl Axis {
    /// Parses `key=a,b,c`. Commas inside brackets or quotes do not split.
    ///
    /// # Errors
    ///
    /// [`Syntax`](GridError::Syntax) without a `=`, with fewer than two values, or with an open
    /// bracket or quote; [`Value`](GridError::Value) for a value that is no override;
    /// [`DuplicateValue`](GridError::DuplicateValue) (`1e-3` and `0.001` are the same).
    pub fn parse(text: &str) -> Result<Self, GridError> {
        let fail = |reason: String| GridError::Syntax {
            text: text.into(),
            reason,
        };
        let (key, list) = text
            .split_once('=')
            .ok_or_else(|| fail("write it as `key=a,b`, such as `router.top_k=1,2`".into()))?;
        let (key, values) = (key.trim(), split_values(list).map_err(fail)?);
        if values.len() < 2 {
            return Err(fail(format!(
                "it has one value; give at least two, or write `{key}={}` as an override",
                list.trim()
            )));
        }
        check_values(text, key, &values)?;

        Ok(Self {
            key: key.into(),
            values,
        })
    }
}

/// One arm of an ablation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The overrides joined by spaces, such as `router.name=switch router.top_k=1`.
    pub label: String,
    /// The overrides that make this arm, one an axis.
    pub overrides: Vec<String>,
}

/// The axes of an ablation.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    axes: Vec<Axis>,
}

impl Grid {
    /// Parses the axes of a command line.
    ///
    /// # Errors
    ///
    /// [`NoAxis`](GridError::NoAxis), [`DuplicateKey`](GridError::DuplicateKey),
    /// [`ManyArms`](GridError::ManyArms), and those of [`Axis::parse`].
    pub fn parse(axes: &[impl AsRef<str>]) -> Result<Self, GridError> {
        let axes: Vec<Axis> = axes
            .iter()
            .map(|text| Axis::parse(text.as_ref()))
            .collect::<Result<_, _>>()?;
        if axes.is_empty() {
            return Err(GridError::NoAxis);
        }
        for (i, axis) in axes.iter().enumerate() {
            if axes[..i].iter().any(|other| other.key == axis.key) {
                return Err(GridError::DuplicateKey {
                    key: axis.key.clone(),
                });
            }
        }

        let sizes = axes.iter().map(|axis| axis.values.len());
        let n_arms = sizes.fold(1usize, usize::saturating_mul);
        if n_arms > MOST_ARMS {
            return Err(GridError::ManyArms { n_arms });
        }
        Ok(Self { axes })
    }

    /// The axes, in the order of the command line.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The Cartesian product of the axes; the last axis varies fastest, and the first arm, with
    /// the first value of each axis, is the baseline.
    pub fn arms(&self) -> Vec<Arm> {
        let mut combinations = vec![Vec::new()];
        for axis in &self.axes {
            combinations = combinations
                .iter()
                .flat_map(|overrides| {
                    axis.values.iter().map(move |value| {
                        [overrides.clone(), vec![format!("{}={value}", axis.key)]].concat()
                    })
                })
                .collect();
        }

        combinations
            .into_iter()
            .map(|overrides| Arm {
                label: overrides.join(" "),
                overrides,
            })
            .collect()
    }
}

fn check_values(text: &str, key: &str, values: &[String]) -> Result<(), GridError> {
    let mut seen: Vec<Value> = Vec::new();
    for value in values {
        let parsed =
            Override::parse(&format!("{key}={value}")).map_err(|source| GridError::Value {
                text: text.into(),
                source: Box::new(source),
            })?;
        if seen.iter().any(|other| same(other, parsed.value())) {
            return Err(GridError::DuplicateValue {
                text: text.into(),
                value: value.clone(),
            });
        }
        seen.push(parsed.value().clone());
    }
    Ok(())
}

/// Tells whether two values would make the same arm; an integer and the equal number do.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(whole), Value::Float(x)) | (Value::Float(x), Value::Integer(whole)) => {
            *whole as f64 == *x
        }
        _ => a == b,
    }
}

fn split_values(list: &str) -> Result<Vec<String>, String> {
    let mut values = vec![String::new()];
    let mut depth = 0usize;
    let mut quote = None;
    for c in list.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| format!("it closes a `{c}` that is not open"))?;
            }
            (None, ',') if depth == 0 => {
                values.push(String::new());
                continue;
            }
            (None, _) => {}
        }
        if let Some(last) = values.last_mut() {
            last.push(c);
        }
    }
    if depth > 0 || quote.is_some() {
        return Err("a bracket or a quote is not closed".into());
    }

    Ok(values.iter().map(|value| value.trim().into()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<String> {
        Axis::parse(text).unwrap().values
    }

    fn message(axes: &[&str]) -> String {
        Grid::parse(axes).unwrap_err().to_string()
    }

    #[test]
    fn one_axis() {
        let arms = Grid::parse(&["router.name=mixtral, switch"])
            .unwrap()
            .arms();

        let labels: Vec<_> = arms.iter().map(|arm| arm.label.as_str()).collect();
        assert_eq!(labels, ["router.name=mixtral", "router.name=switch"]);
        assert_eq!(arms[1].overrides, ["router.name=switch"]);
    }

    #[test]
    fn product_varies_the_last_axis_fastest() {
        let grid = Grid::parse(&["a=1,2", "b=x,y,z"]).unwrap();
        let labels: Vec<_> = grid.arms().into_iter().map(|arm| arm.label).collect();

        assert_eq!(
            labels,
            [
                "a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"
            ]
        );
        assert_eq!(grid.arms()[5].overrides, ["a=2", "b=z"]);
        assert_eq!(grid.axes().len(), 2);
    }

    #[test]
    fn brackets_and_quotes_do_not_split() {
        assert_eq!(
            values("train.betas=[0.9, 0.95],[0.9, 0.999]"),
            ["[0.9, 0.95]", "[0.9, 0.999]"]
        );
        assert_eq!(values("x=\"a,b\",'c,d'"), ["\"a,b\"", "'c,d'"]);
        assert_eq!(values("x={a=1, b=2},{a=2}"), ["{a=1, b=2}", "{a=2}"]);
        assert_eq!(values("x=\"a'b\",c"), ["\"a'b\"", "c"]);
    }

    #[test]
    fn duplicates_are_errors() {
        assert_eq!(
            message(&["router.top_k=1,2,1"]),
            "the axis `router.top_k=1,2,1` has the value `1` twice; remove one"
        );
        assert!(message(&["train.lr=1e-3,0.001"]).contains("`0.001` twice"));
        assert!(message(&["train.lr=1,1.0"]).contains("`1.0` twice"));
        assert_eq!(
            message(&["a=1,2", "a=3,4"]),
            "two axes have the key `a`; put all its values on one, `-x a=a,b,c`"
        );
    }

    #[test]
    fn a_number_and_its_text_are_two_values() {
        assert_eq!(values("x=1,\"1\"").len(), 2);
    }

    #[test]
    fn messages_say_what_to_write() {
        assert!(message(&[]).starts_with("an ablation needs an `--axis`"));
        assert_eq!(
            message(&["router.name"]),
            "the axis `router.name` cannot be read: write it as `key=a,b`, such as \
             `router.top_k=1,2`"
        );
        assert_eq!(
            message(&["a=1"]),
            "the axis `a=1` cannot be read: it has one value; give at least two, or write `a=1` \
             as an override"
        );
        assert_eq!(
            message(&["a=[1,2"]),
            "the axis `a=[1,2` cannot be read: a bracket or a quote is not closed"
        );
        assert_eq!(
            message(&["a=1],2"]),
            "the axis `a=1],2` cannot be read: it closes a `]` that is not open"
        );
        assert_eq!(
            message(&["a=1,,2"]),
            "the axis `a=1,,2` cannot be read: the override `a=` cannot be read: it has no value; \
             write `a=\"\"` for an empty string"
        );
        assert!(message(&["=1,2"]).contains("names joined by dots"));
    }

    proptest! {
        #[test]
        fn arms_are_the_product_of_the_axes(sizes in prop::collection::vec(2..5usize, 1..4)) {
            let axes: Vec<String> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| {
                    let values: Vec<String> = (0..*size).map(|v| v.to_string()).collect();
                    format!("k{i}={}", values.join(","))
                })
                .collect();
            let arms = Grid::parse(&axes).unwrap().arms();

            prop_assert_eq!(arms.len(), sizes.iter().product::<usize>());
            let mut labels: Vec<_> = arms.iter().map(|arm| &arm.label).collect();
            labels.sort();
            labels.dedup();
            prop_assert_eq!(labels.len(), arms.len());
            prop_assert!(arms[0].overrides.iter().all(|text| text.ends_with("=0")));
        }
    }
}
