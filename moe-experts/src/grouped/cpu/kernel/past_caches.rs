//! Writing past the caches.

/// Copies values that will not be read soon: a plain copy would fetch what it overwrites from memory first,
/// and drive out of the caches what the next product wants.
///
/// # Panics
///
/// Panics if the lengths differ.
pub(in super::super) fn copy_past_caches(from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has just said that it has AVX-512F.
        return unsafe { avx512(from, to) };
    }
    to.copy_from_slice(from);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(from: &[f32], to: &mut [f32]) {
    use std::arch::x86_64::{__m512, _mm_sfence, _mm512_loadu_ps, _mm512_stream_ps};
    // SAFETY: any bits are a vector of floats.
    let (head, lines, tail) = unsafe { to.align_to_mut::<__m512>() };
    let (from_head, rest) = from.split_at(head.len());
    let (from_lines, from_tail) = rest.split_at(rest.len() - tail.len());
    head.copy_from_slice(from_head);
    for (line, from) in lines.iter_mut().zip(from_lines.chunks_exact(16)) {
        // SAFETY: the chunk has 16 values, the line is aligned as a vector.
        unsafe { _mm512_stream_ps((&raw mut *line).cast(), _mm512_loadu_ps(from.as_ptr())) };
    }
    tail.copy_from_slice(from_tail);
    // other threads read after this one has said that it is done
    _mm_sfence();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_copied_whatever_the_alignment() {
        let from: Vec<f32> = (0..200).map(|i| i as f32).collect();
        for start in 0..20 {
            for length in [0, 1, 15, 16, 17, 100, 150] {
                let mut to = vec![-1.0; 200];
                copy_past_caches(&from[3..3 + length], &mut to[start..start + length]);
                assert!(to[..start].iter().all(|&x| x == -1.0));
                assert_eq!(to[start..start + length], from[3..3 + length]);
                assert!(to[start + length..].iter().all(|&x| x == -1.0));
            }
        }
    }

    #[test]
    #[should_panic]
    fn lengths_must_agree() {
        copy_past_caches(&[1.0], &mut []);
    }
}
