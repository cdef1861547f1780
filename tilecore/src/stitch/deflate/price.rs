//! What symbols cost, in fractions of a bit, by integer arithmetic alone: the bytes of a picture must not depend on
//! whose logarithm rounds how.

/// Parts of a bit.
pub(super) const BIT: u32 = 256;

/// `256 * log2(1 + i / 256)`, rounded down, by squaring sixteen-bit fractions.
const FRACTIONS: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        // A number from 1 to 2 with 32 bits behind the point; squared, it is from 1 to 4, and whether it reached 2 is
        // the next bit of its logarithm.
        let mut x = (256 + i as u64) << 24;
        let mut log = 0;
        let mut bit = 0;
        while bit < 8 {
            x = ((x as u128 * x as u128) >> 32) as u64;
            log <<= 1;
            if x >= 2 << 32 {
                log |= 1;
                x >>= 1;
            }
            bit += 1;
        }
        table[i] = log;
        i += 1;
    }
    table
};

/// Base-2 logarithm in parts of a [`BIT`]; 0 for 0.
pub(super) fn log2(value: u32) -> u32 {
    let Some(whole) = value.checked_ilog2() else { return 0 };
    let fraction = if whole >= 8 { value >> (whole - 8) } else { value << (8 - whole) };
    whole * BIT + u32::from(FRACTIONS[(fraction & 0xff) as usize])
}

/// Bits, in parts, that symbols occurring so often take at their entropy.
pub(in super::super) fn entropy(counts: &[u32]) -> u64 {
    let total: u32 = counts.iter().sum();
    let whole = log2(total);
    counts.iter().map(|&c| u64::from(c) * u64::from(whole.saturating_sub(log2(c)))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_a_hundredth_of_a_bit() {
        for value in (1..70_000).chain([1 << 20, u32::MAX]) {
            let exact = f64::from(value).log2();
            let got = f64::from(log2(value)) / f64::from(BIT);
            assert!((exact - got).abs() < 0.01, "{value}: {exact} {got}");
        }
    }

    #[test]
    fn two_equally_frequent_symbols_take_a_bit_each() {
        assert_eq!(entropy(&[8, 0, 8]), 16 * u64::from(BIT));
    }
}
