//! The hash by which ClickHouse sums up the rows of an object: `cityHash64(RowNo)` of a `UInt32`, as the projection `by_object`
//! has it. For numbers it is the finalizer of MurmurHash3 over the number and a constant:
//! <https://github.com/ClickHouse/ClickHouse/blob/master/src/Functions/FunctionsHashing.h>, `IntHash64Impl`.

/// The hash of a row's number.
pub(super) fn row_hash(row_no: u32) -> u64 {
    let mut hash = u64::from(row_no) ^ 0x4cf2_d2ba_ae6d_a887;
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// The sum of the hashes of these numbers.
pub(crate) fn hash_of_rows(row_numbers: impl IntoIterator<Item = u32>) -> u64 {
    row_numbers.into_iter().fold(0, |sum: u64, row_no| sum.wrapping_add(row_hash(row_no)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_servers_hash() {
        // SELECT cityHash64(toUInt32(0)), cityHash64(toUInt32(1)), cityHash64(toUInt32(4000000000)), as 26.7 answers.
        let expected = [4_761_183_170_873_013_810, 10_577_349_846_663_553_072, 17_569_984_465_525_623_843];
        assert_eq!([0, 1, 4_000_000_000].map(row_hash), expected);
        assert_eq!(hash_of_rows([0, 1]), expected[0].wrapping_add(expected[1]));
    }
}
