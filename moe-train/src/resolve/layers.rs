//! Layers of a configuration and their merge.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::known::{lookup, split};
use super::merge::{Origin, merge};
use super::{ConfigFile, Override, ResolveError, Selection};

/// Layers over the defaults: a file, then overrides in the order of the command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
    /// The overrides; of two with the same key the later one wins.
    pub overrides: Vec<Override>,
}

impl Layers {
    /// Reads a file and parses `key=value` overrides.
    ///
    /// # Errors
    ///
    /// Those of [`ConfigFile::read`] and [`Override::parse`].
    pub fn read(
        path: impl AsRef<std::path::Path>,
        overrides: &[impl AsRef<str>],
    ) -> Result<Self, ResolveError> {
        Self::over(ConfigFile::read(path)?, overrides)
    }

    /// Puts `key=value` overrides over a file.
    ///
    /// # Errors
    ///
    /// Those of [`Override::parse`].
    pub fn over(file: ConfigFile, overrides: &[impl AsRef<str>]) -> Result<Self, ResolveError> {
        Ok(Self {
            file: Some(file),
            overrides: overrides
                .iter()
                .map(|text| Override::parse(text.as_ref()))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A resolved configuration and what resolving it left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Every key of the defaults, with its final value.
    pub table: Table,
    /// One sentence for each table of the file that was dropped because its selector changed.
    pub notes: Vec<String>,
}

/// The defaults of a configuration as a function of the chosen selectors.
///
/// The table lists every legal key of that selection, the selectors included, each with a value
/// of its type. Report a choice that does not exist with [`Selection::unknown`].
pub type Defaults<'a> = &'a dyn Fn(&Selection) -> Result<Table, ResolveError>;

/// Resolves a configuration: defaults, merged with the file, merged with the overrides.
///
/// `selectors` are the dotted keys, such as `router.name`, whose value selects the defaults of the
/// table they stand in.
///
/// Rule of selectors: the file is checked first, on its own. The overrides may then change the choice of a
/// selector, directly or because another selector's defaults choose differently. If so, the file's other
/// keys of that selector's table are dropped, inner tables included: they were written for the file's
/// choice. Overrides are never dropped.
///
/// # Errors
///
/// [`UnknownKey`](ResolveError::UnknownKey), [`WrongType`](ResolveError::WrongType), and what
/// `defaults` returns.
///
/// # Panics
///
/// Panics if a selector stands at the top level: it would drop the whole file.
pub fn resolve(
    layers: &Layers,
    selectors: &[&str],
    defaults: Defaults<'_>,
) -> Result<Table, ResolveError> {
    resolve_with_notes(layers, selectors, defaults).map(|resolved| resolved.table)
}

/// [`resolve`], with a note for each table of the file that was dropped.
///
/// # Errors
///
/// Those of [`resolve`].
///
/// # Panics
///
/// Those of [`resolve`].
pub fn resolve_with_notes(
    layers: &Layers,
    selectors: &[&str],
    defaults: Defaults<'_>,
) -> Result<Resolved, ResolveError> {
    for selector in selectors {
        assert!(
            selector.contains('.'),
            "a selector must stand in a table, but `{selector}` is at the top level"
        );
    }
    let Some(file) = &layers.file else {
        let selection = Selection::read(selectors, &layers.overrides, None, &Table::new());
        let mut table = defaults(&selection)?;
        merge_overrides(&mut table, &layers.overrides)?;
        return Ok(Resolved {
            table,
            notes: Vec::new(),
        });
    };
    let mut kept = Kept::new(file, selectors);
    let of_file = kept.merged(&[], defaults)?;
    kept.drop_overridden(&layers.overrides, &of_file);
    let mut table = kept.drop_implied(&layers.overrides, &of_file, defaults)?;
    merge_overrides(&mut table, &layers.overrides)?;

    Ok(Resolved {
        table,
        notes: kept.notes,
    })
}

/// Turns a resolved table into its typed configuration.
///
/// # Errors
///
/// [`Invalid`](ResolveError::Invalid) with the message of the type, such as a negative size.
pub fn typed<T: DeserializeOwned>(table: Table) -> Result<T, ResolveError> {
    table
        .try_into()
        .map_err(|error: toml::de::Error| ResolveError::Invalid {
            reason: error.to_string().trim().replace('\n', " "),
        })
}

fn merge_overrides(table: &mut Table, overrides: &[Override]) -> Result<(), ResolveError> {
    for given in overrides {
        merge(table, &given.table(), &Origin::Override(given))?;
    }
    Ok(())
}

/// Tables of a file that are left while its selectors change.
struct Kept<'a> {
    file: &'a ConfigFile,
    selectors: Vec<&'a str>,
    table: Table,
    notes: Vec<String>,
}

impl<'a> Kept<'a> {
    fn new(file: &'a ConfigFile, selectors: &[&'a str]) -> Self {
        let mut selectors = selectors.to_vec();
        // Outer tables first: dropping one settles the selectors inside it.
        selectors.sort_by_key(|selector| selector.matches('.').count());
        Self {
            file,
            selectors,
            table: file.table().clone(),
            notes: Vec::new(),
        }
    }

    fn select(&self, overrides: &[Override]) -> Selection {
        Selection::read(&self.selectors, overrides, Some(self.file), &self.table)
    }

    /// The defaults of the selection, merged with what is left of the file.
    fn merged(
        &self,
        overrides: &[Override],
        defaults: Defaults<'_>,
    ) -> Result<Table, ResolveError> {
        let mut merged = defaults(&self.select(overrides))?;
        merge(&mut merged, &self.table, &Origin::File(self.file))?;
        Ok(merged)
    }

    /// Drops the tables whose selector an override changes.
    fn drop_overridden(&mut self, overrides: &[Override], of_file: &Table) {
        let only_overrides = Selection::read(&self.selectors, overrides, None, &Table::new());
        for selector in self.selectors.clone() {
            if let Some(choice) = only_overrides.get(selector)
                && changed(of_file, selector, choice)
            {
                self.drop_table(selector, choice);
            }
        }
    }

    /// Drops the tables whose selector has got another default by an override, until none changes any more. Returns
    /// the defaults merged with the rest of the file.
    fn drop_implied(
        &mut self,
        overrides: &[Override],
        of_file: &Table,
        defaults: Defaults<'_>,
    ) -> Result<Table, ResolveError> {
        loop {
            let selection = self.select(overrides);
            let now = defaults(&selection)?;
            let stale = self.selectors.iter().copied().find_map(|selector| {
                let implied = || lookup(&now, selector)?.as_str();
                let choice = selection.get(selector).or_else(implied)?;
                let stale = changed(of_file, selector, choice) && self.holds_table(selector);
                stale.then(|| (selector, choice.to_string()))
            });
            match stale {
                Some((selector, choice)) => self.drop_table(selector, &choice),
                None => return self.merged(overrides, defaults),
            }
        }
    }

    fn holds_table(&self, selector: &str) -> bool {
        lookup(&self.table, split(selector).0).is_some()
    }

    fn drop_table(&mut self, selector: &str, choice: &str) {
        let name = split(selector).0;
        if let Some(Value::Table(dropped)) = remove(&mut self.table, name) {
            let keys: Vec<&str> = dropped
                .keys()
                .map(String::as_str)
                .filter(|key| *key != split(selector).1)
                .collect();
            if !keys.is_empty() {
                self.notes.push(format!(
                    "{}: the file's [{name}] ({}) is not used, because `{selector}` is now \
                     `{choice}`",
                    self.file.place(name),
                    keys.join(", ")
                ));
            }
        }
    }
}

fn changed(of_file: &Table, selector: &str, choice: &str) -> bool {
    lookup(of_file, selector).and_then(Value::as_str) != Some(choice)
}

fn remove(table: &mut Table, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => table.remove(key),
        Some((name, rest)) => remove(table.get_mut(name)?.as_table_mut()?, rest),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;

    const SELECTORS: [&str; 3] = ["model.family", "router.select.kind", "router.name"];

    /// Two families, each with its own default router; three routers, one with an inner selector.
    fn defaults(selection: &Selection) -> Result<Table, ResolveError> {
        let (family, router) = match selection.get("model.family").unwrap_or("mixtral") {
            "mixtral" => ("name = 'mixtral'\nd_model = 64", "mixtral"),
            "switch" => ("name = 'switch'\nd_model = 32", "switch"),
            _ => return Err(selection.unknown("model.family", &["mixtral", "switch"])),
        };
        let family = family.replace("name", "family");
        let router = match selection.get("router.name").unwrap_or(router) {
            "mixtral" => "name = 'mixtral'\ntop_k = 2\nnormalize = true".into(),
            "switch" => "name = 'switch'\ncapacity_factor = 1.25".into(),
            "custom" => match selection.get("router.select.kind").unwrap_or("top_k") {
                "top_k" => "name = 'custom'\nselect = { kind = 'top_k', top_k = 2 }",
                "top_p" => "name = 'custom'\nselect = { kind = 'top_p', p = 0.9 }",
                _ => return Err(selection.unknown("router.select.kind", &["top_k", "top_p"])),
            }
            .to_string(),
            _ => return Err(selection.unknown("router.name", &["mixtral", "switch", "custom"])),
        };
        let text = format!("seed = 0\n[model]\n{family}\n[router]\n{router}\n[train]\nlr = 1e-3");
        Ok(text.parse().unwrap())
    }

    fn layers(file: &str, overrides: &[&str]) -> Layers {
        Layers {
            file: Some(ConfigFile::parse("a.toml", file).unwrap()),
            overrides: overrides
                .iter()
                .map(|text| Override::parse(text).unwrap())
                .collect(),
        }
    }

    fn resolved(file: &str, overrides: &[&str]) -> Resolved {
        resolve_with_notes(&layers(file, overrides), &SELECTORS, &defaults).unwrap()
    }

    fn message(file: &str, overrides: &[&str]) -> String {
        resolve(&layers(file, overrides), &SELECTORS, &defaults)
            .unwrap_err()
            .to_string()
    }

    fn router(text: &str) -> Value {
        Value::Table(text.parse().unwrap())
    }

    #[test]
    fn without_layers_the_defaults_stand() {
        let table = resolve(&Layers::default(), &SELECTORS, &defaults).unwrap();
        assert_eq!(table, defaults(&Selection::default()).unwrap());
    }

    #[test]
    fn overrides_alone() {
        let overrides = vec![Override::parse("router.name=switch").unwrap()];
        let layers = Layers {
            file: None,
            overrides,
        };
        let table = resolve(&layers, &SELECTORS, &defaults).unwrap();

        assert_eq!(table["router"]["capacity_factor"], Value::Float(1.25));
    }

    #[test]
    fn file_then_overrides() {
        let table = resolved("train.lr = 1\nseed = 1", &["seed=2", "seed=3"]).table;

        assert_eq!(table["train"]["lr"], Value::Float(1.0));
        assert_eq!(table["seed"], Value::Integer(3));
    }

    #[test]
    fn selector_of_the_file_brings_its_defaults() {
        let table = resolved("[router]\nname = 'switch'", &[]).table;
        assert_eq!(
            table["router"],
            router("name = 'switch'\ncapacity_factor = 1.25")
        );

        assert_eq!(
            message("[router]\nname = 'switch'\ntop_k = 1", &[]),
            "a.toml:3: unknown key `router.top_k`; the keys of [router] are name, capacity_factor"
        );
    }

    #[test]
    fn changed_selector_drops_the_files_table() {
        let file = "seed = 1\n[router]\nname = 'mixtral'\ntop_k = 4";
        let Resolved { table, notes } = resolved(file, &["router.name=switch"]);

        assert_eq!(
            table["router"],
            router("name = 'switch'\ncapacity_factor = 1.25")
        );
        assert_eq!(table["seed"], Value::Integer(1));
        assert_eq!(
            notes,
            [
                "a.toml:2: the file's [router] (top_k) is not used, because `router.name` is now \
              `switch`"
            ]
        );
    }

    #[test]
    fn unchanged_selector_keeps_the_files_table() {
        // Named in the file or its default: the choice is the same, so top_k stays.
        for file in [
            "router = { name = 'mixtral', top_k = 4 }",
            "router.top_k = 4",
        ] {
            let Resolved { table, notes } = resolved(file, &["router.name=mixtral"]);

            assert_eq!(table["router"]["top_k"], Value::Integer(4));
            assert!(notes.is_empty());
        }
    }

    #[test]
    fn keys_for_the_default_choice_are_dropped_too() {
        let table = resolved("router.top_k = 4", &["router.name=switch"]).table;

        assert_eq!(
            table["router"],
            router("name = 'switch'\ncapacity_factor = 1.25")
        );
    }

    #[test]
    fn overrides_of_the_new_choice_apply() {
        let file = "router = { top_k = 4 }";
        let overrides = ["router.capacity_factor=2", "router.name=switch"];

        let table = resolved(file, &overrides).table;
        assert_eq!(table["router"]["capacity_factor"], Value::Float(2.0));
    }

    #[test]
    fn inner_selector_goes_with_its_outer_table() {
        let file = "[router]\nname = 'custom'\nselect = { kind = 'top_p', p = 0.5 }";
        assert_eq!(
            resolved(file, &[]).table["router"]["select"]["p"],
            Value::Float(0.5)
        );

        let table = resolved(file, &["router.name=mixtral"]).table;
        assert_eq!(
            table["router"],
            router("name = 'mixtral'\ntop_k = 2\nnormalize = true")
        );

        let table = resolved(file, &["router.select.kind=top_k"]).table;
        assert_eq!(
            table["router"]["select"],
            router("kind = 'top_k'\ntop_k = 2")
        );
    }

    #[test]
    fn another_selectors_defaults_may_change_the_choice() {
        // The family switch brings the router switch, so the file's top_k has no meaning left.
        let Resolved { table, notes } = resolved("router.top_k = 4", &["model.family=switch"]);
        assert_eq!(table["router"]["name"].as_str(), Some("switch"));
        assert_eq!(notes.len(), 1);

        // Named in the file, the router is the file's whatever the family.
        let file = "router = { name = 'mixtral', top_k = 4 }";
        let Resolved { table, notes } = resolved(file, &["model.family=switch"]);
        assert_eq!(table["router"]["top_k"], Value::Integer(4));
        assert!(notes.is_empty());
    }

    #[test]
    fn file_is_checked_on_its_own() {
        let message = message("[router]\ntopk = 4", &["router.name=switch"]);
        assert_eq!(
            message,
            "a.toml:2: unknown key `router.topk`; did you mean `router.top_k`?"
        );
    }

    #[test]
    fn unknown_choices_name_their_place() {
        assert_eq!(
            message("\n[router]\nname = 'swich'", &[]),
            "a.toml:3: `router.name` has no choice `swich`; did you mean `switch`? the choices \
             are mixtral, switch, custom"
        );
        assert!(message("", &["router.name=swich"]).starts_with("override `router.name=swich`: "));
    }

    #[test]
    fn selector_of_a_wrong_type() {
        assert_eq!(
            message("", &["router.name=3"]),
            "override `router.name=3`: `router.name` must be a string, but this is the integer 3; \
             write \"3\", with the quotes"
        );
    }

    #[test]
    #[should_panic(expected = "a selector must stand in a table")]
    fn selector_at_the_top_level_panics() {
        let _ = resolve(&Layers::default(), &["preset"], &defaults);
    }

    #[test]
    fn reading_layers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, "seed = 1").unwrap();

        let layers = Layers::read(&path, &["train.lr=1e-4"]).unwrap();
        let table = resolve(&layers, &SELECTORS, &defaults).unwrap();
        assert_eq!(table["seed"], Value::Integer(1));
        assert_eq!(table["train"]["lr"], Value::Float(1e-4));

        assert!(matches!(
            Layers::read(&path, &["lr"]),
            Err(ResolveError::OverrideSyntax { .. })
        ));
    }

    #[test]
    fn typed_configuration_reports_the_key() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Sizes {
            train: Train,
        }
        #[derive(Debug, Deserialize, PartialEq)]
        struct Train {
            steps: usize,
        }

        let good: Sizes = typed("train = { steps = 3 }".parse().unwrap()).unwrap();
        assert_eq!(good.train.steps, 3);

        let error = typed::<Sizes>("train = { steps = -3 }".parse().unwrap()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("the configuration is not valid: "),
            "{message}"
        );
        assert!(message.contains("train.steps"), "{message}");
    }
}
