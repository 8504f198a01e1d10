//! A matrix in the mapped file, and its product with the activations of all positions.

use crate::rows::{Addition, LANES, Rows, dot};
use gguf::{WeightType, codec};
use rayon::prelude::*;

/// Weight rows that are decoded together: few enough to stay in a core's cache, enough to reuse each activation.
const ROWS_AT_A_TIME: usize = 32;
/// Weight rows whose products with one row of activations are computed together.
const TILE: usize = 4;

/// A matrix in the file: `rows` rows of `columns` stored weights, one row an output.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(crate) weight_type: WeightType,
    pub(crate) bytes: &'a [u8],
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
}

impl<'a> Matrix<'a> {
    fn row_bytes(&self) -> usize {
        self.bytes.len().checked_div(self.rows).unwrap_or(0)
    }

    /// The `count` outputs from `first` on, as a matrix of their own: matrices that a file holds as one.
    ///
    /// # Panics
    /// Where there are not that many.
    #[must_use]
    pub fn part(&self, first: usize, count: usize) -> Matrix<'a> {
        let bytes = self.row_bytes();
        Matrix { bytes: &self.bytes[first * bytes..(first + count) * bytes], rows: count, ..*self }
    }

    /// Decodes rows `first..first + out.len() / columns` into `out`.
    fn decode(&self, first: usize, out: &mut [f64]) {
        let bytes = self.row_bytes();
        let mut single = vec![0.0; self.columns];
        for (index, row) in out.chunks_exact_mut(self.columns).enumerate() {
            let at = (first + index) * bytes;
            codec::decode(self.weight_type, &self.bytes[at..at + bytes], &mut single)
                .expect("`Weights::matrix` has checked that the rows are whole");
            for (x, &weight) in row.iter_mut().zip(&single) {
                *x = weight.into();
            }
        }
    }

    /// One row, decoded: the embedding of a token.
    pub fn row(&self, index: usize) -> Vec<f64> {
        let mut row = vec![0.0; self.columns];
        self.decode(index, &mut row);
        row
    }

    /// The product for the outputs `first..first + count` alone, for a matrix whose whole product would not fit in memory.
    pub fn multiply_part(&self, first: usize, count: usize, inputs: &Rows, addition: Addition) -> Rows {
        let positions = inputs.len();
        if positions == 0 {
            return Rows::zeros(0, count);
        }
        let mut by_output = vec![0.0; count * positions];
        let blocks = by_output.par_chunks_mut(ROWS_AT_A_TIME * positions).enumerate();
        let rows_of = |block: usize| first + block * ROWS_AT_A_TIME;
        match addition {
            Addition::Exact => blocks.for_each(|(block, out)| self.multiply_rows(rows_of(block), inputs, out)),
            Addition::Single => {
                let inputs: Vec<f32> = inputs.data.iter().map(|&x| x as f32).collect();
                blocks.for_each(|(block, out)| self.multiply_rows_in_single(rows_of(block), &inputs, out));
            }
        }
        let mut outputs = Rows::zeros(positions, count);
        transpose(&by_output, positions, &mut outputs.data);
        outputs
    }

    /// Products of consecutive weight rows with all inputs, ordered by weight row: `out[row][position]`.
    fn multiply_rows(&self, first: usize, inputs: &Rows, out: &mut [f64]) {
        let positions = inputs.len();
        let mut weights = vec![0.0; out.len() / positions * self.columns];
        self.decode(first, &mut weights);
        let tiles = weights.chunks(TILE * self.columns).zip(out.chunks_mut(TILE * positions));
        pulp::Arch::new().dispatch(|| {
            for (weights, out) in tiles {
                for (position, input) in inputs.iter().enumerate() {
                    if weights.len() == TILE * self.columns {
                        for (row, product) in dot_tile(weights, input).into_iter().enumerate() {
                            out[row * positions + position] = product;
                        }
                    } else {
                        for (row, weights) in weights.chunks_exact(self.columns).enumerate() {
                            out[row * positions + position] = dot(weights, input);
                        }
                    }
                }
            }
        });
    }

    /// [`Matrix::multiply_rows`] with [`Addition::Single`]: terms are added one after the other, and the outputs beside each other.
    fn multiply_rows_in_single(&self, first: usize, inputs: &[f32], out: &mut [f64]) {
        let positions = inputs.len() / self.columns;
        let rows = out.len() / positions;
        let mut weights = vec![0.0; rows * self.columns];
        self.decode(first, &mut weights);
        let mut by_column = vec![[0f32; ROWS_AT_A_TIME]; self.columns];
        for (row, weights) in weights.chunks_exact(self.columns).enumerate() {
            for (column, &weight) in by_column.iter_mut().zip(weights) {
                column[row] = weight as f32;
            }
        }
        pulp::Arch::new().dispatch(|| {
            for (position, input) in inputs.chunks_exact(self.columns).enumerate() {
                let mut sums = [0f32; ROWS_AT_A_TIME];
                for (weights, x) in by_column.iter().zip(input) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += weight * x;
                    }
                }
                for (row, &sum) in sums.iter().take(rows).enumerate() {
                    out[row * positions + position] = sum.into();
                }
            }
        });
    }
}

