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
);

known!(
    /// The names of published Switch models whose configurations are built in.
    KNOWN_SWITCH_MODELS, switch_text:
    "switch-base-8",
    "switch-base-128",
);

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
