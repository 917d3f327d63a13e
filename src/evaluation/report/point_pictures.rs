//! Pictures of what answers stand on that were measured from points: how many agree when, and whether that tells how wrong
//! an answer is.

use std::fmt::Write;
use std::ops::Range;

use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use super::error_pictures::decades;
use crate::Result;
use crate::evaluation::canvas::{Area, FONT, METHODS, Mark, TRUTH, draw_key, drawn, failed, log_label, logarithmic};
use crate::evaluation::pose_error::median;
use crate::evaluation::timeline::Timeline;
use crate::evaluation::{FrameResult, PoseError};
use crate::pnp::Evidence;

const SILENT: RGBColor = METHODS[1];

/// Points that were asked for and that agree, and what these are off by, frame after frame.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn over_time(results: &[FrameResult], evidence: &[Option<Evidence>]) -> Result<Figure> {
    let timeline = Timeline::new(results.iter().map(|result| result.stamp));
    let all = |value: fn(&Evidence) -> f64| evidence.iter().map(|one| one.as_ref().map(value)).collect::<Vec<_>>();
    let (asked, agreeing) = (all(|one| one.asked as f64), all(|one| one.inliers as f64));
    let residual = all(|one| one.residual);
    let svg = drawn((1100, 620), |area| {
        let (above, below) = area.margin(40, 0, 0, 0).split_vertically(320);
        let lines = [(&asked[..], TRUTH), (&agreeing[..], METHODS[0])];
        draw_over_time(&above, &timeline, &lines, "points")?;
        draw_over_time(&below, &timeline, &[(&residual[..], METHODS[0])], "residual (pixels)")?;
        let key = [("asked for", TRUTH, Mark::Line), ("agree with the pose", METHODS[0], Mark::Line)];
        draw_key(area, 84, &[key[0], key[1], ("no answer", SILENT, Mark::Area)])
    })?;
    let mut csv = String::from("name,stamp,asked,agreeing,residual_px\n");
    for (result, evidence) in results.iter().zip(evidence) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(csv, "{},{},", quoted(&result.name), result.stamp);
        let _ = match evidence {
            Some(Evidence { asked, inliers, residual, .. }) => writeln!(csv, "{asked},{inliers},{residual:.3}"),
            None => writeln!(csv, ",,"),
        };
    }
    Ok(Figure {
        name: "points_over_time".into(),
        title: "How many points agree".into(),
        caption: "Above: the points that were asked for in each frame and those of them that agree with its pose. Below: \
                  what the agreeing ones are off by (root mean square), pixels of the network's image; it cannot exceed the \
                  distance at which points count as agreeing. Orange: frames without an answer, where too few points agree."
            .into(),
        svg,
        csv,
    })
}

fn draw_over_time(area: &Area, timeline: &Timeline, lines: &[(&[Option<f64>], RGBColor)], title: &str) -> Result<()> {
    let values = lines.iter().flat_map(|(values, _)| values.iter().flatten());
    let highest = values.copied().fold(0.0, f64::max).max(1.0) * 1.05;
    let digits = usize::from(highest < 20.0);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..timeline.end(), 0.0..highest)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_desc(timeline.label())
        .y_desc(title)
        .y_labels(6)
        .y_label_formatter(&|value| format!("{value:.digits$}"))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let silent = timeline.seconds.iter().zip(lines[0].0).filter(|(_, value)| value.is_none());
    let marks = silent.map(|(at, _)| PathElement::new(vec![(*at, 0.0), (*at, highest)], SILENT.mix(0.6)));
    chart.draw_series(marks).map_err(failed)?;
    for (values, colour) in lines {
        for stretch in timeline.stretches(values.iter().copied()) {
            // A frame between two without an answer has no line.
            let alone = stretch.iter().filter(|_| stretch.len() == 1).map(|at| Circle::new(*at, 2, colour.filled()));
            chart.draw_series(alone).map_err(failed)?;
            chart.draw_series(LineSeries::new(stretch, colour.stroke_width(1))).map_err(failed)?;
        }
    }
    Ok(())
}

