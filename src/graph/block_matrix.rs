//! A sparse symmetric matrix of small dense blocks, stored as its lower triangle in the order of elimination.
//!
//! Blocks are numbered by their user; each has a *rank*, its place in the fill-reducing order. Column by column of
//! blocks, the values lie as a sparse column-major matrix of scalars, so that faer reads them as they are; diagonal
//! blocks are stored in full (their upper halves are ignored), so that within a column of blocks every scalar column has
//! the same height and a block is `rows` contiguous numbers every `height`.

use super::cholesky::elimination_order;
use crate::Result;

/// A symmetric block matrix with a fixed structure.
#[derive(Debug, Default)]
pub(super) struct BlockMatrix {
    rank_of: Vec<u32>,
    block_at: Vec<u32>,
    /// First scalar row by rank, and the number of scalars at the end.
    offset: Vec<usize>,
    /// Where the blocks of a column begin in `rows`, by rank, and the number of blocks at the end.
    column_start: Vec<usize>,
    /// Ranks of the blocks in each column, ascending: the diagonal block is first.
    rows: Vec<u32>,
    /// How many scalars lie above each block in its column.
    row_offset: Vec<u32>,
    /// Scalars in each column of the block column, by rank.
    height: Vec<usize>,
    /// Where the values of a block column begin, by rank.
    value_start: Vec<usize>,
    values: Vec<f64>,
}

/// Where the block of a row and a column number lies among the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first value.
    pub start: usize,
    /// From one of its columns to the next.
    pub stride: usize,
    /// Whether it is the transposed block that is stored: that of (column, row).
    pub transposed: bool,
}

impl BlockMatrix {
    /// A matrix of zeros with blocks of `dims` scalars each, and with the off-diagonal `pairs` (row, column) of block
    /// numbers, row above column, sorted, each once.
    ///
    /// # Errors
    /// When memory or the index range is exhausted.
    pub fn new(dims: &[u8], pairs: &[(u32, u32)]) -> Result<Self> {
        let blocks = dims.len();
        let mut start = vec![0u32; blocks + 1];
        pairs.iter().for_each(|(row, _)| start[*row as usize + 1] += 1);
        (0..blocks).for_each(|block| start[block + 1] += start[block]);
        let neighbours: Vec<u32> = pairs.iter().map(|(_, column)| *column).collect();
        let block_at = elimination_order(&start, &neighbours)?;
        let mut rank_of = vec![0u32; blocks];
        block_at.iter().enumerate().for_each(|(rank, block)| rank_of[*block as usize] = rank as u32);
        let mut matrix = Self { rank_of, block_at, ..Self::default() };
        matrix.lay_out(dims, pairs);
        Ok(matrix)
    }

    fn lay_out(&mut self, dims: &[u8], pairs: &[(u32, u32)]) {
        let diagonal = (0..dims.len() as u32).map(|rank| (rank, rank));
        let ranked = pairs.iter().map(|(row, column)| {
            let (row, column) = (self.rank_of[*row as usize], self.rank_of[*column as usize]);
            (row.min(column), row.max(column))
        });
        let mut stored: Vec<(u32, u32)> = diagonal.chain(ranked).collect();
        stored.sort_unstable();
        let dim = |rank: u32| usize::from(dims[self.block_at[rank as usize] as usize]);
        self.offset = vec![0];
        (0..dims.len()).for_each(|rank| self.offset.push(self.offset[rank] + dim(rank as u32)));
        self.column_start = vec![0];
        self.value_start = vec![0];
        for column in stored.chunk_by(|one, other| one.0 == other.0) {
            let mut height = 0;
            for (_, row) in column {
                self.rows.push(*row);
                self.row_offset.push(height as u32);
                height += dim(*row);
            }
            let rank = self.height.len();
            self.height.push(height);
            self.column_start.push(self.rows.len());
            self.value_start.push(self.value_start[rank] + height * dim(rank as u32));
        }
        self.values = vec![0.0; self.value_start[dims.len()]];
    }

    /// How many scalar rows there are.
    pub fn scalar_count(&self) -> usize {
        self.offset.last().copied().unwrap_or(0)
    }

    /// The first scalar row of a block, in the order of elimination.
    pub fn offset_of(&self, block: usize) -> usize {
        self.offset[self.rank_of[block] as usize]
    }

