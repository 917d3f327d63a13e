//! Pictures of errors: how they are distributed, and when they occur.

use std::fmt::Write;
use std::ops::Range;

use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use crate::evaluation::canvas::{
    Area, FONT, METHODS, draw_key, drawn, failed, key_height, log_label, logarithmic, method_key,
};
use crate::evaluation::consistency::sigmas;
use crate::evaluation::files::error_fields;
use crate::evaluation::timeline::Timeline;
use crate::evaluation::{FrameResult, PoseError, fusion_plots, plots};
use crate::{Result, Stamp};

/// Share of the frames below an error, for every method.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn curves(methods: &[(&str, Vec<PoseError>)], csv: String) -> Result<Figure> {
    Ok(Figure {
        name: "errors".into(),
        title: "How many frames are how good".into(),
        caption: "For each error on the axis below, the share of all test frames whose answer is at least as good: the \
                  further up and left, the better. Where a curve crosses 50 % is its median; where it ends below 100 %, \
                  frames got no answer or one beyond the axis."
            .into(),
        svg: plots::errors(methods)?,
        csv,
    })
}

/// The errors of the pose's six axes over time, inside what was claimed.
///
/// # Errors
/// When there is no answer, or a covariance is none.
pub(super) fn over_time(results: &[FrameResult]) -> Result<Figure> {
    let mut csv =
        String::from("name,stamp,translation_error_m,rotation_error_deg,sigma_translation_m,sigma_rotation_deg\n");
    for result in results {
        let _ = write!(csv, "{},{},{}", quoted(&result.name), result.stamp, error_fields(result.error()));
        let _ = match result.estimate.as_ref().map(sigmas) {
            Some([translation, rotation]) => writeln!(csv, ",{translation:.6},{:.6}", rotation.to_degrees()),
            None => writeln!(csv, ",,"),
        };
    }
    Ok(Figure {
        name: "error_over_time".into(),
        title: "Errors over time, and what was claimed of them".into(),
        caption: "The error of each of the six axes of the pose (in its own axes) as a line, three claimed standard \
                  deviations as a band: a true covariance keeps 99.7 % of the line inside, and is not much wider than \
                  the line needs. Gaps: no answer, or no frame. Errors beyond the picture are drawn at its edge."
            .into(),
        svg: fusion_plots::error_over_time(results)?,
        csv,
    })
}

/// Errors of several methods on the same frames over time, both axes of the error logarithmic.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn methods_over_time(stamps: &[Stamp], methods: &[(&str, Vec<PoseError>)], csv: String) -> Result<Figure> {
    let timeline = Timeline::new(stamps.iter().copied());
    let key = method_key(methods.iter().map(|(name, _)| *name));
    let above = key_height(84, 1100, &key);
    let svg = drawn((1100, 720 + above as u32), |area| {
        draw_key(area, 84, &key)?;
        let panels = area.margin(above, 0, 0, 0).split_evenly((2, 1));
        draw_over_time(&panels[0], &timeline, methods, "translation error (m)", |error| error.translation)?;
        draw_over_time(&panels[1], &timeline, methods, "rotation error (°)", |error| error.rotation.to_degrees())
    })?;
    Ok(Figure {
        name: "errors_over_time".into(),
        title: "When each is wrong".into(),
        caption:
            "The error of every answer over time, one line per run; the axis is logarithmic. Peaks that all share \
                  are hard frames; a peak of one run alone is its own."
                .into(),
        svg,
        csv,
    })
}

fn draw_over_time(
    area: &Area,
    timeline: &Timeline,
    methods: &[(&str, Vec<PoseError>)],
    title: &str,
    value: fn(&PoseError) -> f64,
) -> Result<()> {
    let all = methods.iter().flat_map(|(_, errors)| errors.iter().map(value));
    let y = decades(all.filter(|error| error.is_finite()));
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..timeline.end(), logarithmic(y.clone()))
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(timeline.label())
        .y_desc(title)
        .y_label_formatter(&log_label)
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    for ((_, errors), color) in methods.iter().zip(METHODS.iter().cycle()) {
        let shown = errors.iter().map(|error| error.is_answer().then(|| value(error).clamp(y.start, y.end)));
        for line in timeline.stretches(shown) {
            chart.draw_series(LineSeries::new(line, color.stroke_width(1))).map_err(failed)?;
        }
    }
    Ok(())
}

/// From the power of ten below all but the least values to the one above the greatest, at most five of them.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let mut exponents: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10).collect();
    exponents.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (exponents.get(exponents.len() / 100), exponents.last()) else { return 0.01..1.0 };
    let high = high.ceil().max(low.floor() + 1.0);
    10f64.powf(low.floor().max(high - 5.0))..10f64.powf(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_powers_of_ten() {
        assert_eq!(decades([0.02, 0.5].into_iter()), 0.01..1.0);
        assert_eq!(decades([0.0, f64::INFINITY].into_iter()), 0.01..1.0);
        let wide = decades([1e-9, 3.0].into_iter());
        assert!((wide.end / wide.start - 1e5).abs() < 1.0, "{wide:?}");
        let one = decades([1.0].into_iter());
        assert!(one.start < one.end, "{one:?}");
    }
}
