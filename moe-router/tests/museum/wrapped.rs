//! Routers of the list with one thing changed from outside.

use burn::module::Module;
use burn::tensor::Device;
use moe_router::{
    AnyRouter, Causality, Plan, Router, RouterConfig, RouterInput, RouterShape, Routing, SoftPlan,
};

/// Changes of a router's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It claims to be causal.
    ClaimsCausal,
    /// Its two soft maps change places.
    SwapsMaps,
    /// It does not see the padding, and marks it afterwards.
    IgnoresPadding,
    /// Its scores come out transposed.
    Transposes,
}

/// A router of the list and what is changed.
#[derive(Module, Debug)]
pub struct Wrapped {
    router: AnyRouter,
    #[module(skip)]
    change: Change,
}

/// Builds a changed router of the list.
pub fn wrapped(name: &'static str, change: Change) -> impl Fn(&RouterShape, &Device) -> Wrapped {
    move |shape, device| Wrapped {
        router: RouterConfig::from_name(name)
            .expect("a listed name")
            .init(shape, device),
        change,
    }
}

impl Router for Wrapped {
    fn route(&self, input: RouterInput) -> Routing {
        let mut seen = input.clone();
        if self.change == Change::IgnoresPadding {
            seen.padding = None;
        }
        let mut routing = self.router.route(seen).padding(input.padding);
        if self.change == Change::Transposes && routing.logits.dims()[0] > 0 {
            routing.logits = routing.logits.transpose();
        }
        if let (Change::SwapsMaps, Plan::Soft(plan)) = (self.change, routing.plan.clone()) {
            routing.plan = Plan::Soft(SoftPlan {
                dispatch: plan.combine,
                combine: plan.dispatch,
            });
        }
        routing
    }

    fn causality(&self) -> Causality {
        match self.change {
            Change::ClaimsCausal => Causality::Causal,
            _ => self.router.causality(),
        }
    }
}
