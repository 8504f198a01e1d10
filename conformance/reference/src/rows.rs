//! Activations as rows, and the dot product that all sums of them are made by.

/// Activations: one row of `width` values a position.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Values in a row.
    pub width: usize,
    /// The rows, one after another.
    pub data: Vec<f64>,
}

impl Rows {
    /// `len` rows of zeros.
    pub fn zeros(len: usize, width: usize) -> Self {
        Self { width, data: vec![0.0; len * width] }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.width)
    }

    /// The rows in order, for writing.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.data.chunks_exact_mut(self.width)
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.width..(index + 1) * self.width]
    }

    /// Row `index`, for writing.
    pub fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.data[index * self.width..(index + 1) * self.width]
    }

    /// Multiplies by other rows of the same shape, element by element: a gate.
    pub fn multiply(&mut self, other: &Self) {
        for (x, y) in self.data.iter_mut().zip(&other.data) {
            *x *= y;
        }
    }

    /// Adds other rows of the same shape, element by element: a residual connection.
    pub fn add(&mut self, other: &Self) {
        for (x, y) in self.data.iter_mut().zip(&other.data) {
            *x += y;
        }
    }
}

/// Partial sums of a dot product. Their number and order are fixed, so the result is the same on every processor.
pub(crate) const LANES: usize = 8;

/// The dot product of two rows of equal length.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// How a product adds its terms up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition {
    /// In f64.
    Exact,
    /// In f32, one term after the other: of all orders in which a runtime may add, the one that carries the last bits of a long sum furthest.
    Single,
}

impl Addition {
    /// `sum + a * b`.
    pub(crate) fn add(self, sum: f64, a: f64, b: f64) -> f64 {
        match self {
            Self::Exact => sum + a * b,
            Self::Single => (sum as f32 + a as f32 * b as f32).into(),
        }
    }
}

/// The dot product of two rows of equal length, added up as `addition` says.
pub(crate) fn dot_with(addition: Addition, a: &[f64], b: &[f64]) -> f64 {
    match addition {
        Addition::Exact => dot(a, b),
        Addition::Single => a.iter().zip(b).fold(0.0, |sum, (&a, &b)| addition.add(sum, a, b)),
    }
}
