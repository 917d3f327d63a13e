//! Pictures of errors: where they are, how they are distributed, when they occur, and what was claimed of them.

use std::fmt::Write;
use std::ops::Range;

use nalgebra::Vector3;
use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use crate::evaluation::canvas::{
    Area, FONT, METHODS, Mark, TRAINING, TRUTH, draw_key, draw_scale, drawn, equal_scale, failed, key_height,
    log_label, logarithmic, method_key, scale_colour, widest_axes,
};
use crate::evaluation::consistency::{pose_nees, sigmas};
use crate::evaluation::files::error_fields;
use crate::evaluation::timeline::Timeline;
use crate::evaluation::{FrameResult, PoseError, fusion_plots, plots};
use crate::geometry::Se3;
use crate::{Result, Stamp};

/// Share of the errors below the red end of the scale.
const COLOURED_SHARE: f64 = 0.95;
/// Median and 95 % quantile of the length of a vector of three independent standard normals: by which an error of three
/// axes exceeds the deviation of one (chi with three degrees of freedom).
const CHI_3: [(f64, &str); 2] = [(1.538, "half of the errors lie below"), (2.795, "95 % lie below")];

/// The true positions from above, coloured by the error of the answer there, over the training path.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn trajectory(training: &[Se3], results: &[FrameResult]) -> Result<Figure> {
    let errors: Vec<PoseError> = results.iter().map(FrameResult::error).collect();
    let highest = quantile(errors.iter().map(|error| error.translation), COLOURED_SHARE).unwrap_or(1.0).max(1e-3);
    let svg = drawn((980, 720), |area| {
        let (plot, margin) = area.split_horizontally(860);
        draw_places(&plot, training, results, highest)?;
        let texts = [0.0, 0.5, 1.0].map(|share| format!("{:.2} m", share * highest));
        let last = format!("{} +", texts[2]);
        draw_scale(&margin, (12, 110), 480, [&texts[0], &texts[1], &last], "error")
    })?;
    let mut csv = String::from("name,truth_tx,truth_ty,truth_tz,translation_error_m,rotation_error_deg\n");
    for (result, error) in results.iter().zip(&errors) {
        // Writing to a String cannot fail, here and below.
        let _ =
            writeln!(csv, "{},{},{}", quoted(&result.name), in_metres(result.truth.translation), error_fields(*error));
    }
    let silent = match errors.iter().filter(|error| !error.is_answer()).count() {
        0 => String::new(),
        silent => format!(" Crosses: {silent} frames without an answer."),
    };
    let taught = match training.is_empty() {
        true => "",
        false => {
            " Grey: the training path. Red far from grey: the place was not taught. Red on grey: taught, and not learned."
        }
    };
    Ok(Figure {
        name: "trajectory_errors".into(),
        title: "Where the answers are wrong".into(),
        caption: format!(
            "The place from above (the plane of the two longest extents). Each dot is a test frame where it truly was, \
             coloured by how far its answer is off; the red end is the 95 % quantile and all beyond it.{silent}{taught}"
        ),
        svg,
        csv,
    })
}

fn draw_places(area: &Area, training: &[Se3], results: &[FrameResult], highest: f64) -> Result<()> {
    let (silent, answered): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.estimate.is_none());
    let mut dots: Vec<(Vector3<f64>, f64)> =
        answered.iter().map(|result| (result.truth.translation, result.error().translation / highest)).collect();
    // The greatest errors last, so that none of them hides.
    dots.sort_by(|one, other| one.1.total_cmp(&other.1));
    let crosses: Vec<Vector3<f64>> = silent.iter().map(|result| result.truth.translation).collect();
    let training: Vec<Vector3<f64>> = training.iter().map(|pose| pose.translation).collect();
    draw_plan(area, &training, &dots, &crosses)?;
    let key = [("test frame", scale_colour(0.0), Mark::Dot), ("training path", TRAINING, Mark::Dot)];
    draw_key(area, 80, &key[..if training.is_empty() { 1 } else { 2 }])
}

