//! From factors to normal equations: every factor's residual and Jacobian, added up where they belong.
//!
//! The blocks of `H = JᵀJ` that a factor adds to are looked up once per structure (*targets*). Factors write into buffers
//! that are used again and again, so that assembling allocates nothing.

use super::block_matrix::BlockMatrix;
use super::factor::Arguments;
use super::index::{HELD, Index};
use super::{FactorGraph, Variable};
use crate::{Error, Result};

/// A block of `H` that a factor adds `J_rowᵀ J_column` to.
#[derive(Clone, Copy, Debug)]
struct Target {
    start: u32,
    stride: u32,
    /// Positions of the two variables among the factor's keys.
    row: u16,
    column: u16,
}

/// Where everything goes, and the buffers on the way.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    targets: Vec<Target>,
    /// Where each factor's targets begin, and their number at the end.
    target_start: Vec<u32>,
    /// First scalar of each slot's variable in gradient and step; `u32::MAX` for held ones.
    pub offset_of_slot: Vec<u32>,
    residual: Vec<f64>,
    jacobian: Vec<f64>,
    /// The Jacobian in row-major order.
    transposed: Vec<f64>,
    /// First column and number of columns of each variable in the Jacobian.
    spans: Vec<(usize, usize)>,
}

impl Assembly {
    /// Looks up the places of a structure.
    pub fn lay_out(&mut self, graph: &FactorGraph, index: &Index, matrix: &BlockMatrix) {
        self.targets.clear();
        self.target_start.clear();
        self.target_start.push(0);
        let (mut longest, mut largest) = (0, 0);
        for (number, factor) in graph.factors().iter().enumerate() {
            let slots = index.slots(number);
            let blocks = || slots.iter().map(|slot| index.block_of_slot[*slot as usize]).enumerate();
            for (row, row_block) in blocks().filter(|(_, block)| *block != HELD) {
                for (column, column_block) in blocks().take(row + 1).filter(|(_, block)| *block != HELD) {
                    let Some(place) = matrix.place(row_block as usize, column_block as usize) else { continue };
                    let (row, column) = if place.transposed { (column, row) } else { (row, column) };
                    let (start, stride) = (place.start as u32, place.stride as u32);
                    self.targets.push(Target { start, stride, row: row as u16, column: column as u16 });
                }
            }
            self.target_start.push(self.targets.len() as u32);
            let columns: usize = slots.iter().map(|slot| usize::from(index.dim_of_slot[*slot as usize])).sum();
            longest = longest.max(factor.dim());
            largest = largest.max(factor.dim() * columns);
        }
        self.residual.resize(longest, 0.0);
        self.jacobian.resize(largest, 0.0);
        self.transposed.resize(largest, 0.0);
        let offset = |block: &u32| if *block == HELD { u32::MAX } else { matrix.offset_of(*block as usize) as u32 };
        self.offset_of_slot.clear();
        self.offset_of_slot.extend(index.block_of_slot.iter().map(offset));
    }

    /// The cost at the variables, in the order of the values that the system was made for.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs.
    pub fn cost(&mut self, graph: &FactorGraph, index: &Index, variables: &[Variable]) -> Result<f64> {
        let mut sum = 0.0;
        for (number, factor) in graph.factors().iter().enumerate() {
            let at = Arguments::new(factor.keys(), variables, index.slots(number));
            let residual = &mut self.residual[..factor.dim()];
            factor.evaluate(&at, residual, None)?;
            let square = square(residual);
            sum += factor.robust().map_or(square, |kernel| kernel.cost(square));
        }
        Ok(0.5 * sum)
    }

