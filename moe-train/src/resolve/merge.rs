//! Merging one layer into the defaults, with every key and type checked.

use toml::{Table, Value};

use super::known::{hint, join, table_hint};
use super::{ConfigFile, Override, ResolveError};

/// Source of a layer; names the place of a key in messages.
pub(super) enum Origin<'a> {
    File(&'a ConfigFile),
    Override(&'a Override),
}

impl Origin<'_> {
    pub(super) fn place(&self, key: &str) -> String {
        match self {
            Origin::File(file) => file.place(key),
            Origin::Override(given) => given.place(),
        }
    }
}

/// Merges `layer` into `base`, whose keys and types are the law.
///
/// # Errors
///
/// [`UnknownKey`](ResolveError::UnknownKey) and [`WrongType`](ResolveError::WrongType).
pub(super) fn merge(
    base: &mut Table,
    layer: &Table,
    origin: &Origin<'_>,
) -> Result<(), ResolveError> {
    let known = base.clone();
    let merger = Merger {
        known: &known,
        origin,
    };
    merger.table(base, layer, "")
}

struct Merger<'a> {
    known: &'a Table,
    origin: &'a Origin<'a>,
}

impl Merger<'_> {
    fn table(&self, base: &mut Table, layer: &Table, prefix: &str) -> Result<(), ResolveError> {
        for (name, given) in layer {
            let key = join(prefix, name);
            match (base.get_mut(name), given) {
                (None, _) => return Err(self.unknown(key)),
                (Some(Value::Table(inner)), Value::Table(given)) => {
                    self.table(inner, given, &key)?;
                }
                (Some(default), given) => *default = self.value(default, given, &key)?,
            }
        }
        Ok(())
    }

    fn value(&self, default: &Value, given: &Value, key: &str) -> Result<Value, ResolveError> {
        match (default, given) {
            (Value::Float(_), Value::Integer(whole)) => Ok(Value::Float(*whole as f64)),
            (Value::Array(default), Value::Array(given)) => self.array(default, given, key),
            (default, given) if default.same_type(given) => Ok(given.clone()),
            (default, given) => Err(self.wrong_type(default, given, key)),
        }
    }

    /// The first default element gives the type; an empty default list takes any elements. Tables
    /// inside lists are left to the typed configuration.
    fn array(&self, default: &[Value], given: &[Value], key: &str) -> Result<Value, ResolveError> {
        let elements = match default.first() {
            None => given.to_vec(),
            Some(first) => given
                .iter()
                .enumerate()
                .map(|(i, element)| self.value(first, element, &format!("{key}[{i}]")))
                .collect::<Result<_, _>>()?,
        };
        Ok(Value::Array(elements))
    }

    fn unknown(&self, key: String) -> ResolveError {
        ResolveError::UnknownKey {
            place: self.origin.place(&key),
            hint: hint(&key, self.known),
            key,
        }
    }

    fn wrong_type(&self, default: &Value, given: &Value, key: &str) -> ResolveError {
        let element_of = key.split('[').next().unwrap_or(key);
        ResolveError::WrongType {
            key: key.into(),
            place: self.origin.place(element_of),
            expected: type_words(default),
            given: given_words(given),
            hint: self.correction(default, given, key),
        }
    }

    fn correction(&self, default: &Value, given: &Value, key: &str) -> String {
        match (default, given) {
            (Value::Integer(_), Value::Float(x)) if x.fract() == 0.0 => format!("; write {x:.0}"),
            (Value::String(_), Value::Array(_) | Value::Table(_)) => String::new(),
            (Value::String(_), other) => format!("; write \"{other}\", with the quotes"),
            (Value::Boolean(_), _) => "; write true or false".into(),
            (Value::Table(_), _) => format!("; {}", table_hint(key, self.known)),
            (Value::Array(_), other) => format!("; write [{other}]"),
            (Value::Float(_), Value::String(text)) => match text.parse::<f64>() {
                Ok(x) => format!("; write {x:?}"),
                Err(_) => String::new(),
            },
            _ => String::new(),
        }
    }
}