/// Positions in the plane of their two longest extents: small grey dots, dots in the colour of their share, crosses.
pub(super) fn draw_plan(
    area: &Area,
    grey: &[Vector3<f64>],
    dots: &[(Vector3<f64>, f64)],
    crosses: &[Vector3<f64>],
) -> Result<()> {
    let known: Vec<Vector3<f64>> =
        grey.iter().chain(dots.iter().map(|(position, _)| position)).chain(crosses).copied().collect();
    let axes = widest_axes(&known);
    let place = |position: &Vector3<f64>| (position[axes[0]], position[axes[1]]);
    let (x, y) = equal_scale(&known, axes, 780.0 / 600.0);
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .margin_top(50)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    let axis = |index: usize| format!("{} (m)", ["x", "y", "z"][index]);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_desc(axis(axes[0]))
        .y_desc(axis(axes[1]))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    chart.draw_series(grey.iter().map(|at| Circle::new(place(at), 2, TRAINING.filled()))).map_err(failed)?;
    chart.draw_series(crosses.iter().map(|at| Cross::new(place(at), 3, TRUTH.stroke_width(1)))).map_err(failed)?;
    let dots = dots.iter().map(|(at, share)| Circle::new(place(at), 4, scale_colour(*share).filled()));
    chart.draw_series(dots).map_err(failed).map(|_| ())
}

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

/// The error of each answer against its claimed standard deviation, both logarithmic; `None` without answers.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn against_sigma(results: &[FrameResult]) -> Result<Option<Figure>> {
    let answers = results.iter().filter_map(|result| Some((result, sigmas(result.estimate.as_ref()?))));
    let pairs: Vec<(&str, [f64; 2], [f64; 2])> = answers
        .map(|(result, [translation, rotation])| {
            let error = result.error();
            let errors = [error.translation, error.rotation.to_degrees()];
            (result.name.as_str(), [translation, rotation.to_degrees()], errors)
        })
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let svg = drawn((1100, 560), |area| {
        let panels = area.margin(40, 0, 0, 0).split_evenly((1, 2));
        for (index, unit) in ["m", "°"].iter().enumerate() {
            let dots: Vec<(f64, f64)> = pairs.iter().map(|(_, sigma, error)| (sigma[index], error[index])).collect();
            draw_calibration(&panels[index], &dots, unit, ["translation", "rotation"][index])?;
        }
        let key = [("answer", METHODS[0], Mark::Dot), (CHI_3[0].1, TRUTH, Mark::Line)];
        draw_key(area, 84, &[key[0], key[1], (CHI_3[1].1, METHODS[1], Mark::Line)])
    })?;
    let mut csv = String::from("name,sigma_translation_m,translation_error_m,sigma_rotation_deg,rotation_error_deg\n");
    for (name, sigma, error) in &pairs {
        let _ = writeln!(csv, "{},{:.6},{:.6},{:.6},{:.6}", quoted(name), sigma[0], error[0], sigma[1], error[1]);
    }
    Ok(Some(Figure {
        name: "error_against_sigma".into(),
        title: "Are hard frames known to be hard?".into(),
        caption: "Each dot is an answer: to the right what it claims (the standard deviation of one axis), upwards how \
                  wrong it is (over three axes). With true claims half of the dots lie below the dark line and 95 % \
                  below the coloured one, at every place along the axis. A cloud that rises to the right knows its hard \
                  frames; one that stands upright claims the same of all."
            .into(),
        svg,
        csv,
    }))
}

