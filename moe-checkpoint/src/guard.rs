//! Calls of libraries that panic at damaged files.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call` and returns its result; none if it panics, of which a hook that asks [`is_guarded`] says
/// nothing.
///
/// Values that `call` shares with its caller must not be read after a panic, which may leave them half changed.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    result.ok()
}

/// Tells whether a panic on this thread will be caught by [`guarded`] and become an error.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_calls_may_be_nested() {
        assert!(!is_guarded());
        let inner = || guarded(|| -> u8 { panic!("as planned") });
        let outer = guarded(|| (inner(), is_guarded()));
        assert_eq!(outer, Some((None, true)));
        assert!(!is_guarded());
    }
}
