//! Checks of the balance losses that a router can feed.

use super::BalanceConfig;
use crate::{Extra, Family, RouterConfig, RouterError};

impl BalanceConfig {
    /// Checks that every weight is finite and at least 0, and that the routings of the router carry what
    /// each loss of weight above 0 works on: a loss that is 0, or constant, whatever the router does is
    /// a mistake.
    ///
    /// The losses of devices are allowed for a router without groups, where an expert counts as a device,
    /// and those of assignments for any router.
    ///
    /// # Errors
    ///
    /// Returns the first loss that is wrong, and what it needs.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), RouterError> {
        let weights = self.weights();
        if let Some(&(loss, value)) = weights
            .iter()
            .find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0))
        {
            return Err(RouterError::Weight { loss, value });
        }
        let in_use = weights.iter().filter(|(_, weight)| *weight > 0.0);
        for (loss, _) in in_use {
            if let Some(needs) = missing(loss, router) {
                let router = router.name();
                return Err(RouterError::Unfed {
                    loss,
                    router,
                    needs,
                });
            }
        }
        Ok(())
    }
}

/// Names what a loss needs and the router does not have.
fn missing(loss: &str, router: &RouterConfig) -> Option<&'static str> {
    let family = router.info().family;
    let carries = |extra| router.extras().contains(&extra);
    let (fed, needs) = match loss {
        "orthogonality" => (carries(Extra::Gate), "a router with a gate that is trained"),
        "load" | "vmoe_load" => (
            carries(Extra::Noise),
            "a router with noise on its scores, such as noisy_topk or vmoe",
        ),
        "heterogeneous" => (
            carries(Extra::FreeExperts),
            "experts without a network, as moe_pp has; without them it is balance.load_balance",
        ),
        "admission" => (
            carries(Extra::Admission),
            "a router that predicts who is let in, as mixture_of_depths does",
        ),
        "l1" => (
            family != Family::Soft,
            "weights of single assignments; those of a soft router always sum to 1",
        ),
        "first_choice" => (
            !matches!(family, Family::Soft | Family::ExpertChoice),
            "a router by which tokens choose experts",
        ),
        _ => return None,
    };
    (!fed).then_some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::MixtralRouterConfig;

    fn check(loss: &str, weight: f64, router: &str) -> Result<(), RouterError> {
        let mut table = serde_json::to_value(BalanceConfig::default()).expect("a table");
        table[loss] = weight.into();
        let balance: BalanceConfig = serde_json::from_value(table).expect("weights");
        balance.validate(&RouterConfig::from_name(router).expect("a name of the list"))
    }

    #[test]
    fn a_weight_is_finite_and_not_negative() {
        let error = check("z", -1.0, "mixtral").unwrap_err().to_string();
        assert!(error.contains("balance.z = -1"), "{error}");
        let mixtral = RouterConfig::Mixtral(MixtralRouterConfig::default());
        for weight in [f64::NAN, f64::INFINITY] {
            let balance = BalanceConfig {
                kl: weight,
                ..Default::default()
            };
            let error = balance.validate(&mixtral).unwrap_err().to_string();
            assert!(error.contains("balance.kl = "), "{error}");
        }
    }

    #[test]
    fn a_loss_that_the_router_cannot_feed_is_an_error_that_says_what_it_needs() {
        for (loss, router, needs) in [
            ("admission", "mixtral", "mixture_of_depths"),
            ("l1", "soft_moe", "single assignments"),
            ("orthogonality", "hash", "a gate"),
            ("heterogeneous", "mixtral", "balance.load_balance"),
            ("load", "mixtral", "noise"),
            ("vmoe_load", "switch", "noise"),
            ("first_choice", "expert_choice", "tokens choose"),
        ] {
            let error = check(loss, 0.1, router).unwrap_err().to_string();
            let key = format!("balance.{loss} has no effect with router.name = \"{router}\"");
            assert!(error.contains(&key) && error.contains(needs), "{error}");
            assert!(check(loss, 0.0, router).is_ok());
        }
    }

    #[test]
    fn losses_with_a_meaning_are_allowed() {
        for (loss, router) in [
            ("device", "mixtral"),
            ("communication", "mixtral"),
            ("l1", "mixtral"),
            ("orthogonality", "dense"),
            ("heterogeneous", "moe_pp"),
        ] {
            assert_eq!(check(loss, 0.1, router), Ok(()), "{loss} of {router}");
        }
    }

    #[test]
    fn every_router_can_feed_its_own_losses() {
        for name in RouterConfig::NAMES {
            let router = RouterConfig::from_name(name).expect("a listed name has a default");
            assert_eq!(router.balance().validate(&router), Ok(()), "{name}");
        }
    }
}