fn type_words(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn given_words(value: &Value) -> String {
    let kind = match value {
        Value::String(_) => "the string",
        Value::Integer(_) => "the integer",
        Value::Float(_) => "the number",
        Value::Boolean(_) => "the boolean",
        Value::Datetime(_) => "the date",
        Value::Array(_) => "the list",
        Value::Table(_) => return "a table".into(),
    };
    format!("{kind} {value}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DEFAULTS: &str = "seed = 0\n[router]\nname = 'mixtral'\ntop_k = 2\nbias = false\n\
                            [train]\nlr = 1e-3\nbetas = [0.9, 0.95]\ntags = []";

    fn defaults() -> Table {
        DEFAULTS.parse().unwrap()
    }

    fn given(text: &str) -> Result<Table, ResolveError> {
        let mut table = defaults();
        let given = Override::parse(text).unwrap();
        merge(&mut table, &given.table(), &Origin::Override(&given))?;
        Ok(table)
    }

    fn message(text: &str) -> String {
        given(text).unwrap_err().to_string()
    }

    #[test]
    fn replaces_one_value_and_keeps_the_rest() {
        let table = given("router.top_k=1").unwrap();

        assert_eq!(table["router"]["top_k"], Value::Integer(1));
        assert_eq!(table["router"]["name"], defaults()["router"]["name"]);
        assert_eq!(table["train"], defaults()["train"]);
    }

    #[test]
    fn inline_table_merges() {
        let table = given("router={top_k=1, bias=true}").unwrap();

        assert_eq!(table["router"]["top_k"], Value::Integer(1));
        assert_eq!(table["router"]["bias"], Value::Boolean(true));
        assert_eq!(table["router"]["name"].as_str(), Some("mixtral"));
    }

    #[test]
    fn integers_become_numbers() {
        let table = given("train.lr=1").unwrap();
        assert_eq!(table["train"]["lr"], Value::Float(1.0));

        let table = given("train.betas=[1, 0.5]").unwrap();
        let expected = Value::Array(vec![Value::Float(1.0), Value::Float(0.5)]);
        assert_eq!(table["train"]["betas"], expected);
    }

    #[test]
    fn empty_default_list_takes_any_elements() {
        let table = given("train.tags=['a', 'b']").unwrap();
        assert_eq!(table["train"]["tags"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn unknown_key_names_place_and_hint() {
        assert_eq!(
            message("router.topk=2"),
            "override `router.topk=2`: unknown key `router.topk`; did you mean `router.top_k`?"
        );
    }

    #[test]
    fn unknown_key_of_a_file_names_the_line() {
        let file = ConfigFile::parse("runs/a.toml", "[router]\n\ntopk = 2").unwrap();
        let error = merge(&mut defaults(), file.table(), &Origin::File(&file)).unwrap_err();

        assert_eq!(
            error.to_string(),
            "runs/a.toml:3: unknown key `router.topk`; did you mean `router.top_k`?"
        );
    }

    #[test]
    fn wrong_types_say_expected_given_and_correction() {
        let rows = [
            (
                "router.top_k=two",
                "`router.top_k` must be an integer, but this is the string \"two\"",
            ),
            (
                "router.top_k=2.0",
                "`router.top_k` must be an integer, but this is the number 2.0; write 2",
            ),
            (
                "router.top_k=2.5",
                "`router.top_k` must be an integer, but this is the number 2.5",
            ),
            (
                "router.name=7",
                "`router.name` must be a string, but this is the integer 7; write \"7\", with the quotes",
            ),
            (
                "router.bias=1",
                "`router.bias` must be true or false, but this is the integer 1; write true or false",
            ),
            (
                "train.lr=.5",
                "`train.lr` must be a number, but this is the string \".5\"; write 0.5",
            ),
            (
                "train.lr=true",
                "`train.lr` must be a number, but this is the boolean true",
            ),
            (
                "train.betas=0.9",
                "`train.betas` must be a list, but this is the number 0.9; write [0.9]",
            ),
            (
                "train.betas=[0.9, true]",
                "`train.betas[1]` must be a number, but this is the boolean true",
            ),
            (
                "router=switch",
                "`router` must be a table, but this is the string \"switch\"; the keys of [router] are name, top_k, bias",
            ),
            (
                "seed={a=1}",
                "`seed` must be an integer, but this is a table",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(message(text), format!("override `{text}`: {expected}"));
        }
    }

    #[test]
    fn wrong_type_in_a_list_of_a_file_names_the_line() {
        let file = ConfigFile::parse("a.toml", "[train]\nbetas = ['x']").unwrap();
        let error = merge(&mut defaults(), file.table(), &Origin::File(&file)).unwrap_err();

        assert!(
            error
                .to_string()
                .starts_with("a.toml:2: `train.betas[0]` must be a number")
        );
    }
}
