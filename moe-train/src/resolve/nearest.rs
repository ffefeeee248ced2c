//! The nearest candidate to a name with a typing error.

use strsim::damerau_levenshtein;

/// Finds the candidate that `name` most likely meant.
///
/// The distance is the Damerau-Levenshtein distance after lower-casing and removing `_` and `-`.
/// A candidate counts when at most a third of the longer name differs, or when one name begins
/// with the other (`batch` for `batch_size`); among those the smallest distance wins, the earlier
/// candidate on a tie.
///
/// Returns `None` where nothing is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(name, candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance of two names that are near each other, `None` for names that are not.
pub(super) fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b) = (plain(a), plain(b));
    let distance = damerau_levenshtein(&a, &b);
    let longer = a.chars().count().max(b.chars().count());
    let shorter = a.chars().count().min(b.chars().count());
    let begins = shorter >= 3 && (a.starts_with(&b) || b.starts_with(&a));

    (begins || 3 * distance <= longer).then_some(distance)
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTERS: [&str; 4] = ["mixtral", "switch", "expert_choice", "deepseek_v3"];

    #[test]
    fn case_and_separators_do_not_count() {
        assert_eq!(nearest("DeepSeekV3", ROUTERS), Some("deepseek_v3"));
        assert_eq!(nearest("expert-choice", ROUTERS), Some("expert_choice"));
    }

    #[test]
    fn one_in_three_letters_may_differ() {
        // mixtrl -> mixtral: one insertion, 3 * 1 <= 7. swap -> switch: three edits, 3 * 3 > 6.
        assert_eq!(nearest("mixtrl", ROUTERS), Some("mixtral"));
        assert_eq!(nearest("swap", ROUTERS), None);
    }

    #[test]
    fn swapped_letters_are_one_edit() {
        assert_eq!(nearest("swicth", ROUTERS), Some("switch"));
    }

    #[test]
    fn beginning_of_a_name_is_near() {
        assert_eq!(nearest("expert", ROUTERS), Some("expert_choice"));
        assert_eq!(nearest("ex", ROUTERS), None);
    }

    #[test]
    fn smallest_distance_then_first_wins() {
        assert_eq!(nearest("steps", ["stops", "step", "steps"]), Some("steps"));
        assert_eq!(nearest("stepx", ["steps", "stepz"]), Some("steps"));
    }

    #[test]
    fn no_candidates_no_hint() {
        assert_eq!(nearest("steps", []), None);
    }
}