    /// The block that a scalar row belongs to.
    pub fn block_of_scalar(&self, row: usize) -> usize {
        self.block_at[self.offset.partition_point(|offset| *offset <= row) - 1] as usize
    }

    /// Where the block of (`row`, `column`), or its transpose, is stored; `None` if it is a structural zero.
    pub fn place(&self, row: usize, column: usize) -> Option<Place> {
        let (row_rank, column_rank) = (self.rank_of[row], self.rank_of[column]);
        let (lower, upper) = (row_rank.max(column_rank), row_rank.min(column_rank) as usize);
        let range = self.column_start[upper]..self.column_start[upper + 1];
        let index = range.start + self.rows[range].binary_search(&lower).ok()?;
        Some(Place {
            start: self.value_start[upper] + self.row_offset[index] as usize,
            stride: self.height[upper],
            transposed: row_rank < column_rank,
        })
    }

    /// Adds to the block of (`row`, `column`) with `dims` rows and columns; a structural zero stays zero.
    pub fn add(&mut self, row: usize, column: usize, dims: (usize, usize), entry: impl Fn(usize, usize) -> f64) {
        let Some(place) = self.place(row, column) else { return };
        for i in 0..dims.0 {
            for j in 0..dims.1 {
                let (stored_row, stored_column) = if place.transposed { (j, i) } else { (i, j) };
                self.values[place.start + stored_column * place.stride + stored_row] += entry(i, j);
            }
        }
    }

    /// Positions of the diagonal scalars among the values, in the order of elimination.
    pub fn diagonal_positions(&self) -> Vec<usize> {
        let column = |rank: usize| {
            let dim = self.offset[rank + 1] - self.offset[rank];
            (0..dim).map(move |scalar| self.value_start[rank] + scalar * (self.height[rank] + 1))
        };
        (0..self.height.len()).flat_map(column).collect()
    }

    /// The stored values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The stored values, for assembly.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// `xᵀ A x`, in the order of elimination.
    pub fn quadratic_form(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        for rank in 0..self.height.len() {
            for scalar in self.offset[rank]..self.offset[rank + 1] {
                let start = self.value_start[rank] + (scalar - self.offset[rank]) * self.height[rank];
                let mut column = &self.values[start..start + self.height[rank]];
                let blocks = self.column_start[rank]..self.column_start[rank + 1];
                for (index, row) in self.rows[blocks].iter().enumerate() {
                    let segment = &x[self.offset[*row as usize]..self.offset[*row as usize + 1]];
                    let (block, rest) = column.split_at(segment.len());
                    column = rest;
                    // The diagonal block is stored in full, every other one stands for its transpose too.
                    let twice = if index == 0 { 1.0 } else { 2.0 };
                    sum += twice * x[scalar] * block.iter().zip(segment).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
        sum
    }

    /// Column starts and row numbers of the stored scalars.
    pub fn scalar_pattern(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = Vec::with_capacity(self.scalar_count() + 1);
        let mut numbers = Vec::with_capacity(self.values.len());
        starts.push(0);
        for rank in 0..self.height.len() {
            let blocks = &self.rows[self.column_start[rank]..self.column_start[rank + 1]];
            for _ in self.offset[rank]..self.offset[rank + 1] {
                for row in blocks {
                    numbers.extend(self.offset[*row as usize] as u32..self.offset[*row as usize + 1] as u32);
                }
                starts.push(numbers.len() as u32);
            }
        }
        (starts, numbers)
    }

    /// Column starts and row numbers of the upper triangle: the pattern for the symbolic factorization.
    pub fn scalar_upper_pattern(&self) -> (Vec<u32>, Vec<u32>) {
        let mut columns: Vec<Vec<u32>> = vec![Vec::new(); self.height.len()];
        for rank in 0..self.height.len() {
            for row in &self.rows[self.column_start[rank] + 1..self.column_start[rank + 1]] {
                columns[*row as usize].push(rank as u32);
            }
        }
        let (mut starts, mut numbers) = (vec![0], Vec::with_capacity(self.values.len()));
        for (rank, above) in columns.iter().enumerate() {
            for scalar in self.offset[rank]..self.offset[rank + 1] {
                for row in above {
                    numbers.extend(self.offset[*row as usize] as u32..self.offset[*row as usize + 1] as u32);
                }
                numbers.extend(self.offset[rank] as u32..=scalar as u32);
                starts.push(numbers.len() as u32);
            }
        }
        (starts, numbers)
    }
}
