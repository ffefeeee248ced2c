//! Published models whose configurations are built in, by their names.

use super::{PublishedConfig, PublishedSwitch};
use std::path::Path;

macro_rules! known {
    ($(#[$doc:meta])* $list:ident, $text:ident: $($name:literal),+ $(,)?) => {
        $(#[$doc])*
        pub const $list: &[&str] = &[$($name),+];

        fn $text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("known/", $name, ".json"))),)+
                _ => None,
            }
        }
    };
}

known!(
    /// The names of published decoders whose configurations are built in.
    KNOWN_MODELS, text:
    "mixtral-8x7b",
    "mixtral-8x22b",
    "deepseek-moe-16b",
    "deepseek-v2",
    "deepseek-v2-lite",
    "deepseek-v3",
    "olmoe-1b-7b",
    "qwen3-30b-a3b",
    "qwen3-235b-a22b",
    "smollm2-135m",
);

known!(
    /// The names of published Switch models whose configurations are built in.
    KNOWN_SWITCH_MODELS, switch_text:
    "switch-base-8",
    "switch-base-128",
);

/// Other names of the models, as their publishers and others spell them: compared without what comes
/// before a `/`, without case, and without all that is no letter or digit.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("mixtral-8x7b-v0.1", "mixtral-8x7b"),
    ("mixtral-8x7b-instruct-v0.1", "mixtral-8x7b"),
    ("mixtral-8x22b-v0.1", "mixtral-8x22b"),
    ("deepseek-moe-16b-base", "deepseek-moe-16b"),
    ("deepseek-moe-16b-chat", "deepseek-moe-16b"),
    ("deepseek-v2-chat", "deepseek-v2"),
    ("deepseek-v2-lite-chat", "deepseek-v2-lite"),
    ("deepseek-v3-base", "deepseek-v3"),
    ("deepseek-v3-0324", "deepseek-v3"),
    ("deepseek-r1", "deepseek-v3"),
    ("deepseek-r1-zero", "deepseek-v3"),
    ("deepseek-r1-0528", "deepseek-v3"),
    ("olmoe-1b-7b-0924", "olmoe-1b-7b"),
    ("olmoe-1b-7b-0125", "olmoe-1b-7b"),
    ("qwen3-30b-a3b-instruct-2507", "qwen3-30b-a3b"),
    ("qwen3-30b-a3b-thinking-2507", "qwen3-30b-a3b"),
    ("qwen3-235b-a22b-instruct-2507", "qwen3-235b-a22b"),
    ("qwen3-235b-a22b-thinking-2507", "qwen3-235b-a22b"),
    ("smollm2-135m-instruct", "smollm2-135m"),
];

/// The name in [`KNOWN_MODELS`] or [`KNOWN_SWITCH_MODELS`] of a model as others spell it, such as
/// `Mixtral8x7B` or `mistralai/Mixtral-8x7B-v0.1`.
pub fn known_name(given: &str) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        let name = name.rsplit('/').next().unwrap_or(name);
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(given);
    let known = KNOWN_MODELS.iter().chain(KNOWN_SWITCH_MODELS);
    let known = known.map(|name| (*name, *name));
    let mut all = known.chain(OTHER_NAMES.iter().copied());
    all.find_map(|(spelled, name)| (plain(spelled) == wanted).then_some(name))
}

impl PublishedSwitch {
    /// The configuration of a published model, if its name is among [`KNOWN_SWITCH_MODELS`].
    pub fn known(name: &str) -> Option<Self> {
        let text = switch_text(name)?;
        let config = Self::parse(text.as_bytes(), Path::new(name));
        Some(config.expect("a test reads every configuration that is built in"))
    }
}

impl PublishedConfig {
    /// The configuration of a published model, if its name is among [`KNOWN_MODELS`].
    pub fn known(name: &str) -> Option<Self> {
        let text = text(name)?;
        let config = Self::parse(text.as_bytes(), Path::new(name));
        Some(config.expect("a test reads every configuration that is built in"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_as_others_spell_them() {
        for (given, name) in [
            ("mixtral8x7b", "mixtral-8x7b"),
            ("mixtral-8x7B", "mixtral-8x7b"),
            ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"),
            ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
            ("DeepSeek_V2_Lite", "deepseek-v2-lite"),
            ("google/switch-base-8", "switch-base-8"),
        ] {
            assert_eq!(known_name(given), Some(name), "{given}");
        }
        for unknown in ["gpt2", "mixtral", "", "/", "mixtral-8x7b/x"] {
            assert_eq!(known_name(unknown), None, "{unknown}");
        }
        for (_, name) in OTHER_NAMES {
            assert!(KNOWN_MODELS.contains(name), "{name}");
        }
    }

    #[test]
    fn every_configuration_reads() {
        for name in KNOWN_MODELS {
            assert!(PublishedConfig::known(name).is_some(), "{name}");
        }
        assert!(PublishedConfig::known("mixtral").is_none());
        for name in KNOWN_SWITCH_MODELS {
            assert!(PublishedSwitch::known(name).is_some(), "{name}");
        }
    }
}
