//! Pictures from above: where the answers are wrong, and what a fusion makes of them.

use std::fmt::Write;

use nalgebra::Vector3;
use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use crate::Result;
use crate::evaluation::canvas::{Area, Mark, TRAINING, TRUTH, draw_key, draw_scale, drawn, failed, scale_colour};
use crate::evaluation::files::error_fields;
use crate::evaluation::plan::Plan;
use crate::evaluation::{FrameResult, PoseError, fusion_plots};
use crate::geometry::Se3;

/// Share of the errors below the red end of the scale.
const COLOURED_SHARE: f64 = 0.95;

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
    let plan = Plan::new(&known, &known);
    let place = |position: &Vector3<f64>| plan.place(*position);
    let mut chart = plan.chart(area, 50)?;
    chart.draw_series(grey.iter().map(|at| Circle::new(place(at), 2, TRAINING.filled()))).map_err(failed)?;
    chart.draw_series(crosses.iter().map(|at| Cross::new(place(at), 3, TRUTH.stroke_width(1)))).map_err(failed)?;
    let dots = dots.iter().map(|(at, share)| Circle::new(place(at), 4, scale_colour(*share).filled()));
    chart.draw_series(dots).map_err(failed).map(|_| ())
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
    fn quantiles_look_at_answers_only() {
        let values = (1..=20).map(f64::from).chain([f64::INFINITY]);
        assert_eq!(quantile(values, 0.95), Some(19.0));
        assert_eq!(quantile(std::iter::empty(), 0.95), None);
    }
}
