//! Overrides: `key=value` of the command line.

use std::fmt;

use toml::{Table, Value};

use super::ResolveError;

/// The most names of a dotted key; tables nest that deep.
const MOST_PARTS: usize = 16;

/// One `key=value` of the command line, such as `router.top_k=2` or `router.name=switch`.
///
/// The value is TOML where it parses as TOML (`2`, `3e-4`, `true`, `"a b"`, `[1, 2]`); everything
/// else that does not begin with a quote or a bracket is a string, so that names and paths need
/// no quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    text: String,
    key: String,
    value: Value,
}

impl Override {
    /// Parses `key=value`; spaces around key and value are ignored.
    ///
    /// # Errors
    ///
    /// [`OverrideSyntax`](ResolveError::OverrideSyntax) without a `=`, with an empty key or an
    /// empty value, or where a quoted or bracketed value is not TOML.
    pub fn parse(text: &str) -> Result<Self, ResolveError> {
        let fail = |reason: String| ResolveError::OverrideSyntax {
            text: text.into(),
            reason,
        };
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| fail("write it as `key=value`, such as `train.lr=3e-4`".into()))?;
        let (key, value) = (key.trim(), value.trim());
        if key
            .split('.')
            .any(|part| part.trim() != part || part.is_empty())
        {
            return Err(fail(
                "its key must be names joined by dots, such as `router.top_k`".into(),
            ));
        }
        if key.split('.').count() > MOST_PARTS {
            return Err(ResolveError::OverrideSyntax {
                text: text.chars().take(40).chain("...".chars()).collect(),
                reason: format!("its key has more than {MOST_PARTS} parts"),
            });
        }
        if value.is_empty() {
            return Err(fail(format!(
                "it has no value; write `{key}=\"\"` for an empty string"
            )));
        }

        Ok(Self {
            text: text.into(),
            key: key.into(),
            value: parse_value(value).map_err(fail)?,
        })
    }

    /// An override of a dotted key by a string.
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self {
            text: format!("{key}={value}"),
            key: key.into(),
            value: Value::String(value.into()),
        }
    }

    /// The override as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The dotted key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, before its type is checked against the default.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The override as nested tables: `a.b=1` is `{ a = { b = 1 } }`.
    pub(super) fn table(&self) -> Table {
        let mut names = self.key.rsplit('.');
        let leaf = names.next().unwrap_or_default();
        let innermost = Table::from_iter([(leaf.to_string(), self.value.clone())]);

        names.fold(innermost, |table, name| {
            Table::from_iter([(name.to_string(), Value::Table(table))])
        })
    }

    /// Name of this override in messages.
    pub(super) fn place(&self) -> String {
        format!("override `{}`", self.text)
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_value(text: &str) -> Result<Value, String> {
    match text.parse::<Value>() {
        Ok(value) => Ok(value),
        Err(error) if text.starts_with(['"', '\'', '[', '{']) => Err(format!(
            "its value is not valid TOML: {}",
            error.message().replace('\n', ", ")
        )),
        Err(_) => Ok(Value::String(text.into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str) -> Value {
        Override::parse(text).unwrap().value().clone()
    }

    fn message(text: &str) -> String {
        Override::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn numbers_and_booleans_are_toml() {
        assert_eq!(value("router.top_k=2"), Value::Integer(2));
        assert_eq!(value("train.lr=3e-4"), Value::Float(3e-4));
        assert_eq!(value("train.steps=1_000"), Value::Integer(1000));
        assert_eq!(value("router.bias = true"), Value::Boolean(true));
        assert_eq!(
            value("x=[1, 2]"),
            Value::Array(vec![Value::Integer(1), Value::Integer(2)])
        );
    }

    #[test]
    fn bare_words_are_strings() {
        assert_eq!(value("router.name=switch"), Value::String("switch".into()));
        assert_eq!(
            value("data.path=/a/b c.txt"),
            Value::String("/a/b c.txt".into())
        );
        assert_eq!(value("x=tru"), Value::String("tru".into()));
        assert_eq!(value("x=a=b"), Value::String("a=b".into()));
        // One override cannot smuggle in a second key.
        assert_eq!(value("x=1\ny = 2"), Value::String("1\ny = 2".into()));
    }

    #[test]
    fn quoted_values_are_strings() {
        assert_eq!(value("x=\"2\""), Value::String("2".into()));
        assert_eq!(value("x='true'"), Value::String("true".into()));
        assert_eq!(value("x=\"\""), Value::String(String::new()));
    }

    #[test]
    fn dotted_keys_nest() {
        let table = Override::parse("a.b.c=1").unwrap().table();

        assert_eq!(table["a"]["b"]["c"], Value::Integer(1));
    }

    #[test]
    fn messages_say_what_to_write() {
        assert_eq!(
            message("router.top_k"),
            "the override `router.top_k` cannot be read: write it as `key=value`, such as \
             `train.lr=3e-4`"
        );
        assert_eq!(
            message("seed="),
            "the override `seed=` cannot be read: it has no value; write `seed=\"\"` for an \
             empty string"
        );
        for text in ["=1", "a..b=1", ".a=1", "a. b=1"] {
            assert!(message(text).contains("names joined by dots"), "{text}");
        }
        assert!(message("x=[1, 2").contains("its value is not valid TOML"));
    }

    #[test]
    fn deep_keys_are_refused() {
        let key = |parts: usize| vec!["a"; parts].join(".");
        assert!(Override::parse(&format!("{}=1", key(16))).is_ok());
        for parts in [17, 60_000] {
            let message = message(&format!("{}=1", key(parts)));
            assert!(message.contains("more than 16 parts"), "{message}");
            assert!(message.len() < 200, "{message}");
        }
    }

    #[test]
    fn displays_as_given() {
        let given = Override::parse("a = 1").unwrap();
        assert_eq!(given.to_string(), "a = 1");
        assert_eq!((given.key(), given.text()), ("a", "a = 1"));
    }
}
