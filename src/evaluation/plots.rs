//! The two pictures of a report, as SVG: the paths from above, and how the errors of all methods are distributed.

use std::ops::Range;

use nalgebra::Vector3;
use plotters::prelude::*;

use super::canvas::{
    Area, FONT, METHODS, TRAINING, TRUTH, draw_key, drawn, failed, key_height, log_label, logarithmic, method_key,
};
use super::plan::Plan;
use super::{FrameResult, PoseError};
use crate::Result;
use crate::geometry::Se3;

/// Truth, training path and estimates in the plane of the two longest extents (from above for any map that is wider
/// than high), each estimate joined to its truth by a line.
pub(super) fn trajectory(training: &[Se3], results: &[FrameResult]) -> Result<String> {
    drawn((900, 720), |area| draw_trajectory(area, training, results))
}

fn draw_trajectory(area: &Area, training: &[Se3], results: &[FrameResult]) -> Result<()> {
    let truths = || results.iter().map(|result| result.truth.translation);
    let known: Vec<Vector3<f64>> = truths().chain(training.iter().map(|pose| pose.translation)).collect();
    let plan = Plan::new(&known, &known);
    let place = |position: Vector3<f64>| plan.place(position);
    let mut chart = plan.chart(area, 20)?;
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
    let shown = || answers().filter(|(_, estimate)| plan.shows(estimate.translation));
    let lines = shown().map(|(truth, estimate)| {
        PathElement::new(vec![place(truth.translation), place(estimate.translation)], METHODS[0].mix(0.6))
    });
    chart.draw_series(lines).map_err(failed)?;
    chart.draw_series(dots(truths().collect(), 2, TRUTH)).map_err(failed)?.label("truth").legend(legend(TRUTH));
    let estimates = shown().map(|(_, estimate)| estimate.translation).collect();
    let outside = match answers().count() - shown().count() {
        0 => String::new(),
        outside => format!(", {outside} outside"),
    };
    let answered = format!("estimate ({} of {} frames{outside})", answers().count(), results.len());
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

/// Share of the frames below an error, for each method: translation on the left, rotation on the right.
pub(super) fn errors(methods: &[(&str, Vec<PoseError>)]) -> Result<String> {
    let key = method_key(methods.iter().map(|(name, _)| *name));
    let above = key_height(70, 1100, &key);
    drawn((1100, 480 + above as u32), |area| {
        draw_key(area, 70, &key)?;
        let (left, right) = area.margin(above, 0, 0, 0).split_horizontally(550);
        draw_curves(&left, methods, 0.01..10.0, "translation error (m)", |error| error.translation)?;
        draw_curves(&right, methods, 0.1..180.0, "rotation error (°)", |error| error.rotation.to_degrees())
    })
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
        .build_cartesian_2d(logarithmic(range.clone()), 0.0..100.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(title)
        .y_desc("frames below (%)")
        .x_label_formatter(&log_label)
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    for ((_, errors), color) in methods.iter().zip(METHODS.iter().cycle()) {
        let curve = cumulative(errors.iter().map(value).collect(), &range);
        chart.draw_series(LineSeries::new(curve, color.stroke_width(2))).map_err(failed)?;
    }
    Ok(())
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
}
