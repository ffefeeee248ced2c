//! The allocator of the process, and how long it keeps what is free.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of the option `mi_option_purge_delay`, the same in versions 2 and 3 of mimalloc.
const PURGE_DELAY: c_int = 15;

/// Milliseconds. A training step or a round of a benchmark may take seconds, and the next one wants the
/// same memory.
const MINUTE: c_long = 60_000;

#[allow(unsafe_code)] // the one call that the allocator's crate does not wrap
mod ffi {
    use super::{c_int, c_long};

    unsafe extern "C" {
        // SAFETY: mimalloc 2 and 3 define it so; it ignores numbers that it does not know.
        pub(super) safe fn mi_option_set_default(option: c_int, value: c_long);
        // SAFETY: as above.
        #[cfg(test)]
        pub(super) safe fn mi_option_get(option: c_int) -> c_long;
        // SAFETY: the C library takes any two numbers, and ignores those that it does not know.
        #[cfg(all(feature = "tch", target_os = "linux", target_env = "gnu"))]
        pub(super) safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
}

/// Gives free memory back to the system after a minute, not after a second: pages that come back fresh are
/// zeroed by the kernel at their first use. The environment's `MIMALLOC_PURGE_DELAY` has the last word.
pub fn keep_memory() {
    ffi::mi_option_set_default(PURGE_DELAY, MINUTE);
    keep_memory_of_c();
}

/// The same for LibTorch, whose tensors come from the C library: large blocks stay in its heap too.
#[cfg(all(feature = "tch", target_os = "linux", target_env = "gnu"))]
fn keep_memory_of_c() {
    // of malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
    const LARGE: c_int = 1 << 30;
    for (parameter, value) in [(-3, LARGE), (-1, c_int::MAX), (-2, 1 << 28)] {
        ffi::mallopt(parameter, value);
    }
}

/// Nothing else takes memory of the C library.
#[cfg(not(all(feature = "tch", target_os = "linux", target_env = "gnu")))]
fn keep_memory_of_c() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_delay_of_giving_memory_back() {
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
            return; // the environment has the last word
        }
        // the delay of mimalloc 3.3 is a second, and no other option has this default
        assert_eq!(ffi::mi_option_get(PURGE_DELAY), 1000);
        keep_memory();
        assert_eq!(ffi::mi_option_get(PURGE_DELAY), MINUTE);
    }
}
