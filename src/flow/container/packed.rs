//! Unsigned integers of a chosen number of bytes, for rows that exist in large numbers.

/// An unsigned integer of `N` bytes, without alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct Packed<const N: usize>([u8; N]);

impl<const N: usize> Packed<N> {
    /// The largest integer: all bits are set.
    pub(in crate::flow) const MAX: Self = Self([u8::MAX; N]);
    /// Zero.
    pub(in crate::flow) const ZERO: Self = Self([0; N]);

    /// Packs a number, which must be below 2^(8N).
    #[inline]
    pub(in crate::flow) fn of(number: u64) -> Self {
        let bytes = number.to_le_bytes();
        debug_assert!(bytes[N..].iter().all(|&byte| byte == 0), "{number} has more than {N} bytes");
        Self(std::array::from_fn(|at| bytes[at]))
    }

    /// Returns the number.
    #[inline]
    pub(in crate::flow) fn get(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.0);
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [0, 1, 0xff, 0x100, 0x12_3456, 0xff_ffff] {
            assert_eq!((Packed::<3>::of(number).get(), Packed::<6>::of(number).get()), (number, number));
        }
        assert_eq!((Packed::<3>::MAX.get(), Packed::<6>::MAX.get()), ((1 << 24) - 1, (1 << 48) - 1));
        assert_eq!((Packed::<3>::ZERO, size_of::<Packed<3>>()), (Packed::of(0), 3));
    }
}
