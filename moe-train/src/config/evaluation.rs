//! Configurations with another router for evaluation.

use super::{ConfigError, RunConfig};
use crate::resolve::{ConfigFile, Override};
use toml::{Table, Value};

impl RunConfig {
    /// The configuration with other values of its router, for evaluation: another capacity than in
    /// training, say, or another order of priority. The parameters stay, so a trained model can be
    /// evaluated with it.
    ///
    /// # Errors
    ///
    /// Returns an error for a key outside of `[router]`, for a value that changes the router's parameters, and
    /// as [`load`](Self::load) for a key or value that is wrong.
    pub fn evaluated_with<S: AsRef<str>>(&self, overrides: &[S]) -> Result<Self, ConfigError> {
        for text in overrides {
            let given = Override::parse(text.as_ref())?;
            if given.key() != "router" && !given.key().starts_with("router.") {
                return Err(ConfigError::NotOfRouter {
                    text: given.text().to_owned(),
                });
            }
        }
        let mut table = Table::try_from(self).expect("a configuration is a table");
        // losses of training, some of which the other values could not feed
        let losses = table.get_mut("balance").and_then(Value::as_table_mut);
        for (_, weight) in losses.into_iter().flatten() {
            *weight = Value::Float(0.0);
        }
        let file = ConfigFile::parse("the configuration of the run", &table.to_string())?;
        let router = Self::resolve(file, overrides)?.config.router;
        let config = Self {
            router,
            ..self.clone()
        };
        let parameters = |config: &Self| (config.router.name(), config.account().params_total);
        if parameters(&config) == parameters(self) {
            Ok(config)
        } else {
            let texts: Vec<&str> = overrides.iter().map(AsRef::as_ref).collect();
            Err(ConfigError::OtherParameters {
                texts: texts.join(" "),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config() -> RunConfig {
        RunConfig::of_overrides(&["model.family=vmoe", "train.lr=5e-4"]).unwrap()
    }

    #[test]
    fn only_the_router_changes() {
        let overrides = [
            "router.capacity_factor=0.5",
            "router={priority='score', noise_std=0.0}",
        ];
        let config = config();
        let evaluated = config.evaluated_with(&overrides).unwrap();
        let router = Table::try_from(&evaluated.router).unwrap();
        assert_eq!(router["capacity_factor"].as_float(), Some(0.5));
        assert_eq!(router["priority"].as_str(), Some("score"));
        let router = config.router.clone();
        assert_eq!(
            RunConfig {
                router,
                ..evaluated
            },
            config
        );
    }

    #[test]
    fn a_name_for_the_same_router_changes_nothing() {
        let config = config();
        let same = config.evaluated_with(&["router.name=vmoe"]).unwrap();
        assert_eq!(same, config);
    }

    #[test]
    fn what_a_trained_model_cannot_take_is_refused() {
        for (text, words) in [
            ("train.lr=1", "`train.lr=1` cannot change a trained run"),
            ("routers.top_k=1", "`routers.top_k=1` cannot change"),
            ("router.name=switch", "other parameters"),
            (
                "router.capacity=1",
                "did you mean `router.capacity_factor`?",
            ),
            ("router.capacity_factor=-1", "router.capacity_factor = -1"),
            ("router.top_k=9", "top_k = 9"),
        ] {
            let error = config().evaluated_with(&[text]).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
