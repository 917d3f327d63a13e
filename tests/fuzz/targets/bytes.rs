//! Values out of a fuzzer's bytes.

/// Takes values from the front; zeros where the bytes end.
pub struct Bytes<'a>(&'a [u8]);

/// Numbers at the edges of what arithmetic can hold.
const EDGES: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    f64::EPSILON,
    1e18,
    -1e18,
    1e9,
    1e-9,
    1e-160,
];

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.0.len().min(N);
        let mut array = [0; N];
        array[..taken].copy_from_slice(&self.0[..taken]);
        self.0 = &self.0[taken..];
        array
    }

    pub fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    /// One byte for a small number or one at the edge, nine for any.
    pub fn number(&mut self) -> f64 {
        match self.byte() {
            255 => f64::from_le_bytes(self.take()),
            edge @ 224..=254 => EDGES[usize::from(edge) % EDGES.len()],
            small => (f64::from(small) - 112.0) / 16.0,
        }
    }

    /// One byte for a step of nanoseconds to seconds in either direction, nine for any.
    pub fn step(&mut self) -> i64 {
        const STEPS: [i64; 8] = [0, 1, 1_000, 1_000_000, 5_000_000, 100_000_000, 1_000_000_000, 60_000_000_000];
        match self.byte() {
            255 => self.i64(),
            byte if byte & 8 == 0 => STEPS[usize::from(byte) % 8] * i64::from(1 + byte / 16),
            byte => -STEPS[usize::from(byte) % 8],
        }
    }

    pub fn numbers<const N: usize>(&mut self) -> [f64; N] {
        std::array::from_fn(|_| self.number())
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
