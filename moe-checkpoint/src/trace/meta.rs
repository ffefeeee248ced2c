//! The words that a trace says about itself.

use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, GroupScore, Normalise, Score};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::str::FromStr;

/// The name of the format, and its version.
const FORMAT: &str = "moe-trace";
const VERSION: &str = "1";

/// Metadata of a trace: all that it holds besides its tensors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceMeta {
    /// The number of experts of each layer.
    pub n_experts: usize,
    /// The width of the model, if it is known.
    pub d_model: Option<usize>,
    /// The model, in words.
    pub model: Option<String>,
    /// The engine that computed it: program, device, precision.
    pub engine: Option<String>,
    /// The names of the labels, by number.
    pub labels: Vec<String>,
    /// The rule by which tokens chose and weighed, if it is known.
    pub rule: Option<TokenChoice>,
}

impl TraceMeta {
    /// The metadata of the file, the name of the format first.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut set = |key: &str, value: String| map.insert(key.to_owned(), value.into());
        set("format", FORMAT.to_owned());
        set("version", VERSION.to_owned());
        set("n_experts", self.n_experts.to_string());
        if let Some(d_model) = self.d_model {
            set("d_model", d_model.to_string());
        }
        if let Some(model) = &self.model {
            set("model", model.clone());
        }
        if let Some(engine) = &self.engine {
            set("engine", engine.clone());
        }
        if !self.labels.is_empty() {
            set("label_names", Value::from(self.labels.clone()).to_string());
        }
        let Some(rule) = &self.rule else {
            return map;
        };
        set("top_k", rule.top_k.to_string());
        set("scoring", word(&rule.score));
        set("normalise", word(&rule.normalise));
        set("scale", rule.scale.to_string());
        if let Some(groups) = &rule.groups {
            set("n_groups", groups.n_groups.to_string());
            set("topk_groups", groups.topk_groups.to_string());
            set("group_score", word(&groups.score));
        }
        if let Some(capacity) = rule.capacity {
            set("capacity", capacity.to_string());
            set("priority", word(&rule.priority));
            set("fill_order", word(&rule.order));
        }
        map
    }

    /// Reads the metadata of a file. The number of experts may be left out where logits tell it.
    ///
    /// # Errors
    ///
    /// Returns the key that is missing or wrong.
    pub(super) fn of(words: &HashMap<String, String>) -> Result<Self, String> {
        let words = Words(words);
        match (words.get("format"), words.get("version")) {
            (Some(FORMAT), Some(VERSION)) => (),
            (Some(FORMAT), version) => {
                let version = version.unwrap_or("none");
                return Err(format!(
                    "its `version` is {version}, and this program reads version {VERSION}"
                ));
            }
            _ => return Err(format!("its metadata has no `format` = \"{FORMAT}\"")),
        }
        let labels: Option<Vec<String>> = match words.get("label_names") {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| format!("`label_names` is no list of names: {error}"))?,
            None => None,
        };
        Ok(Self {
            n_experts: words.number("n_experts")?.unwrap_or(0),
            d_model: words.number("d_model")?,
            model: words.get("model").map(str::to_owned),
            engine: words.get("engine").map(str::to_owned),
            labels: labels.unwrap_or_default(),
            rule: rule(&words)?,
        })
    }

    /// Checks the rule against the number of experts.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(rule) = &self.rule else {
            return Ok(());
        };
        if rule.top_k == 0 || rule.top_k > self.n_experts {
            return Err(format!(
                "`top_k` is {}, of {} experts",
                rule.top_k, self.n_experts
            ));
        }
        if !(rule.scale > 0.0 && rule.scale.is_finite()) {
            return Err(format!(
                "`scale` is {}, which is no positive number",
                rule.scale
            ));
        }
        match &rule.groups {
            Some(groups) => groups
                .validate(rule.top_k, self.n_experts)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

/// The metadata of a file.
struct Words<'a>(&'a HashMap<String, String>);

