//! Weights in the mapped file, and the product of a matrix with the activations of all positions.

use crate::operations::Operations;
use gguf::{Finding, Metadata, Split, Tensor, Value, WeightType, codec};
use rayon::prelude::*;
use std::{cell::RefCell, collections::BTreeSet};
use vocabulary::{Refusal, RejectionClass};

/// Weight rows that are decoded together: few enough to stay in a core's cache, enough to reuse each activation.
const ROWS_AT_A_TIME: usize = 32;
/// Weight rows whose products with one row of activations are computed together.
const TILE: usize = 4;

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

/// A matrix in the file: `rows` rows of `columns` stored weights, one row an output.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    weight_type: WeightType,
    bytes: &'a [u8],
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

    /// The product with every row of `inputs`: `rows` outputs a position.
    pub fn multiply(&self, inputs: &Rows, operations: &dyn Operations) -> Rows {
        let inputs = self.rounded(inputs, operations);
        let positions = inputs.len();
        if positions == 0 {
            return Rows::zeros(0, self.rows);
        }
        let mut by_output = vec![0.0; self.rows * positions];
        by_output.par_chunks_mut(ROWS_AT_A_TIME * positions).enumerate().for_each(|(block, out)| {
            self.multiply_rows(block * ROWS_AT_A_TIME, &inputs, out);
        });
        let mut outputs = Rows::zeros(positions, self.rows);
        transpose(&by_output, positions, &mut outputs.data);
        outputs.iter_mut().for_each(|row| operations.outputs(row));
        outputs
    }

    /// The product for the outputs `first..first + count` alone, for a matrix whose whole product would not fit in memory.
    pub fn multiply_part(&self, first: usize, count: usize, inputs: &Rows) -> Rows {
        let positions = inputs.len();
        let mut by_output = vec![0.0; count * positions];
        by_output.par_chunks_mut(ROWS_AT_A_TIME * positions).enumerate().for_each(|(block, out)| {
            self.multiply_rows(first + block * ROWS_AT_A_TIME, inputs, out);
        });
        let mut outputs = Rows::zeros(positions, count);
        transpose(&by_output, positions, &mut outputs.data);
        outputs
    }

    /// `inputs`, rounded the way a product with this matrix rounds them.
    pub fn rounded(&self, inputs: &Rows, operations: &dyn Operations) -> Rows {
        let mut inputs = inputs.clone();
        inputs.iter_mut().for_each(|row| operations.inputs(self.weight_type, row));
        inputs
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
}

/// Partial sums of a dot product. Their number and order are fixed, so the result is the same on every processor.
const LANES: usize = 8;

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

