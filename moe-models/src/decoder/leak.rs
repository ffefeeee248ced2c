//! Routers by which later tokens influence earlier ones.

use crate::ModelError;
use moe_router::{Causality, Router, RouterConfig};

/// Permission of a decoder to have a router by which later tokens influence earlier ones.
///
/// # Errors
///
/// Returns how the router leaks, unless `allowed`.
pub(crate) fn check_leak(router: &RouterConfig, allowed: bool) -> Result<(), ModelError> {
    match router.info().causality {
        Causality::Leaks(reason) if !allowed => Err(ModelError::Leak {
            router: router.name().to_owned(),
            reason,
        }),
        _ => Ok(()),
    }
}

/// Does what [`check_leak`] does, of a router that is built.
///
/// # Panics
///
/// Panics with how the router leaks, unless `allowed`.
pub(crate) fn assert_no_leak(router: &impl Router, allowed: bool) {
    if let (Causality::Leaks(reason), false) = (router.causality(), allowed) {
        panic!("a decoder needs a causal router: {reason}; allow_leak allows it");
    }
}
