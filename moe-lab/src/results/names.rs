//! Names of runs that hold arm and seed: `adam-seed3`.

/// A pattern of names, such as `{arm}-seed{seed}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pattern: String,
    /// The texts before, between and behind the two.
    before: String,
    between: String,
    behind: String,
    /// True if the arm stands before the seed.
    arm_first: bool,
}

/// A name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) arm: &'a str,
    pub(super) seed: &'a str,
}

impl Names {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// Returns what is wrong if it has not `{arm}` and `{seed}` once each, with a text between them.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{pattern}`: write {{arm}} and {{seed}} once each, with a text between, as in '{{arm}}-seed{{seed}}'"
            )
        };
        let place = |word: &str| match pattern.matches(word).count() {
            1 => pattern.find(word).ok_or_else(wrong),
            _ => Err(wrong()),
        };
        let [arm, seed] = [place("{arm}")?, place("{seed}")?];
        let (first, second, arm_first) = if arm < seed {
            (arm..arm + 5, seed..seed + 6, true)
        } else {
            (seed..seed + 6, arm..arm + 5, false)
        };
        let between = pattern[first.end..second.start].to_owned();
        if between.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            before: pattern[..first.start].to_owned(),
            behind: pattern[second.end..].to_owned(),
            between,
            arm_first,
            pattern: pattern.to_owned(),
        })
    }

    /// Takes a name apart, at the last text between that there is: `a-seed1-seed2` is the seed 2 of `a-seed1`.
    pub(super) fn split<'a>(&self, name: &'a str) -> Result<Parts<'a>, String> {
        let inner = name.strip_prefix(self.before.as_str());
        let inner = inner.and_then(|inner| inner.strip_suffix(self.behind.as_str()));
        let halves = inner.and_then(|inner| {
            if self.arm_first {
                inner.rsplit_once(self.between.as_str())
            } else {
                inner.split_once(self.between.as_str())
            }
        });
        let parts = halves.map(|(first, second)| {
            let (arm, seed) = if self.arm_first {
                (first, second)
            } else {
                (second, first)
            };
            Parts {
                arm: arm.trim(),
                seed: seed.trim(),
            }
        });
        parts
            .filter(|parts| !parts.arm.is_empty() && !parts.seed.is_empty())
            .ok_or_else(|| format!("`{name}` is not of the form `{}` (--names)", self.pattern))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn split<'a>(pattern: &str, name: &'a str) -> (&'a str, &'a str) {
        let parts = Names::parse(pattern).unwrap().split(name).unwrap();
        (parts.arm, parts.seed)
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(
            split("{arm}-seed{seed}", "adam-seed1-seed2"),
            ("adam-seed1", "2")
        );
        assert_eq!(split("s{seed}/{arm}.pt", "s3/a/b.pt"), ("a/b", "3"));
        let names = Names::parse("{arm}-seed{seed}").unwrap();
        for name in ["adam", "-seed3", "adam-seed"] {
            assert!(
                names
                    .split(name)
                    .unwrap_err()
                    .contains("is not of the form"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_pattern_has_both_parts_and_a_text_between() {
        for pattern in [
            "{arm}",
            "{arm}{seed}",
            "{arm}-{seed}-{seed}",
            "",
            "arm-seed",
        ] {
            assert!(
                Names::parse(pattern).unwrap_err().contains("once each"),
                "{pattern}"
            );
        }
    }
}
