//! Covariances of all variables at once: the entries of the inverse where the Cholesky factor has entries, from the last
//! supernode to the first.
//!
//! For a supernode with the columns `S` and the rows `B` below them, `G = L_BS L_SS⁻¹` and `Σ = (L Lᵀ)⁻¹`:
//! `Σ_BS = -Σ_BB G` and `Σ_SS = (L_SS L_SSᵀ)⁻¹ + Gᵀ Σ_BB G`, and `Σ_BB` lies within what is known of the supernode's
//! parent (Takahashi, Fagan and Chen 1973; Erisman and Tinney 1975). The work is a constant times that of the
//! factorization, where a solve per variable would take the square of a trajectory's length. Only supernodes with
//! children to come are kept.

use std::collections::BTreeMap;
use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView};

use super::cholesky::{SparseCholesky, Supernode};
use crate::{Error, Result};

impl SparseCholesky {
    /// The diagonal blocks of `(L Lᵀ)⁻¹` of these ranges of scalar rows, in their order. The rows of a range have to be
    /// those of one variable: the owner of the first then has entries in all of them.
    ///
    /// # Errors
    /// When a pivot is zero.
    pub fn inverse_blocks(&self, ranges: &[Range<usize>]) -> Result<Vec<DMatrix<f64>>> {
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); self.supernodes()];
        for (position, range) in ranges.iter().enumerate() {
            wanted[self.owner(range.start)].push(position);
        }
        let parent_of = |node: &Supernode<'_>| node.below.first().map(|row| self.owner(*row as usize));
        let mut children = vec![0usize; self.supernodes()];
        for parent in (0..self.supernodes()).filter_map(|number| parent_of(&self.supernode(number))) {
            children[parent] += 1;
        }
        let mut blocks = vec![DMatrix::zeros(0, 0); ranges.len()];
        let mut known: BTreeMap<usize, DMatrix<f64>> = BTreeMap::new();
        let mut place_of_row = vec![usize::MAX; self.rows()];
        for number in (0..self.supernodes()).rev() {
            let node = self.supernode(number);
            let parent = parent_of(&node);
            let of_below = match parent.and_then(|parent| Some((parent, known.get(&parent)?))) {
                None => DMatrix::zeros(0, 0),
                Some((parent, inverse)) => {
                    let rows = self.supernode(parent).rows();
                    rows.enumerate().for_each(|(place, row)| place_of_row[row] = place);
                    let places: Vec<usize> = node.below.iter().map(|row| place_of_row[*row as usize]).collect();
                    inverse.select_rows(&places).select_columns(&places)
                }
            };
            if let Some(parent) = parent {
                children[parent] -= 1;
                if children[parent] == 0 {
                    known.remove(&parent);
                }
            }
            let inverse = inverse_of(&node, &of_below)?;
            for position in &wanted[number] {
                node.rows().enumerate().for_each(|(place, row)| place_of_row[row] = place);
                let places: Vec<usize> = ranges[*position].clone().map(|row| place_of_row[row]).collect();
                blocks[*position] = inverse.select_rows(&places).select_columns(&places);
            }
            if children[number] > 0 {
                known.insert(number, inverse);
            }
        }
        Ok(blocks)
    }
}

/// The inverse's entries of a supernode's rows, its own and those below, given the ones below.
fn inverse_of(node: &Supernode<'_>, of_below: &DMatrix<f64>) -> Result<DMatrix<f64>> {
    let (width, below) = (node.width, node.below.len());
    let singular = || Error::compute("selected inverse", "a pivot is zero");
    let columns = DMatrixView::from_slice(node.values, width + below, width);
    let lower = columns.rows(0, width).lower_triangle();
    let inverse = lower.solve_lower_triangular(&DMatrix::identity(width, width)).ok_or_else(singular)?;
    let gain = columns.rows(width, below) * &inverse;
    let across = of_below * &gain;
    let mut block = DMatrix::zeros(width + below, width + below);
    block.view_mut((0, 0), (width, width)).copy_from(&(inverse.tr_mul(&inverse) + gain.tr_mul(&across)));
    block.view_mut((width, 0), (below, width)).copy_from(&-&across);
    block.view_mut((0, width), (width, below)).copy_from(&-across.transpose());
    block.view_mut((width, width), (below, below)).copy_from(of_below);
    Ok(block)
}
