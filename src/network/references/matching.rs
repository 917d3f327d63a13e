//! What of a frame looks like what reference frames saw: cells of its maps beside their points, by both descriptors.

use nalgebra::{DMatrix, DVector, Vector2};

use super::Reference;
use crate::alignment::FeatureMap;
use crate::pnp::Correspondence;

/// Cells of a frame that are compared, at most: those of a coarser grid over it.
const MOST_CELLS: usize = 1200;

/// A cell of a frame and a point of a reference frame that look more like each other than like any other of the two frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Match {
    /// The cell, by its place among those that are compared.
    pub(super) cell: usize,
    /// The point, by its place among those of the reference frame.
    pub(super) point: usize,
    /// The centre of the cell and the point in the map.
    pub(super) correspondence: Correspondence,
}

/// The cells of a frame.
#[derive(Debug)]
pub(super) struct Cells {
    pixels: Vec<Vector2<f64>>,
    /// Their descriptors of both levels, one cell per row.
    features_nc: DMatrix<f32>,
}

impl Cells {
    /// Those of the finer map that the coarser one has around them.
    pub(super) fn of([fine, coarse]: &[FeatureMap; 2]) -> Self {
        let [rows, columns] = fine.size();
        let step = ((rows * columns) as f64 / MOST_CELLS as f64).sqrt().ceil().max(1.0) as usize;
        let is_compared = |at: usize| (at % columns) % step == step / 2 && (at / columns) % step == step / 2;
        let (mut pixels, mut values) = (Vec::new(), Vec::new());
        for (_, (pixel, own)) in fine.cells().enumerate().filter(|(at, _)| is_compared(*at)) {
            if let Some(around) = coarse.read(&pixel) {
                pixels.push(pixel);
                values.extend_from_slice(own);
                values.extend(around);
            }
        }
        let features_nc = DMatrix::from_row_iterator(pixels.len(), fine.channels() + coarse.channels(), values);
        Self { pixels, features_nc }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.pixels.len()
    }

    /// How the frame looks altogether.
    pub(super) fn look(&self) -> DVector<f32> {
        self.features_nc.row_sum_tr().normalize()
    }

    /// What of a reference frame they show; each cell and each point once.
    pub(super) fn matches(&self, frame: &Reference) -> Vec<Match> {
        if self.pixels.is_empty() || frame.points.is_empty() {
            return Vec::new();
        }
        let alike = &self.features_nc * frame.features_cn();
        let cells: Vec<usize> = alike.column_iter().map(|of_point| of_point.imax()).collect();
        let mut points = vec![(f32::NEG_INFINITY, 0); self.count()];
        for (point, of_point) in alike.column_iter().enumerate() {
            for (best, alike) in points.iter_mut().zip(of_point) {
                if *alike > best.0 {
                    *best = (*alike, point);
                }
            }
        }
        let of_both = cells.into_iter().enumerate().filter(|&(point, cell)| points[cell].1 == point);
        let found = |(point, cell): (usize, usize)| {
            let in_map = frame.map_from_camera * frame.points[point];
            Match { cell, point, correspondence: Correspondence { pixel: self.pixels[cell], point: in_map } }
        };
        of_both.map(found).collect()
    }
}

impl Reference {
    /// The descriptors of both levels of its points, one point per column.
    fn features_cn(&self) -> DMatrix<f32> {
        let (count, [fine, coarse]) = (self.points.len(), &self.descriptors);
        let [own, around] = [fine, coarse].map(|values| values.len() / count);
        let of_points = fine.chunks_exact(own).zip(coarse.chunks_exact(around));
        let values = of_points.flat_map(|(own, around)| own.iter().chain(around).copied());
        DMatrix::from_iterator(own + around, count, values)
    }

    /// How it looks altogether, as far as its points show; `None` without any.
    pub(super) fn seen_altogether(&self) -> Option<DVector<f32>> {
        (!self.points.is_empty()).then(|| self.features_cn().column_sum().normalize())
    }
}
