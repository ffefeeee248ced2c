//! Records of a TFRecord file.
//!
//! ```text
//! length (8 bytes)  masked CRC-32C of the length (4)  data  masked CRC-32C of the data (4)     all little-endian
//! ```

use super::crc32c::masked_crc32c;
use std::io::{self, Write};

/// Writes a record.
pub(super) fn write_record(out: &mut dyn Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc32c(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_crc32c(data).to_le_bytes())
}

/// Reads the records of a file.
#[cfg(test)]
pub(super) fn read_records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut checked = |n: usize| {
        let (data, rest) = bytes.split_at(n);
        let (check, rest) = rest.split_at(4);
        assert_eq!(masked_crc32c(data).to_le_bytes(), check);
        bytes = rest;
        (data.to_vec(), rest.is_empty())
    };
    loop {
        let (length, _) = checked(8);
        let length = u64::from_le_bytes(length.try_into().expect("8 bytes"));
        let (data, is_last) = checked(usize::try_from(length).expect("a short record"));
        records.push(data);
        if is_last {
            return records;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let mut file = Vec::new();
        for data in [&b"123456789"[..], b"", &[7; 300]] {
            write_record(&mut file, data).expect("memory takes all");
        }
        assert_eq!(file.len(), 3 * 16 + 9 + 300);
        // the masked check of 123456789, which follows 8 + 4 + 9 bytes
        assert_eq!(file[21..25], 0xc78a_b0e5_u32.to_le_bytes());
        let records = read_records(&file);
        assert_eq!(records, [b"123456789".to_vec(), Vec::new(), vec![7; 300]]);
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_changed_byte_shows() {
        let mut file = Vec::new();
        write_record(&mut file, b"123456789").expect("memory takes all");
        file[14] ^= 1;
        read_records(&file);
    }
}