/// The error of each answer against the share of its points that agree; `None` without answers.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn against_share(results: &[FrameResult], evidence: &[Option<Evidence>]) -> Result<Option<Figure>> {
    let answers = results.iter().zip(evidence).filter_map(|(result, evidence)| Some((result, evidence.as_ref()?)));
    let pairs: Vec<(&str, f64, PoseError)> = answers
        .filter(|(result, _)| result.estimate.is_some())
        .map(|(result, evidence)| (result.name.as_str(), evidence.share(), result.error()))
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let dots = |value: fn(&PoseError) -> f64| -> Vec<(f64, f64)> {
        pairs.iter().map(|(_, share, error)| (100.0 * share, value(error))).collect()
    };
    let (translation, rotation) = (dots(|error| error.translation), dots(|error| error.rotation.to_degrees()));
    let svg = drawn((1100, 520), |area| {
        let (left, right) = area.split_horizontally(550);
        draw_against_share(&left, &translation, "translation error (m)")?;
        draw_against_share(&right, &rotation, "rotation error (°)")
    })?;
    let mut csv = String::from("name,share,translation_error_m,rotation_error_deg\n");
    for (name, share, error) in &pairs {
        let (metres, degrees) = (error.translation, error.rotation.to_degrees());
        let _ = writeln!(csv, "{},{share:.6},{metres:.6},{degrees:.6}", quoted(name));
    }
    Ok(Some(Figure {
        name: "error_against_share".into(),
        title: "Does the share of agreeing points tell how wrong an answer is?".into(),
        caption: format!(
            "Each dot is an answer: to the right the share of its points that agree, upwards how wrong it is. A cloud that \
             falls to the right: few agreeing points are a warning. {}",
            said_of(&translation)
        ),
        svg,
        csv,
    }))
}

/// What the picture shows of the position, in numbers.
fn said_of(dots: &[(f64, f64)]) -> String {
    let mut sorted = dots.to_vec();
    sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
    let quarter = sorted.len().div_ceil(4);
    let middle = |part: &[(f64, f64)]| median(&part.iter().map(|dot| dot.1).collect::<Vec<_>>()).unwrap_or(0.0);
    let (few, many) = (middle(&sorted[..quarter]), middle(&sorted[sorted.len() - quarter..]));
    let correlation = rank_correlation(dots).map_or(String::new(), |correlation| {
        format!(" The rank correlation of share and error is {correlation:.2} (-1: the share orders them exactly).")
    });
    format!(
        "The quarter of the answers with the least agreement has a median error of {few:.3} m, the quarter with the most \
         {many:.3} m.{correlation}"
    )
}

/// Spearman's rank correlation; equal values share their mean rank. `None` where one of both never changes.
fn rank_correlation(dots: &[(f64, f64)]) -> Option<f64> {
    let (one, other) = (ranks(dots.iter().map(|dot| dot.0)), ranks(dots.iter().map(|dot| dot.1)));
    let mean = (dots.len() as f64 - 1.0) / 2.0;
    let product = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - mean) * (other - mean)).sum()
    };
    let size = (product(&one, &one) * product(&other, &other)).sqrt();
    (size > 0.0).then(|| product(&one, &other) / size)
}

/// The place of each value in their order, from 0.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|one, other| values[*one] == values[*other]) {
        let rank = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        first += equal.len();
    }
    ranks
}

fn draw_against_share(area: &Area, dots: &[(f64, f64)], title: &str) -> Result<()> {
    let y: Range<f64> = decades(dots.iter().map(|dot| dot.1));
    let most = dots.iter().map(|dot| dot.0).fold(0.0, f64::max);
    // To the next tenth, so that few points that agree fill the picture.
    let end = (10.0 * (most / 10.0).ceil()).clamp(10.0, 100.0);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..end, logarithmic(y.clone()))
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("points that agree (%)")
        .y_desc(title)
        .x_label_formatter(&|percent| format!("{percent:.0}"))
        .y_label_formatter(&log_label)
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let shown = dots.iter().map(|(share, error)| (*share, error.clamp(y.start, y.end)));
    chart.draw_series(shown.map(|dot| Circle::new(dot, 3, METHODS[0].mix(0.5).filled()))).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_correlated_whatever_the_values_are() {
        let falling: Vec<(f64, f64)> = (1..=9).map(|at| (f64::from(at), 1.0 / f64::from(at))).collect();
        assert_eq!(rank_correlation(&falling), Some(-1.0));
        assert_eq!(ranks([3.0, 1.0, 3.0, 0.5].into_iter()), [2.5, 1.0, 2.5, 0.0]);
        // By hand: ranks 0, 1, 2, 3 and 0, 2, 1, 3 have 1 - 6 * 2 / (4 * 15).
        let mixed = [(1.0, 10.0), (2.0, 30.0), (3.0, 20.0), (4.0, 99.0)];
        assert!((rank_correlation(&mixed).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!((rank_correlation(&[(1.0, 2.0), (1.0, 3.0)]), rank_correlation(&[])), (None, None));
        let text = said_of(&falling);
        assert!(text.contains("a median error of 0.500 m, the quarter with the most 0.125 m. The rank"), "{text}");
    }
}