fn draw_calibration(area: &Area, dots: &[(f64, f64)], unit: &str, what: &str) -> Result<()> {
    let x = decades(dots.iter().map(|dot| dot.0));
    let y = decades(dots.iter().map(|dot| dot.1).chain([x.start, x.end]));
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(logarithmic(x.clone()), logarithmic(y.clone()))
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(format!("claimed sigma of the {what} ({unit})"))
        .y_desc(format!("{what} error ({unit})"))
        .x_label_formatter(&log_label)
        .y_label_formatter(&log_label)
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let shown = dots.iter().map(|(sigma, error)| (*sigma, error.clamp(y.start, y.end)));
    chart.draw_series(shown.map(|dot| Circle::new(dot, 3, METHODS[0].mix(0.5).filled()))).map_err(failed)?;
    for ((factor, _), color) in CHI_3.into_iter().zip([TRUTH, METHODS[1]]) {
        let inside = x.start.max(y.start / factor)..x.end.min(y.end / factor);
        let line = [inside.start, inside.end].map(|sigma| (sigma, factor * sigma));
        chart.draw_series(LineSeries::new(line, color.stroke_width(2))).map_err(failed)?;
    }
    Ok(())
}

/// How often each NEES occurs beside its chi-square density; `None` without answers.
///
/// # Errors
/// When a covariance is none.
pub(super) fn nees(results: &[FrameResult]) -> Result<Option<Figure>> {
    let answered = results.iter().filter_map(|result| Some((result.truth, result.estimate.as_ref()?)));
    let nees: Vec<f64> = answered.map(|(truth, estimate)| pose_nees(truth, estimate)).collect::<Result<_>>()?;
    if nees.is_empty() {
        return Ok(None);
    }
    Ok(Some(Figure {
        name: "nees".into(),
        title: "Is the covariance true?".into(),
        caption: "How often each normalized squared error occurs (bars), and how often it would with a true covariance \
                  (line: chi-square with six degrees of freedom). Bars to the right of the line: errors are greater than \
                  claimed. Bars to the left: smaller. The last bar holds all that lie beyond."
            .into(),
        svg: fusion_plots::nees_histogram(&nees)?,
        csv: fusion_plots::nees_counts(&nees).csv(),
    }))
}

/// Fixes of the network alone, the fused path and the truth from above.
///
/// # Errors
/// When there is no frame.
pub fn fused(alone: &[FrameResult], fused: &[FrameResult]) -> Result<Figure> {
    let position = |result: &FrameResult| match &result.estimate {
        Some(estimate) => in_metres(estimate.map_from_camera.translation),
        None => ",,".to_owned(),
    };
    let mut csv =
        String::from("name,truth_tx,truth_ty,truth_tz,alone_tx,alone_ty,alone_tz,fused_tx,fused_ty,fused_tz\n");
    for (alone, fused) in alone.iter().zip(fused) {
        let truth = in_metres(fused.truth.translation);
        let _ = writeln!(csv, "{},{truth},{},{}", quoted(&fused.name), position(alone), position(fused));
    }
    Ok(Figure {
        name: "fused".into(),
        title: "What the fusion makes of the network's fixes".into(),
        caption: "From above: what the network said of each image alone (dots), the fused path (coloured line, with \
                  gaps where no pose was given) and the truth (dark line)."
            .into(),
        svg: fusion_plots::fused_trajectory(alone, fused)?,
        csv,
    })
}

fn in_metres(position: Vector3<f64>) -> String {
    format!("{:.6},{:.6},{:.6}", position.x, position.y, position.z)
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
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let mut exponents: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10).collect();
    exponents.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (exponents.get(exponents.len() / 100), exponents.last()) else { return 0.01..1.0 };
    let high = high.ceil().max(low.floor() + 1.0);
    10f64.powf(low.floor().max(high - 5.0))..10f64.powf(high)
}

/// The value that a share of the finite values does not exceed.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
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

    #[test]
    fn quantiles_look_at_answers_only() {
        let values = (1..=20).map(f64::from).chain([f64::INFINITY]);
        assert_eq!(quantile(values, 0.95), Some(19.0));
        assert_eq!(quantile(std::iter::empty(), 0.95), None);
    }

    #[test]
    fn the_factors_are_quantiles_of_chi() {
        for ((factor, _), probability) in CHI_3.into_iter().zip([0.5, 0.95]) {
            let squared = crate::evaluation::consistency::chi_square_quantile(probability, 3.0).unwrap();
            assert!((squared.sqrt() - factor).abs() < 1e-3, "{factor}");
        }
    }
}
