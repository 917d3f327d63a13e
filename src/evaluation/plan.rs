//! A place from above, as a chart: positions in metres, in the plane of their two longest extents, undistorted.

use std::ops::Range;

use nalgebra::Vector3;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::canvas::{Area, FONT, failed};
use crate::Result;

/// Width of the plot by its height, in a picture of 900x720 pixels and what is near it.
const ASPECT: f64 = 1.3;

/// The chart, to draw [`Plan::place`]s into.
pub(super) type PlanChart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Which plane is looked at, and which part of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    axes: [usize; 2],
    x: Range<f64>,
    y: Range<f64>,
}

impl Plan {
    /// The plane in which `path` extends furthest (from above, for any that is wider than high), with room for all of
    /// `shown`.
    pub fn new(path: &[Vector3<f64>], shown: &[Vector3<f64>]) -> Self {
        let axes = widest_axes(path);
        let (x, y) = equal_scale(shown, axes, ASPECT);
        Self { axes, x, y }
    }

    /// Where a position is drawn.
    pub fn place(&self, position: Vector3<f64>) -> (f64, f64) {
        (position[self.axes[0]], position[self.axes[1]])
    }

    /// Whether a position lies inside the picture.
    pub fn shows(&self, position: Vector3<f64>) -> bool {
        let (x, y) = self.place(position);
        self.x.contains(&x) && self.y.contains(&y)
    }

    /// Where a position lies in the picture: the share of its width from the left and of its height from above, each from 0 to
    /// below 1; `None` outside.
    pub fn share(&self, position: Vector3<f64>) -> Option<[f64; 2]> {
        let (x, y) = self.place(position);
        let along = |value: f64, range: &Range<f64>| (value - range.start) / length(range);
        let share = [along(x, &self.x), 1.0 - along(y, &self.y)];
        share.iter().all(|share| (0.0..1.0).contains(share)).then_some(share)
    }

    /// The empty chart with its axes, `above` pixels below the upper edge.
    pub fn chart<'a, 'b>(&self, area: &'a Area<'b>, above: i32) -> Result<PlanChart<'a, 'b>> {
        let mut chart = ChartBuilder::on(area)
            .margin(20)
            .margin_top(above)
            .x_label_area_size(45)
            .y_label_area_size(60)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(failed)?;
        let name = |axis: usize| format!("{} (m)", ["x", "y", "z"][axis]);
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.08))
            .x_desc(name(self.axes[0]))
            .y_desc(name(self.axes[1]))
            .label_style((FONT, 15))
            .draw()
            .map_err(failed)?;
        Ok(chart)
    }
}

/// The two coordinates in which the points extend furthest, in the order x, y, z.
fn widest_axes(points: &[Vector3<f64>]) -> [usize; 2] {
    let least = (0..3).min_by(|a, b| length(&span(points, *a)).total_cmp(&length(&span(points, *b)))).unwrap_or(2);
    [[1, 2], [0, 2], [0, 1]][least]
}

fn span(points: &[Vector3<f64>], axis: usize) -> Range<f64> {
    points
        .iter()
        .fold(f64::INFINITY..f64::NEG_INFINITY, |range, point| range.start.min(point[axis])..range.end.max(point[axis]))
}

fn length(range: &Range<f64>) -> f64 {
    range.end - range.start
}

/// Ranges around the points with a metre as long on both axes; `aspect` is the width of the plot by its height.
fn equal_scale(points: &[Vector3<f64>], axes: [usize; 2], aspect: f64) -> (Range<f64>, Range<f64>) {
    let [x, y] = axes.map(|axis| span(points, axis));
    let half_height = 0.55 * length(&y).max(length(&x) / aspect).max(0.1);
    let around = |range: Range<f64>, half: f64| {
        let middle = 0.5 * (range.start + range.end);
        middle - half..middle + half
    };
    (around(x, half_height * aspect), around(y, half_height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_the_widest_plane_undistorted() {
        let points = [Vector3::new(0.0, 1.0, 0.0), Vector3::new(4.0, 1.1, 1.0)];
        assert_eq!(widest_axes(&points), [0, 2]);
        let (x, y) = equal_scale(&points, [0, 2], 2.0);
        assert!((length(&x) - 2.0 * length(&y)).abs() < 1e-12 && length(&x) > 4.0);
        assert!(x.start < 0.0 && x.end > 4.0 && y.start < 0.0 && y.end > 1.0);
        let plan = Plan { axes: [0, 2], x: 0.0..4.0, y: 0.0..2.0 };
        assert_eq!(plan.share(Vector3::new(1.0, 9.0, 2.0)), Some([0.25, 0.0]), "y is not looked at, and z goes up");
        assert_eq!(plan.share(Vector3::new(4.0, 0.0, 1.0)), None);
        assert_eq!(plan.share(Vector3::new(f64::NAN, 0.0, 1.0)), None);
    }
}
