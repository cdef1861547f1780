//! Bits on their way into bytes, lowest first, as deflate wants them.

/// Most bits that may be pushed between two calls of [`Bits::flush`].
pub(super) const PER_FLUSH: u32 = 56;

/// A bit sink over a byte vector that is kept larger than what is in it, so that eight bytes can always be stored.
#[derive(Default)]
pub(super) struct Bits {
    out: Vec<u8>,
    /// Whole bytes in `out` that count.
    len: usize,
    /// Bits not yet in `out`; fewer than 8 after a flush.
    pending: u64,
    count: u32,
}

impl Bits {
    /// Continues `out`, whose last byte is whole.
    pub(super) fn continuing(out: Vec<u8>) -> Self {
        Self { len: out.len(), out, pending: 0, count: 0 }
    }

    /// Makes room for `bytes` more bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let need = self.len + bytes + 16;
        if self.out.len() < need {
            self.out.resize(need, 0);
        }
    }

    /// Adds the lowest `count` bits of `value`, which has no others.
    pub(super) fn push(&mut self, value: u32, count: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += count;
    }

    /// Moves whole bytes out. Needed at least every [`PER_FLUSH`] bits.
    pub(super) fn flush(&mut self) {
        if let Some(place) = self.out.get_mut(self.len..self.len + 8) {
            place.copy_from_slice(&self.pending.to_le_bytes());
        }
        let bytes = self.count / 8;
        self.len += bytes as usize;
        self.pending >>= bytes * 8;
        self.count %= 8;
    }

    /// Adds one code per byte of `literals`; `codes` holds the code in the upper bits and its length, at most
    /// `PER_FLUSH / 4`, in the lowest four.
    pub(super) fn literals(&mut self, literals: &[u8], codes: &[u32; 256]) {
        self.reserve(literals.len() * 2);
        let (mut pending, mut count, mut len) = (self.pending, self.count, self.len);
        let out = self.out.as_mut_slice();
        let mut fours = literals.chunks_exact(4);
        for four in &mut fours {
            let [a, b, c, d] = [four[0], four[1], four[2], four[3]].map(|v| codes[usize::from(v)]);
            let (la, lb, lc) = (a & 15, b & 15, c & 15);
            let front = u64::from(a >> 4) | u64::from(b >> 4) << la;
            let back = u64::from(c >> 4) | u64::from(d >> 4) << lc;
            pending |= (front | back << (la + lb)) << count;
            count += la + lb + lc + (d & 15);
            out[len..len + 8].copy_from_slice(&pending.to_le_bytes());
            let bytes = count >> 3;
            len += bytes as usize;
            pending >>= bytes * 8;
            count &= 7;
        }
        (self.pending, self.count, self.len) = (pending, count, len);
        for &literal in fours.remainder() {
            let code = codes[usize::from(literal)];
            self.push(code >> 4, code & 15);
        }
        self.flush();
    }

    /// Fills up to a whole byte with zero bits.
    pub(super) fn align(&mut self) {
        self.count = self.count.next_multiple_of(8);
        self.flush();
    }

    /// Adds whole bytes; the sink is aligned.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        if let Some(place) = self.out.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }

    /// The bytes; the sink is aligned.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.out.truncate(self.len);
        self.out
    }
}
