//! The two pictures of a report, as SVG: the paths from above, and how the errors of all methods are distributed.

use std::fmt::Display;
use std::ops::Range;

use nalgebra::Vector3;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{FrameResult, PoseError};
use crate::geometry::Se3;
use crate::{Error, Result};

pub(super) const TRUTH: RGBColor = RGBColor(30, 30, 30);
const TRAINING: RGBColor = RGBColor(200, 200, 200);
pub(super) const METHODS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];
pub(super) const FONT: &str = "sans-serif";

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(super) fn failed(error: impl Display) -> Error {
    Error::compute("drawing of a picture", error)
}

/// Truth, training path and estimates in the plane of the two longest extents (from above for any map that is wider
/// than high), each estimate joined to its truth by a line.
pub(super) fn trajectory(training: &[Se3], results: &[FrameResult]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (900, 720)).into_drawing_area();
        draw_trajectory(&area, training, results)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn draw_trajectory(area: &Area, training: &[Se3], results: &[FrameResult]) -> Result<()> {
    let truths = || results.iter().map(|result| result.truth.translation);
    let known: Vec<Vector3<f64>> = truths().chain(training.iter().map(|pose| pose.translation)).collect();
    let [across, up] = widest_axes(&known);
    let place = |position: Vector3<f64>| (position[across], position[up]);
    let (x_range, y_range) = equal_scale(&known, [across, up], 780.0 / 630.0);
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(x_range, y_range)
        .map_err(failed)?;
    let axis = |index: usize| format!("{} (m)", ["x", "y", "z"][index]);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_desc(axis(across))
        .y_desc(axis(up))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let dots = |poses: Vec<Vector3<f64>>, radius: u32, color: RGBColor| {
        poses.into_iter().map(move |position| Circle::new(place(position), radius, color.filled()))
    };
    let legend = |color: RGBColor| move |(x, y): (i32, i32)| Circle::new((x + 8, y), 4, color.filled());
    if !training.is_empty() {
        let seen = training.iter().map(|pose| pose.translation).collect();
        chart.draw_series(dots(seen, 2, TRAINING)).map_err(failed)?.label("training").legend(legend(TRAINING));
    }
    let answers =
        || results.iter().filter_map(|result| Some((result.truth, result.estimate.as_ref()?.map_from_camera)));
    let lines = answers().map(|(truth, estimate)| {
        PathElement::new(vec![place(truth.translation), place(estimate.translation)], METHODS[0].mix(0.6))
    });
    chart.draw_series(lines).map_err(failed)?;
    chart.draw_series(dots(truths().collect(), 2, TRUTH)).map_err(failed)?.label("truth").legend(legend(TRUTH));
    let estimates = answers().map(|(_, estimate)| estimate.translation).collect();
    let answered = format!("estimate ({} of {} frames)", answers().count(), results.len());
    chart.draw_series(dots(estimates, 2, METHODS[0])).map_err(failed)?.label(answered).legend(legend(METHODS[0]));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 15))
        .draw()
        .map_err(failed)
}

/// The two coordinates in which the points extend furthest, in the order x, y, z.
pub(super) fn widest_axes(points: &[Vector3<f64>]) -> [usize; 2] {
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
pub(super) fn equal_scale(points: &[Vector3<f64>], axes: [usize; 2], aspect: f64) -> (Range<f64>, Range<f64>) {
    let [x, y] = axes.map(|axis| span(points, axis));
    let half_height = 0.55 * length(&y).max(length(&x) / aspect).max(0.1);
    let around = |range: Range<f64>, half: f64| {
        let middle = 0.5 * (range.start + range.end);
        middle - half..middle + half
    };
    (around(x, half_height * aspect), around(y, half_height))
}

/// Share of the frames below an error, for each method: translation on the left, rotation on the right.
pub(super) fn errors(methods: &[(&str, Vec<PoseError>)]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1100, 480)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (left, right) = area.split_horizontally(550);
        draw_curves(&left, methods, 0.01..10.0, "translation error (m)", |error| error.translation)?;
        draw_curves(&right, methods, 0.1..180.0, "rotation error (°)", |error| error.rotation.to_degrees())?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn draw_curves(
    area: &Area,
    methods: &[(&str, Vec<PoseError>)],
    range: Range<f64>,
    title: &str,
    value: fn(&PoseError) -> f64,
) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(range.clone().log_scale(), 0.0..100.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(title)
        .y_desc("frames below (%)")
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    for ((name, errors), color) in methods.iter().zip(METHODS.iter().cycle()) {
        let curve = cumulative(errors.iter().map(value).collect(), &range);
        let legend = move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2));
        chart.draw_series(LineSeries::new(curve, color.stroke_width(2))).map_err(failed)?.label(*name).legend(legend);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 14))
        .draw()
        .map_err(failed)
}

/// Steps of `(error, percent of the frames at or below it)` over the whole range; infinite errors never come.
fn cumulative(mut values: Vec<f64>, range: &Range<f64>) -> Vec<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let percent = |count: usize| 100.0 * count as f64 / values.len().max(1) as f64;
    let mut curve = vec![(range.start, percent(values.partition_point(|value| *value <= range.start)))];
    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > range.start && **value < range.end) {
        curve.push((*value, percent(index)));
        curve.push((*value, percent(index + 1)));
    }
    curve.push((range.end, percent(values.partition_point(|value| *value <= range.end))));
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_end_at_the_share_of_finite_errors() {
        let curve = cumulative(vec![f64::INFINITY, 0.5, 0.001, 2.0], &(0.01..1.0));
        assert_eq!(curve, [(0.01, 25.0), (0.5, 25.0), (0.5, 50.0), (1.0, 50.0)]);
        assert_eq!(cumulative(vec![], &(0.01..1.0)), [(0.01, 0.0), (1.0, 0.0)]);
    }

    #[test]
    fn the_picture_shows_the_widest_plane_undistorted() {
        let points = [Vector3::new(0.0, 1.0, 0.0), Vector3::new(4.0, 1.1, 1.0)];
        assert_eq!(widest_axes(&points), [0, 2]);
        let (x, y) = equal_scale(&points, [0, 2], 2.0);
        assert!((length(&x) - 2.0 * length(&y)).abs() < 1e-12 && length(&x) > 4.0);
        assert!(x.start < 0.0 && x.end > 4.0 && y.start < 0.0 && y.end > 1.0);
    }
}