    /// Adds every factor at the variables to `gradient` and, if given, to `matrix`; returns the cost.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs, or the cost is not finite.
    pub fn assemble(
        &mut self,
        graph: &FactorGraph,
        index: &Index,
        variables: &[Variable],
        gradient: &mut [f64],
        mut matrix: Option<&mut BlockMatrix>,
    ) -> Result<f64> {
        let mut sum = 0.0;
        for (number, factor) in graph.factors().iter().enumerate() {
            let slots = index.slots(number);
            let at = Arguments::new(factor.keys(), variables, slots);
            let dim = factor.dim();
            let columns: usize = slots.iter().map(|slot| usize::from(index.dim_of_slot[*slot as usize])).sum();
            let (residual, jacobian) = (&mut self.residual[..dim], &mut self.jacobian[..dim * columns]);
            jacobian.fill(0.0);
            factor.evaluate(&at, residual, Some(jacobian))?;
            let square = square(residual);
            let cost = match factor.robust() {
                None => square,
                Some(kernel) => {
                    let scale = kernel.weight(square).sqrt();
                    residual.iter_mut().chain(jacobian.iter_mut()).for_each(|entry| *entry *= scale);
                    kernel.cost(square)
                }
            };
            if !cost.is_finite() {
                let found = format!("{cost} from {factor:?}");
                return Err(Error::message("cost of a factor", "a finite number", found));
            }
            sum += cost;
            self.add_to_gradient(index, number, dim, gradient);
            if let Some(matrix) = matrix.as_deref_mut() {
                self.add_to_matrix(number, dim, columns, matrix.values_mut());
            }
        }
        Ok(0.5 * sum)
    }

    /// Adds `Jᵀr` of the factor in the buffers, and notes where its variables stand in the Jacobian.
    fn add_to_gradient(&mut self, index: &Index, factor: usize, dim: usize, gradient: &mut [f64]) {
        let mut first = 0;
        self.spans.clear();
        for slot in index.slots(factor) {
            let width = usize::from(index.dim_of_slot[*slot as usize]);
            self.spans.push((first, width));
            let offset = self.offset_of_slot[*slot as usize];
            if offset != u32::MAX {
                let block = &self.jacobian[dim * first..dim * (first + width)];
                let gradient = &mut gradient[offset as usize..offset as usize + width];
                for (entry, column) in gradient.iter_mut().zip(block.chunks_exact(dim)) {
                    *entry += column.iter().zip(&self.residual).map(|(a, b)| a * b).sum::<f64>();
                }
            }
            first += width;
        }
    }

    /// Adds `JᵀJ` of the factor in the buffers.
    fn add_to_matrix(&mut self, factor: usize, dim: usize, columns: usize, values: &mut [f64]) {
        for (column, entries) in self.jacobian[..dim * columns].chunks_exact(dim).enumerate() {
            for (row, entry) in entries.iter().enumerate() {
                self.transposed[row * columns + column] = *entry;
            }
        }
        let range = self.target_start[factor] as usize..self.target_start[factor + 1] as usize;
        for target in &self.targets[range] {
            let (row, height) = self.spans[usize::from(target.row)];
            let (column, width) = self.spans[usize::from(target.column)];
            let a = &self.transposed[row..dim * columns];
            let b = &self.jacobian[dim * column..dim * (column + width)];
            let (values, stride) = (&mut values[target.start as usize..], target.stride as usize);
            // The two sizes that variables have.
            match height {
                6 => add_product::<6>(a, columns, b, dim, values, stride),
                _ => add_product::<3>(a, columns, b, dim, values, stride),
            }
        }
    }
}

fn square(residual: &[f64]) -> f64 {
    residual.iter().map(|entry| entry * entry).sum()
}

/// `values += AᵀB` for two blocks of a Jacobian with `dim` rows: `A`, `P` columns wide, in the transposed Jacobian's
/// rows, which are `columns` long; `B` as it is, column by column. The innermost loop runs along a column of the product
/// with a width that the compiler knows.
fn add_product<const P: usize>(a: &[f64], columns: usize, b: &[f64], dim: usize, values: &mut [f64], stride: usize) {
    for (column, b) in b.chunks_exact(dim).enumerate() {
        let mut sum = [0.0; P];
        for (row, factor) in a.chunks(columns).zip(b) {
            sum.iter_mut().zip(&row[..P]).for_each(|(sum, entry)| *sum += entry * factor);
        }
        let values = &mut values[column * stride..column * stride + P];
        values.iter_mut().zip(sum).for_each(|(value, sum)| *value += sum);
    }
}