/// [`dot`] of each of [`TILE`] rows with one row, in one pass over the latter; each result has the bits of [`dot`].
#[inline(always)]
fn dot_tile(rows: &[f64], input: &[f64]) -> [f64; TILE] {
    let columns = input.len();
    let mut sums = [[0.0; LANES]; TILE];
    let whole = columns / LANES;
    let row_chunks: [&[[f64; LANES]]; TILE] =
        std::array::from_fn(|row| rows[row * columns..(row + 1) * columns].as_chunks::<LANES>().0);
    for (chunk, x) in input.as_chunks::<LANES>().0.iter().enumerate() {
        for row in 0..TILE {
            let weights = &row_chunks[row][chunk];
            for lane in 0..LANES {
                sums[row][lane] += weights[lane] * x[lane];
            }
        }
    }
    std::array::from_fn(|row| {
        let rest = rows[row * columns + whole * LANES..(row + 1) * columns].iter().zip(&input[whole * LANES..]);
        sums[row].iter().sum::<f64>() + rest.map(|(a, b)| a * b).sum::<f64>()
    })
}

/// Turns `[output][position]` into `[position][output]`.
fn transpose(by_output: &[f64], positions: usize, by_position: &mut [f64]) {
    let outputs = by_output.len() / positions;
    for (output, row) in by_output.chunks_exact(positions).enumerate() {
        for (position, &value) in row.iter().enumerate() {
            by_position[position * outputs + output] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rounding, rows::dot_with};

    #[test]
    fn tiles_have_the_bits_of_single_products() {
        for columns in [1, 7, 8, 9, 64, 67] {
            let value = |i: usize| (i as f64 * 0.37).sin();
            let rows: Vec<f64> = (0..TILE * columns).map(value).collect();
            let input: Vec<f64> = (0..columns).map(|i| value(i + 1000)).collect();
            let tile = dot_tile(&rows, &input);
            for row in 0..TILE {
                assert_eq!(tile[row].to_bits(), dot(&rows[row * columns..(row + 1) * columns], &input).to_bits());
            }
        }
    }

    #[test]
    fn a_product_worked_by_hand() {
        // Six rows, so that a whole tile and a rest occur: row r is (r, 1), the inputs are (1, 2) and (3, 4).
        let bytes: Vec<u8> = (0..6u8).flat_map(|r| [f32::from(r), 1.0]).flat_map(f32::to_le_bytes).collect();
        let matrix = Matrix { weight_type: WeightType::F32, bytes: &bytes, rows: 6, columns: 2 };
        let inputs = Rows { width: 2, data: vec![1.0, 2.0, 3.0, 4.0] };
        let outputs = matrix.multiply(&inputs, &Rounding::EXACT);
        assert_eq!(outputs.row(0), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(outputs.row(1), [4.0, 7.0, 10.0, 13.0, 16.0, 19.0]);
        for addition in [Addition::Exact, Addition::Single] {
            assert_eq!(matrix.multiply_part(4, 2, &inputs, addition).row(1), [16.0, 19.0]);
        }
    }

    #[test]
    fn sums_in_single_lose_what_f32_loses() {
        // A term too small for the last bit of the sum before it is lost, and would not be in another order.
        let bytes: Vec<u8> = [1.0f32, f32::EPSILON / 4.0, f32::EPSILON / 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
        let matrix = Matrix { weight_type: WeightType::F32, bytes: &bytes, rows: 1, columns: 3 };
        let inputs = Rows { width: 3, data: vec![1.0, 1.0, 2.0] };
        let product = |addition| matrix.multiply_part(0, 1, &inputs, addition).data[0];
        assert_eq!(product(Addition::Single), 1.0);
        assert_eq!(product(Addition::Exact), 1.0 + 0.75 * f64::from(f32::EPSILON));
        assert_eq!(dot_with(Addition::Single, &[1.0, f64::from(f32::EPSILON / 4.0)], &[1.0, 1.0]), 1.0);
    }
}
