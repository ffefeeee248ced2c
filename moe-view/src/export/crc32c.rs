//! CRC-32C, the cyclic redundancy check with Castagnoli's polynomial (RFC 3720, section 12.1), as TFRecord masks it.

/// The polynomial, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checks of all bytes.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut check = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = check & 1;
            check >>= 1;
            if carry == 1 {
                check ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = check;
        byte += 1;
    }
    table
}

/// The check of some bytes.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |check: u32, &byte: &u8| {
        let low = check.to_le_bytes()[0] ^ byte;
        TABLE[usize::from(low)] ^ (check >> 8)
    };
    !bytes.iter().fold(!0, step)
}

/// The check as a TFRecord holds it: a check of bytes that hold their own check is worth little, so it is turned and
/// shifted.
pub(super) fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_published_one() {
        // the check value of the algorithm, and two vectors of RFC 3720, appendix B.4
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_mask_turns_by_15_bits_and_adds() {
        // 0xe3069283 turned right by 15 bits is 0x2507c60d, and 0x2507c60d + 0xa282ead8 = 0xc78ab0e5
        assert_eq!(masked_crc32c(b"123456789"), 0xc78a_b0e5);
    }
}
