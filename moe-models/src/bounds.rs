//! Bounds of sizes, one rule for published configurations and our own. Within them no count of a model
//! exceeds 64 bits.

/// No size may be larger.
pub const LARGEST_SIZE: usize = 1 << 20;

/// No product of sizes may be larger: their sums with small factors then stay within 64 bits.
pub const LARGEST_PRODUCT: u128 = 1 << 54;

/// The place of the first size with which a product grows too large; nothing if it does not.
pub fn overflows(sizes: impl IntoIterator<Item = u128>) -> Option<usize> {
    let mut product = 1u128;
    sizes.into_iter().position(|size| {
        product = product.saturating_mul(size);
        product > LARGEST_PRODUCT
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_size_that_is_too_much_is_found() {
        let large = LARGEST_SIZE as u128;
        assert_eq!(overflows([large, large, 1 << 14]), None); // 2^54
        assert_eq!(overflows([large, large, (1 << 14) + 1, 1]), Some(2));
        assert_eq!(overflows([0, u128::MAX, u128::MAX]), None);
        assert_eq!(overflows([u128::MAX, u128::MAX]), Some(0));
    }
}
