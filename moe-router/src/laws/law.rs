//! The parts of a law of routers and its outcomes.

use super::{Case, Subject};

/// A law of routers.
#[derive(Debug, Clone, Copy)]
pub struct Law {
    /// Its name, as reports print it.
    pub name: &'static str,
    /// Statement of the law, in one sentence.
    pub sentence: &'static str,
    /// Checks it on one case.
    pub check: fn(&Subject<'_>, &Case) -> Held,
    /// Fault of a router to which the law applies in no case; empty if there is none.
    pub if_never: &'static str,
}

/// Outcome of a law on one case.
pub type Held = Result<(), Stop>;

/// Reason why a check ended without a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The law is broken, in this way.
    Broken(String),
    /// The law says nothing about this router or this case, for this reason.
    NotApplicable(String),
}

impl Stop {
    /// The law is broken.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::Broken(message.into())
    }

    /// The law says nothing here.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::NotApplicable(reason.into())
    }
}

/// Breaks the law with a message unless the condition holds.
pub(super) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Held {
    if condition {
        Ok(())
    } else {
        Err(Stop::Broken(message()))
    }
}

/// Leaves the law aside unless the condition holds.
pub(super) fn applies(condition: bool, reason: impl Into<String>) -> Held {
    if condition {
        Ok(())
    } else {
        Err(Stop::not_applicable(reason))
    }
}
