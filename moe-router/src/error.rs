//! Errors of router configurations, and the checks that several routers share.

use thiserror::Error;

/// Errors of router configurations.
#[derive(Error, Debug, Clone, PartialEq)]
pub enum RouterError {
    /// More experts a token than there are.
    #[error(
        "router.top_k = {top_k} is larger than experts.n_experts = {n_experts}: lower the one or raise the other"
    )]
    TopK {
        /// Experts a token.
        top_k: usize,
        /// Experts of the layer.
        n_experts: usize,
    },
    /// A value outside its range.
    #[error("router.{key} = {value} is out of range: it must be {range}")]
    Range {
        /// The configuration key.
        key: &'static str,
        /// The value given.
        value: f64,
        /// Range of valid values.
        range: &'static str,
    },
    /// Groups of experts that do not fit together.
    #[error("router groups do not fit: {0}")]
    Groups(String),
    /// A trace that does not say who goes where.
    #[error("router.trace is not a trace of this model: {0}")]
    Trace(String),
    /// Parts that do not fit together.
    #[error("router parts do not fit: {0}")]
    Parts(String),
    /// A key that the chosen parts do not use.
    #[error(
        "router.{key} has no effect here: it needs {needs}. Leave the key out, or choose that part"
    )]
    Unused {
        /// The configuration key.
        key: &'static str,
        /// The choice that would use it.
        needs: &'static str,
    },
    /// The weight of a balance loss that is no weight.
    #[error("balance.{loss} = {value} is out of range: it must be a finite number of at least 0")]
    Weight {
        /// The loss.
        loss: &'static str,
        /// The value given.
        value: f64,
    },
    /// A balance loss of weight above 0 that the router gives nothing to work on.
    #[error(
        "balance.{loss} has no effect with router.name = \"{router}\": it needs {needs}. Set it to 0, or choose another router"
    )]
    Unfed {
        /// The loss.
        loss: &'static str,
        /// The router.
        router: &'static str,
        /// Parts that the router's routings would have to carry.
        needs: &'static str,
    },
}

/// Checks that a token can choose `top_k` of `n_experts` experts.
///
/// # Errors
///
/// Returns an error if it can choose none, or more than there are.
pub fn check_top_k(top_k: usize, n_experts: usize) -> Result<(), RouterError> {
    if top_k == 0 {
        return Err(RouterError::Range {
            key: "top_k",
            value: 0.0,
            range: "at least 1",
        });
    }
    if top_k > n_experts {
        return Err(RouterError::TopK { top_k, n_experts });
    }
    Ok(())
}

/// Checks that a factor is a positive, finite number.
pub(crate) fn check_positive(key: &'static str, value: f64) -> Result<(), RouterError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(RouterError::Range {
        key,
        value,
        range: "a finite number above 0",
    })
}

/// Checks that a number is finite and not negative.
pub(crate) fn check_not_negative(key: &'static str, value: f64) -> Result<(), RouterError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(RouterError::Range {
        key,
        value,
        range: "a finite number of at least 0",
    })
}

/// Checks that a token can take two experts.
pub(crate) fn check_pair(n_experts: usize) -> Result<(), RouterError> {
    if n_experts >= 2 {
        return Ok(());
    }
    Err(RouterError::Parts(format!(
        "a token takes up to two experts, but experts.n_experts = {n_experts}: set it to 2 or more"
    )))
}