/// A model's files, with a note of what has been read from them.
///
/// A specification that ignores a tensor or a key it does not know would not be exact, so [`Weights::finish`] refuses a file
/// with anything left over.
pub struct Weights<'a> {
    files: Split<'a>,
    architecture: &'a str,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Weights<'a> {
    /// The weights of a parsed file, or of the files of a split model.
    ///
    /// # Errors
    /// Where the first file does not name its architecture.
    pub fn new(files: impl Into<Split<'a>>) -> Result<Self, Refusal> {
        let files = files.into();
        let nothing = || Refusal::load(RejectionClass::Incomplete, "a model of no file");
        let architecture = files.files().first().ok_or_else(nothing)?.architecture().map_err(incomplete)?;
        Ok(Self { files, architecture, used: RefCell::default() })
    }

    /// The first file has the keys of all.
    fn metadata(&self) -> &Metadata<'a> {
        self.files.files()[0].metadata()
    }

    fn data(&self, file: usize, tensor: &Tensor<'a>) -> &'a [u8] {
        self.files.files()[file].data(tensor)
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> &'a str {
        self.architecture
    }

    /// The tensor and its bytes.
    fn tensor(&self, name: &str, dimensions: &[usize]) -> Result<Option<(&Tensor<'a>, &'a [u8])>, Refusal> {
        let Some((file, tensor)) = self.files.tensor(name) else { return Ok(None) };
        self.used.borrow_mut().insert(name.into());
        // A dimension of 1 at the end says nothing, and writers leave it out.
        let said = |mut dimensions: Vec<u64>| {
            while dimensions.len() > 1 && dimensions.last() == Some(&1) {
                dimensions.pop();
            }
            dimensions
        };
        if dimensions.contains(&0) {
            return Err(Refusal::load(RejectionClass::Incomplete, format!("tensor `{name}` has no elements")));
        }
        if said(tensor.dimensions.to_vec()) != said(dimensions.iter().map(|&n| n as u64).collect()) {
            let message = format!("tensor `{name}` has dimensions {:?}, not {dimensions:?}", tensor.dimensions);
            return Err(Refusal::load(RejectionClass::Incomplete, message));
        }
        // Lenient reading takes blocks that go on from one row into the next; there are no such rows to decode.
        if tensor.weight_type.row_bytes(tensor.row_len()).is_none() {
            let message = format!(
                "tensor `{name}` has rows of {} elements, not whole blocks of {}",
                tensor.row_len(),
                tensor.weight_type
            );
            return Err(Refusal::load(RejectionClass::Malformed, message));
        }
        Ok(Some((tensor, self.data(file, tensor))))
    }

    /// A matrix of `inputs` by `outputs`, where the file has it.
    ///
    /// # Errors
    /// Where it has other dimensions.
    pub fn optional_matrix(&self, name: &str, inputs: usize, outputs: usize) -> Result<Option<Matrix<'a>>, Refusal> {
        let tensor = self.tensor(name, &[inputs, outputs])?;
        Ok(tensor.map(|(tensor, bytes)| Matrix { weight_type: tensor.weight_type, bytes, rows: outputs, columns: inputs }))
    }

    /// `count` matrices of `inputs` by `outputs` in one tensor, one after another: experts.
    ///
    /// # Errors
    /// Where the tensor is missing or has other dimensions.
    pub fn matrices(&self, name: &str, inputs: usize, outputs: usize, count: usize) -> Result<Vec<Matrix<'a>>, Refusal> {
        let (tensor, bytes) = self.tensor(name, &[inputs, outputs, count])?.ok_or_else(|| missing_tensor(name))?;
        let all = Matrix { weight_type: tensor.weight_type, bytes, rows: outputs * count, columns: inputs };
        Ok((0..count).map(|index| all.part(index * outputs, outputs)).collect())
    }

    /// A matrix that must be there.
    ///
    /// # Errors
    /// Where it is missing or has other dimensions.
    pub fn matrix(&self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix<'a>, Refusal> {
        self.optional_matrix(name, inputs, outputs)?.ok_or_else(|| missing_tensor(name))
    }

    /// A vector of `len`, where the file has it.
    ///
    /// # Errors
    /// Where it has another length.
    pub fn optional_vector(&self, name: &str, len: usize) -> Result<Option<Vec<f64>>, Refusal> {
        let Some((tensor, bytes)) = self.tensor(name, &[len])? else { return Ok(None) };
        let matrix = Matrix { weight_type: tensor.weight_type, bytes, rows: 1, columns: len };
        Ok(Some(matrix.row(0)))
    }

    /// A vector that must be there.
    ///
    /// # Errors
    /// Where it is missing or has another length.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f64>, Refusal> {
        self.optional_vector(name, len)?.ok_or_else(|| missing_tensor(name))
    }

    /// Number of tokens in the vocabulary.
    ///
    /// # Errors
    /// Where there is no embedding table.
    pub fn vocabulary_size(&self) -> Result<usize, Refusal> {
        self.files.vocabulary_size().map(|size| size as usize).ok_or_else(|| missing_tensor("token_embd.weight"))
    }

    fn key(&self, suffix: &str) -> String {
        let key = format!("{}.{suffix}", self.architecture);
        self.used.borrow_mut().insert(key.clone());
        key
    }

    /// A count among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is not a non-negative integer.
    pub fn count_or(&self, suffix: &str, default: usize) -> Result<usize, Refusal> {
        Ok(self.optional_count(suffix)?.unwrap_or(default))
    }

    /// A count among the architecture's keys, where there is one. At most 2^24, so that no product of two overflows.
    fn optional_count(&self, suffix: &str) -> Result<Option<usize>, Refusal> {
        let key = self.key(suffix);
        if let Some(Value::Array(_)) = self.metadata().get(&key) {
            return Err(Refusal::Unsupported(format!(
                "the reference does not know key `{key}` as an array, one value a layer"
            )));
        }
        match self.metadata().u64(&key).map_err(incomplete)? {
            Some(value) if value > 1 << 24 => Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is {value}"))),
            value => Ok(value.map(|value| value as usize)),
        }
    }

    /// A count among the architecture's keys that must be there and not be 0.
    ///
    /// # Errors
    /// Where it is missing or out of that range.
    pub fn count(&self, suffix: &str) -> Result<usize, Refusal> {
        match self.optional_count(suffix)? {
            Some(0) => Err(Refusal::load(RejectionClass::Incomplete, format!("key `{}` is 0", self.key(suffix)))),
            Some(value) => Ok(value),
            None => Err(incomplete(self.metadata().missing(&self.key(suffix)))),
        }
    }

    /// A count for each of `layers` layers: an array, or one number for all.
    ///
    /// # Errors
    /// Where it is missing, is not made of counts, or has another length.
    pub fn count_by_layer(&self, suffix: &str, layers: usize) -> Result<Vec<usize>, Refusal> {
        let key = format!("{}.{suffix}", self.architecture);
        let Some(Value::Array(array)) = self.metadata().get(&key) else {
            return Ok(vec![self.count(suffix)?; layers]);
        };
        let key = self.key(suffix);
        let counts: Option<Vec<usize>> =
            array.values().map(|value| value.as_u64().filter(|&n| n <= 1 << 24).map(|n| n as usize)).collect();
        counts.filter(|counts| counts.len() == layers).ok_or_else(|| {
            Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is not one count for each of {layers} layers"))
        })
    }

    /// A real number among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is not a floating-point number.
    pub fn real_or(&self, suffix: &str, default: f64) -> Result<f64, Refusal> {
        Ok(self.optional_real(suffix)?.unwrap_or(default))
    }

    /// A real number among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is not a finite floating-point number.
    pub fn optional_real(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        let key = self.key(suffix);
        match self.metadata().f64(&key).map_err(incomplete)? {
            Some(value) if !value.is_finite() => {
                Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is {value}")))
            }
            value => Ok(value),
        }
    }

    /// A real number above 0 among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn positive(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        match self.optional_real(suffix)? {
            Some(value) if value <= 0.0 => Err(Refusal::Unsupported(format!(
                "key `{}` is {value}, and the reference knows numbers above 0 there",
                self.key(suffix)
            ))),
            value => Ok(value),
        }
    }

    /// A real number among the architecture's keys of which 0 means that there is none, as in llama.cpp.
    ///
    /// # Errors
    /// Where it is not a finite floating-point number.
    pub fn nonzero(&self, suffix: &str) -> Result<Option<f64>, Refusal> {
        Ok(self.optional_real(suffix)?.filter(|&value| value != 0.0))
    }

    /// A real number among the architecture's keys that must be there.
    ///
    /// # Errors
    /// Where it is missing or not a finite floating-point number.
    pub fn real(&self, suffix: &str) -> Result<f64, Refusal> {
        let value = self.optional_real(suffix)?;
        value.ok_or_else(|| incomplete(self.metadata().missing(&self.key(suffix))))
    }

    /// A text among the architecture's keys, where there is one.
    ///
    /// # Errors
    /// Where it is not a text.
    pub fn text(&self, suffix: &str) -> Result<Option<&'a str>, Refusal> {
        self.metadata().str(&self.key(suffix)).map_err(incomplete)
    }

    /// A truth value among the architecture's keys, or `default`.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn flag_or(&self, suffix: &str, default: bool) -> Result<bool, Refusal> {
        let key = self.key(suffix);
        match self.metadata().get(&key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Refusal::load(RejectionClass::Incomplete, format!("key `{key}` is not a truth value"))),
        }
    }

    /// True where the file has a tensor of this name.
    pub fn has(&self, tensor: &str) -> bool {
        self.files.tensor(tensor).is_some()
    }

    /// Number of tensors in all files.
    pub fn tensor_count(&self) -> usize {
        self.files.tensors().count()
    }

    /// Declares keys that do not change the forward pass.
    pub fn ignore(&self, suffixes: &[&str]) {
        for suffix in suffixes {
            self.key(suffix);
        }
    }

    /// Refuses a file that has a tensor, or a key of its architecture, which nothing has asked for.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`], naming the first of them.
    pub fn finish(&self) -> Result<(), Refusal> {
        let used = self.used.borrow();
        let own = format!("{}.", self.architecture);
        let keys = self.metadata().iter().map(|(key, _)| key.to_string()).filter(|key| key.starts_with(&own));
        let tensors = self.files.tensors().map(|tensor| tensor.name.to_string());
        match keys.map(|name| ("key", name)).chain(tensors.map(|name| ("tensor", name))).find(|(_, name)| !used.contains(name))
        {
            None => Ok(()),
            Some((kind, name)) => Err(Refusal::Unsupported(format!(
                "the reference for {} does not know {kind} `{name}`, so its result would not be exact",
                self.architecture
            ))),
        }
    }
}

fn incomplete(finding: Finding) -> Refusal {
    Refusal::load(RejectionClass::Incomplete, finding.to_string())
}

fn missing_tensor(name: &str) -> Refusal {
    Refusal::load(RejectionClass::Incomplete, format!("tensor `{name}` is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let outputs = matrix.multiply(&inputs, &crate::Rounding::EXACT);
        assert_eq!(outputs.row(0), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(outputs.row(1), [4.0, 7.0, 10.0, 13.0, 16.0, 19.0]);
        assert_eq!(matrix.multiply_part(4, 2, &inputs).row(1), [16.0, 19.0]);
    }
}
