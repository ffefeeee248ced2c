//! The table `[data]`: its keys depend on what the model reads.

use super::{ImageConfig, ImageName, PairConfig, PairName, TextConfig, TextName};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The table `[data]` of a run file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DataConfig {
    /// Text, for decoders.
    Text(TextConfig),
    /// Images with labels, for encoders of images.
    Images(ImageConfig),
    /// Pairs of texts, for an encoder with a decoder.
    Pairs(PairConfig),
}

impl DataConfig {
    /// The set's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(text) => text.name.name(),
            Self::Images(images) => images.name.name(),
            Self::Pairs(pairs) => pairs.name.name(),
        }
    }

    /// Returns `true` if the data is part of the program, and so cannot change.
    pub fn is_embedded(&self) -> bool {
        match self {
            Self::Text(text) => text.name != TextName::Text,
            Self::Images(images) => images.name == ImageName::Digits,
            Self::Pairs(pairs) => pairs.is_embedded(),
        }
    }

    /// The path that the data is read from, empty of embedded data.
    pub fn path(&self) -> &str {
        match self {
            Self::Text(text) => &text.path,
            Self::Images(images) => &images.path,
            Self::Pairs(pairs) => &pairs.path,
        }
    }
}

impl<'de> Deserialize<'de> for DataConfig {
    /// The name decides which keys there are.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(input)?;
        let name = table.get("name").and_then(toml::Value::as_str);
        let is_of = |names: &[&str]| name.is_some_and(|name| names.contains(&name));
        let read = if is_of(ImageName::NAMES) {
            table.try_into().map(Self::Images)
        } else if is_of(PairName::NAMES) {
            table.try_into().map(Self::Pairs)
        } else {
            table.try_into().map(Self::Text)
        };
        read.map_err(|error: toml::de::Error| D::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<DataConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_name_decides_the_keys() {
        assert_eq!(read("").unwrap(), DataConfig::Text(TextConfig::default()));
        let digits = read("name = \"digits\"\nshift = 1").unwrap();
        assert_eq!(digits.name(), "digits");
        assert!(digits.is_embedded());
        let error = read("name = \"digits\"\nvocab = \"bytes\"").unwrap_err();
        assert!(error.contains("unknown field `vocab`"), "{error}");
        let error = read("name = \"digit\"").unwrap_err();
        assert!(error.contains("unknown variant `digit`"), "{error}");
    }

    #[test]
    fn text_is_written_as_it_always_was() {
        let text = toml::to_string(&DataConfig::Text(TextConfig::default())).unwrap();
        let expected =
            "name = \"nine_domains\"\npath = \"\"\nvocab = \"bytes\"\nvocab_size = 2048\n";
        assert_eq!(text, expected);
        assert_eq!(read(&text).unwrap().name(), "nine_domains");
    }
}
