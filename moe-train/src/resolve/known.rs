//! The keys that a table of defaults knows, and the hint for one that it does not.

use toml::{Table, Value};

use super::nearest::distance;

/// Joins a dotted prefix and a name; the prefix of the root is empty.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_string()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Splits a dotted key into its table and its last name; the table of a root key is empty.
pub(super) fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// The value at a dotted key.
pub(super) fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((name, rest)) => lookup(table.get(name)?.as_table()?, rest),
    }
}

/// "did you mean ...?" for an unknown key, or else the keys that its table does have.
pub(super) fn hint(key: &str, defaults: &Table) -> String {
    let mut known = Vec::new();
    collect(defaults, "", &mut known);
    match nearest_key(key, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => table_hint(split(key).0, defaults),
    }
}

/// Suggests what to write instead of a dotted key that a table does not have; `None` if it has it.
pub fn key_hint(key: &str, table: &Table) -> Option<String> {
    lookup(table, key).is_none().then(|| hint(key, table))
}

/// Lists the keys of one table of the defaults.
pub(super) fn table_hint(table: &str, defaults: &Table) -> String {
    let inner = match table {
        "" => Some(defaults),
        _ => lookup(defaults, table).and_then(Value::as_table),
    };
    let names: Vec<&str> = inner
        .map(|inner| inner.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let place = match table {
        "" => "the top level".to_string(),
        _ => format!("[{table}]"),
    };

    if names.is_empty() {
        format!("{place} has no keys")
    } else {
        format!("the keys of {place} are {}", names.join(", "))
    }
}

fn collect(table: &Table, prefix: &str, known: &mut Vec<String>) {
    for (name, value) in table {
        let key = join(prefix, name);
        known.push(key.clone());
        if let Some(inner) = value.as_table() {
            collect(inner, &key, known);
        }
    }
}

/// The known key whose last name is near the last name of `key`; the distance of the tables breaks
/// ties, so a slip within the right table wins over the same name elsewhere.
fn nearest_key<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let (table, name) = split(key);
    known
        .iter()
        .filter_map(|candidate| {
            let (other_table, other_name) = split(candidate);
            let names = distance(name, other_name)?;
            let tables = strsim::damerau_levenshtein(table, other_table);
            Some(((names + tables, names), candidate.as_str()))
        })
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn defaults() -> Table {
        "seed = 0\n[router]\nname = 'mixtral'\ntop_k = 2\n[experts]\nn_experts = 8\n[empty]\n\
         [train]\nsteps = 10\nwarmup_steps = 1"
            .parse()
            .unwrap()
    }

    #[test]
    fn separators_do_not_count() {
        assert_eq!(
            hint("router.topk", &defaults()),
            "did you mean `router.top_k`?"
        );
        assert_eq!(
            hint("router.top-k", &defaults()),
            "did you mean `router.top_k`?"
        );
    }

    #[test]
    fn the_same_name_in_another_table_is_found() {
        assert_eq!(hint("top_k", &defaults()), "did you mean `router.top_k`?");
        assert_eq!(hint("train.seed", &defaults()), "did you mean `seed`?");
        assert_eq!(
            hint("router.n_expert", &defaults()),
            "did you mean `experts.n_experts`?"
        );
    }

    #[test]
    fn misspelt_table_is_found() {
        assert_eq!(hint("rooter", &defaults()), "did you mean `router`?");
        assert_eq!(
            hint("train.step", &defaults()),
            "did you mean `train.steps`?"
        );
    }

    #[test]
    fn without_a_near_key_the_table_is_listed() {
        assert_eq!(
            hint("router.zzz", &defaults()),
            "the keys of [router] are name, top_k"
        );
        assert_eq!(
            hint("zzz", &defaults()),
            "the keys of the top level are seed, router, experts, empty, train"
        );
        assert_eq!(hint("empty.zzz", &defaults()), "[empty] has no keys");
    }

    #[test]
    fn lookup_walks_tables() {
        assert_eq!(
            lookup(&defaults(), "router.top_k").unwrap().as_integer(),
            Some(2)
        );
        assert!(lookup(&defaults(), "router.top_k.x").is_none());
        assert!(lookup(&defaults(), "none.x").is_none());
    }
}
