//! The best instructions of the processor.

/// Defines the function `$name`, which runs `$body` compiled for the best instruction set of this processor.
///
/// The body is to be a loop that compilers vectorise, and `#[inline(always)]`. No instruction set that is used
/// contracts or reorders arithmetic, so all give the same bits.
#[doc(hidden)]
#[macro_export]
macro_rules! for_every_cpu {
    ($name:ident $(<$generic:ident: $bound:ident>)?, $body:ident, ($($arg:ident: $ty:ty),*) $(-> $out:ty)?) => {
        fn $name$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
                    $body$(::<$generic>)?($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
                    $body$(::<$generic>)?($($arg),*)
                }
                if ::std::is_x86_feature_detected!("avx512f")
                    && ::std::is_x86_feature_detected!("avx512bw")
                    && ::std::is_x86_feature_detected!("avx512dq")
                    && ::std::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has just said that it has these four.
                    return unsafe { avx512$(::<$generic>)?($($arg),*) };
                }
                if ::std::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just said that it has AVX2.
                    return unsafe { avx2$(::<$generic>)?($($arg),*) };
                }
            }
            $body$(::<$generic>)?($($arg),*)
        }
    };
}