impl<'a> Words<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(String::as_str)
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| format!("`{key}` is \"{text}\", which is no such number"))
        };
        self.get(key).map(read).transpose()
    }

    /// One of a few words, in the spelling of the configuration.
    fn choice<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        let read = |text: &str| {
            serde_json::from_value(Value::from(text))
                .map_err(|error| format!("`{key}` is \"{text}\": {error}"))
        };
        self.get(key).map(read).transpose()
    }
}

/// The rule, if the scoring is said.
fn rule(words: &Words<'_>) -> Result<Option<TokenChoice>, String> {
    let Some(score) = words.choice::<Score>("scoring")? else {
        return Ok(None);
    };
    let Some(top_k) = words.number("top_k")? else {
        return Err("`scoring` is said and `top_k` is not".to_owned());
    };
    let groups = match words.number("n_groups")? {
        Some(n_groups) => Some(ExpertGroups {
            n_groups,
            topk_groups: words.number("topk_groups")?.unwrap_or(n_groups),
            score: words
                .choice::<GroupScore>("group_score")?
                .unwrap_or_default(),
        }),
        None => None,
    };
    Ok(Some(TokenChoice {
        normalise: words
            .choice::<Normalise>("normalise")?
            .unwrap_or(Normalise::None),
        scale: words.number("scale")?.unwrap_or(1.0),
        groups: groups.filter(|groups| groups.n_groups > 1),
        capacity: words.number("capacity")?,
        priority: words.choice("priority")?.unwrap_or_default(),
        order: words.choice("fill_order")?.unwrap_or_default(),
        ..TokenChoice::new(top_k, score)
    }))
}

/// The word of a choice, in the spelling of the configuration.
fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_router::parts::{FillOrder, Priority};

    fn words(meta: &TraceMeta) -> HashMap<String, String> {
        let pairs = meta.to_json().into_iter();
        let text = |value: Value| value.as_str().expect("text").to_owned();
        pairs.map(|(key, value)| (key, text(value))).collect()
    }

    fn meta() -> TraceMeta {
        TraceMeta {
            n_experts: 8,
            d_model: Some(16),
            model: Some("a model".to_owned()),
            engine: Some("an engine".to_owned()),
            labels: vec!["law".to_owned(), "a \"b\"".to_owned()],
            rule: Some(TokenChoice {
                normalise: Normalise::Sum,
                scale: 2.5,
                groups: Some(ExpertGroups {
                    n_groups: 4,
                    topk_groups: 2,
                    score: GroupScore::TopTwoSum,
                }),
                capacity: Some(7),
                priority: Priority::Score,
                order: FillOrder::ChoiceByChoice,
                ..TokenChoice::new(3, Score::Sigmoid)
            }),
        }
    }

    #[test]
    fn all_words_are_read_again() {
        let meta = meta();
        assert_eq!(TraceMeta::of(&words(&meta)), Ok(meta.clone()));
        assert_eq!(words(&meta)["scoring"], "sigmoid");
        assert_eq!(words(&meta)["fill_order"], "choice_by_choice");
        let plain = TraceMeta {
            n_experts: 2,
            ..TraceMeta::default()
        };
        assert_eq!(TraceMeta::of(&words(&plain)), Ok(plain));
    }

    #[test]
    fn a_wrong_word_is_named() {
        let error = |key: &str, value: &str| {
            let mut words = words(&meta());
            words.insert(key.to_owned(), value.to_owned());
            let read = TraceMeta::of(&words).and_then(|meta| meta.check());
            read.expect_err("a wrong word")
        };
        assert!(error("version", "2").contains("reads version 1"));
        assert!(error("format", "pt").contains("no `format`"));
        assert!(error("scoring", "tanh").contains("`scoring` is \"tanh\""));
        assert!(error("top_k", "-1").contains("`top_k` is \"-1\""));
        assert!(error("top_k", "9").contains("of 8 experts"));
        assert!(error("scale", "nan").contains("no positive number"));
        assert!(error("n_groups", "3").contains("does not divide"));
        assert!(error("label_names", "{").contains("no list of names"));
    }
}
