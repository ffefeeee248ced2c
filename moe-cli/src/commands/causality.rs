//! Words for whether later tokens influence earlier ones.

use moe_router::Causality;

/// The word for the time in which no token influences earlier ones.
pub fn word(causality: Causality) -> &'static str {
    match causality {
        Causality::Causal => "yes",
        Causality::LeaksInTraining(_) => "in evaluation",
        Causality::Leaks(_) => "no",
    }
}

/// The class of a router.
pub fn class(causality: Causality) -> &'static str {
    match causality {
        Causality::Causal => "causal",
        Causality::LeaksInTraining(_) => "causal in evaluation",
        Causality::Leaks(_) => "leaks",
    }
}

/// The word for a model, which may not be asked to be causal.
pub fn of_model(causality: Option<Causality>) -> &'static str {
    causality.map_or("not asked for", word)
}

/// Tells whether a model keeps what it is asked for in evaluation.
pub fn holds(causality: Option<Causality>) -> bool {
    causality.is_none_or(Causality::is_causal)
}

/// The same while training.
pub fn holds_in_training(causality: Option<Causality>) -> bool {
    causality.is_none_or(Causality::is_causal_in_training)
}

/// A warning for the reader of a loss, if there is one.
pub fn remark(causality: Option<Causality>) -> Option<&'static str> {
    match causality? {
        Causality::Causal => None,
        Causality::LeaksInTraining(_) => Some(
            "causal in evaluation: training looks at later tokens, so the training loss flatters the model; \
             held-out scores are those of a language model",
        ),
        Causality::Leaks(_) => Some(
            "not causal: later tokens influence earlier ones, so generation cannot reach this loss",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_leaks_in_training_is_not_plainly_causal() {
        let between = Causality::LeaksInTraining("");
        assert_eq!(word(between), "in evaluation");
        assert!(remark(Some(between)).is_some_and(|text| text.contains("training loss flatters")));
        assert_eq!(
            (word(Causality::Causal), remark(Some(Causality::Causal))),
            ("yes", None)
        );
        assert_eq!((of_model(None), remark(None)), ("not asked for", None));
        assert!(
            remark(Some(Causality::Leaks(""))).is_some_and(|text| text.starts_with("not causal"))
        );
    }
}
