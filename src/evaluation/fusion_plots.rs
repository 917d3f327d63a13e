//! Three pictures of a fused trajectory, as SVG: the path from above with and without the fusion, the errors over time
//! with what their covariance allows, and how the normalized errors (NEES) are distributed.
//!
//! Data in: [`FrameResult`]s in time order, once as the localizer alone said and once fused; `map_from_camera` may be
//! the pose of any body as long as it is the same one in both. Data out: the text of an SVG file.

use std::path::Path;

use nalgebra::Vector3;
use plotters::prelude::*;

use super::canvas::{Area, FONT, METHODS, Mark, TRUTH, draw_key, drawn, failed};
use super::consistency::pose_nees;
use super::histogram::Histogram;
use super::plan::Plan;
use super::timeline::Timeline;
use super::{FrameResult, NeesSummary};
use crate::geometry::{PoseCovariance, Vector6};
use crate::{Error, Result};

const RAW: RGBColor = METHODS[1];
const FUSED: RGBColor = METHODS[0];
/// Share of the raw fixes that the picture of the paths must show; the hopeless ones lie outside.
const SHOWN_SHARE: f64 = 0.98;
/// The truth is not known, and not drawn, over holes in time longer than this many typical steps.
const HOLE: f64 = 20.0;
/// Bars of the histogram, up to this NEES.
const LARGEST_NEES: f64 = 24.0;
const BARS: usize = 48;

/// Writes `fused.svg`, `error_over_time.svg` and `nees.svg` into a folder that is there, where any frame is answered, and
/// returns the NEES of the answers in their order.
///
/// # Errors
/// When a covariance is none, or a file cannot be written.
pub fn write_pictures(folder: &Path, raw: &[FrameResult], fused: &[FrameResult]) -> Result<Vec<f64>> {
    let answered = fused.iter().filter_map(|frame| Some((frame.truth, frame.estimate.as_ref()?)));
    let nees: Vec<f64> = answered.map(|(truth, estimate)| pose_nees(truth, estimate)).collect::<Result<_>>()?;
    if nees.is_empty() {
        return Ok(nees);
    }
    let pictures = [
        ("fused.svg", fused_trajectory(raw, fused)?),
        ("error_over_time.svg", error_over_time(fused)?),
        ("nees.svg", nees_histogram(&nees)?),
    ];
    for (name, picture) in pictures {
        let path = folder.join(name);
        std::fs::write(&path, picture).map_err(Error::io("write", &path))?;
    }
    Ok(nees)
}

/// Truth, fixes and fused path in the plane of the two longest extents; fixes far off lie outside of the picture.
///
/// # Errors
/// When there is no frame.
pub fn fused_trajectory(raw: &[FrameResult], fused: &[FrameResult]) -> Result<String> {
    refuse_empty(fused)?;
    drawn((900, 720), |area| draw_trajectory(area, raw, fused))
}

fn draw_trajectory(area: &Area, raw: &[FrameResult], fused: &[FrameResult]) -> Result<()> {
    let position = |result: &FrameResult| Some(result.estimate.as_ref()?.map_from_camera.translation);
    let truth: Vec<Vector3<f64>> = fused.iter().map(|result| result.truth.translation).collect();
    let mut known = near_fixes(raw);
    known.extend(&truth);
    known.extend(fused.iter().filter_map(position));
    let plan = Plan::new(&truth, &known);
    let place = |position: Vector3<f64>| plan.place(position);
    let mut chart = plan.chart(area, 50)?;
    let fixes: Vec<Vector3<f64>> = raw.iter().filter_map(position).collect();
    let shown: Vec<(f64, f64)> = fixes.iter().filter(|fix| plan.shows(**fix)).map(|fix| place(*fix)).collect();
    let outside = fixes.len() - shown.len();
    let dots = shown.into_iter().map(|point| Circle::new(point, 2, RAW.mix(0.55).filled()));
    chart.draw_series(dots).map_err(failed)?;
    for run in runs(fused) {
        let line = run.iter().map(|result| place(result.truth.translation));
        chart.draw_series(LineSeries::new(line, TRUTH.stroke_width(3))).map_err(failed)?;
    }
    for stretch in stretches(fused) {
        let line = stretch.iter().filter_map(position).map(place);
        chart.draw_series(LineSeries::new(line, FUSED.stroke_width(2))).map_err(failed)?;
    }
    let fixes = if outside > 0 { format!("fixes ({outside} outside)") } else { "fixes".to_owned() };
    draw_key(area, 80, &[(&fixes, RAW, Mark::Dot), ("truth", TRUTH, Mark::Line), ("fused", FUSED, Mark::Line)])
}

/// All but the fixes that are furthest from their truth.
fn near_fixes(raw: &[FrameResult]) -> Vec<Vector3<f64>> {
    let fix = |result: &FrameResult| {
        let position = result.estimate.as_ref()?.map_from_camera.translation;
        Some(((position - result.truth.translation).norm(), position))
    };
    let mut fixes: Vec<(f64, Vector3<f64>)> = raw.iter().filter_map(fix).collect();
    fixes.sort_by(|one, other| one.0.total_cmp(&other.0));
    fixes.truncate((SHOWN_SHARE * fixes.len() as f64).ceil() as usize);
    fixes.into_iter().map(|(_, position)| position).collect()
}

/// Frames without a hole of more than [`HOLE`] typical steps in time between them.
fn runs(results: &[FrameResult]) -> impl Iterator<Item = &[FrameResult]> {
    let step = |pair: &[FrameResult]| pair[1].stamp.seconds_since(pair[0].stamp);
    let mut steps: Vec<f64> = results.windows(2).map(step).collect();
    steps.sort_by(f64::total_cmp);
    let typical = steps.get(steps.len() / 2).copied().unwrap_or_default();
    results.chunk_by(move |one, next| next.stamp.seconds_since(one.stamp) <= HOLE * typical)
}

/// Neighbouring frames with an answer.
fn stretches(results: &[FrameResult]) -> impl Iterator<Item = &[FrameResult]> {
    results.split(|result| result.estimate.is_none()).filter(|stretch| !stretch.is_empty())
}

/// The error of each of the six axes of the body over time, inside three standard deviations as claimed.
///
/// # Errors
/// When there is no frame with an answer, or a covariance is none.
pub fn error_over_time(fused: &[FrameResult]) -> Result<String> {
    if fused.iter().all(|result| result.estimate.is_none()) {
        return Err(Error::message("picture", "an answer", "none"));
    }
    let timeline = Timeline::new(fused.iter().map(|result| result.stamp));
    let errors: Vec<Option<AxisError>> = fused.iter().map(AxisError::of).collect::<Result<_>>()?;
    let stretches = timeline.stretches(errors);
    drawn((1100, 760), |area| {
        let panels = area.margin(40, 0, 0, 0).split_evenly((3, 2));
        let names = ["x (cm)", "y (cm)", "z (cm)", "about x (°)", "about y (°)", "about z (°)"];
        for (axis, name) in names.iter().enumerate() {
            let scale = if axis < 3 { 100.0 } else { 1f64.to_degrees() };
            draw_axis(&panels[axis % 3 * 2 + axis / 3], (&timeline, &stretches), axis, scale, name)?;
        }
        let band = "three standard deviations as claimed";
        draw_key(area, 70, &[("error of the pose", FUSED, Mark::Line), (band, FUSED, Mark::Area)])
    })
}

/// The error of a frame in its own axes, and the standard deviations that were claimed.
struct AxisError {
    error: Vector6,
    sigmas: Vector6,
}

impl AxisError {
    fn of(result: &FrameResult) -> Result<Option<Self>> {
        let Some(estimate) = &result.estimate else { return Ok(None) };
        let sigmas = PoseCovariance::new(&estimate.covariance)?.matrix().diagonal().map(f64::sqrt);
        Ok(Some(Self { error: estimate.map_from_camera.local(result.truth), sigmas }))
    }
}

fn draw_axis(
    area: &Area,
    (timeline, stretches): (&Timeline, &[Vec<(f64, AxisError)>]),
    axis: usize,
    scale: f64,
    name: &str,
) -> Result<()> {
    let all = || stretches.iter().flatten().map(|(_, error)| error);
    // The first answers claim little: they need not all be seen.
    let mut heights: Vec<f64> =
        all().map(|error| scale * error.error[axis].abs().max(3.0 * error.sigmas[axis])).collect();
    heights.sort_by(f64::total_cmp);
    let height = 1.15 * heights[(0.98 * (heights.len() - 1) as f64) as usize];
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(if axis % 3 == 2 { 42 } else { 22 })
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..timeline.end(), -height..height)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_desc(if axis % 3 == 2 { timeline.label() } else { "" })
        .y_desc(name)
        .y_labels(5)
        .label_style((FONT, 14))
        .draw()
        .map_err(failed)?;
    let clipped = |value: f64| (scale * value).clamp(-height, height);
    for stretch in stretches {
        let edge =
            |sign: f64| move |(seconds, error): &(f64, AxisError)| (*seconds, clipped(sign * 3.0 * error.sigmas[axis]));
        let outline: Vec<(f64, f64)> =
            stretch.iter().map(edge(1.0)).chain(stretch.iter().rev().map(edge(-1.0))).collect();
        chart.draw_series([Polygon::new(outline, FUSED.mix(0.18))]).map_err(failed)?;
        let line = stretch.iter().map(|(seconds, error)| (*seconds, clipped(error.error[axis])));
        chart.draw_series(LineSeries::new(line, FUSED.stroke_width(1))).map_err(failed)?;
    }
    Ok(())
}

/// How often each NEES of a pose occurs beside the chi-square density with six degrees of freedom; larger ones than 24
/// are counted in the last bar.
///
/// # Errors
/// When there are no values.
pub fn nees_histogram(nees: &[f64]) -> Result<String> {
    let summary = NeesSummary::new(nees, 6)?;
    let histogram = nees_counts(nees);
    let highest = histogram.counts.iter().map(|count| histogram.density(*count)).fold(0.14, f64::max);
    drawn((900, 560), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(20)
            .margin_top(50)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..LARGEST_NEES, 0.0..1.1 * highest)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.1))
            .x_desc("NEES of the pose (the last bar: all from 23.5 on)")
            .y_desc("density")
            .x_label_formatter(&|nees| format!("{nees:.0}"))
            .label_style((FONT, 15))
            .draw()
            .map_err(failed)?;
        let bar =
            |(from, to, count)| Rectangle::new([(from, 0.0), (to, histogram.density(count))], FUSED.mix(0.45).filled());
        chart.draw_series(histogram.bars().map(bar)).map_err(failed)?;
        let curve = (0..=480).map(|step| f64::from(step) * LARGEST_NEES / 480.0).map(|s| (s, chi_square_6(s)));
        chart.draw_series(LineSeries::new(curve, TRUTH.stroke_width(2))).map_err(failed)?;
        let found = format!(
            "{} answers: mean {:.2}, {:.1} % within 90 %",
            nees.len(),
            summary.mean,
            100.0 * summary.coverage_90
        );
        let expected = "chi-square, 6 degrees of freedom: mean 6, 90 %";
        draw_key(area, 84, &[(&found, FUSED, Mark::Area), (expected, TRUTH, Mark::Line)])
    })
}

/// The bars of [`nees_histogram`].
pub(super) fn nees_counts(nees: &[f64]) -> Histogram {
    Histogram::new(nees, LARGEST_NEES, BARS)
}

/// Density of chi-square with six degrees of freedom.
fn chi_square_6(s: f64) -> f64 {
    s * s * (-0.5 * s).exp() / 16.0
}

fn refuse_empty(results: &[FrameResult]) -> Result<()> {
    if results.is_empty() { Err(Error::message("picture", "frames", "none")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::geometry::{Matrix6, Se3, So3};
    use crate::sensor::AbsolutePose;

    fn result(index: i64, error: Option<f64>) -> FrameResult {
        let stamp = Stamp::from_nanos(index * 100_000_000);
        let truth = Se3::new(So3::identity(), Vector3::new(0.1 * index as f64, 0.05 * index as f64, 0.0));
        let estimate = error.map(|error| {
            let map_from_camera = Se3::new(So3::identity(), truth.translation + Vector3::new(0.0, error, 0.0));
            AbsolutePose { stamp, map_from_camera, covariance: 0.01 * Matrix6::identity() }
        });
        FrameResult { name: index.to_string(), stamp, truth, estimate }
    }

    #[test]
    fn a_hopeless_fix_does_not_shrink_the_picture() {
        let mut raw: Vec<FrameResult> = (0..100).map(|index| result(index, Some(0.1))).collect();
        raw.push(result(100, Some(1e4)));
        assert!(near_fixes(&raw).iter().all(|fix| fix.norm() < 20.0));
        let fused: Vec<FrameResult> = (0..101).map(|index| result(index, Some(0.01))).collect();
        let svg = fused_trajectory(&raw, &fused).unwrap();
        assert!(svg.contains("fixes (1 outside)") && svg.contains("x (m)"), "{svg}");
    }

    #[test]
    fn the_truth_is_not_drawn_where_there_was_no_frame() {
        let results: Vec<FrameResult> = [0, 1, 2, 4, 300, 301].map(|index| result(index, None)).to_vec();
        assert_eq!(runs(&results).map(<[_]>::len).collect::<Vec<_>>(), [4, 2]);
        assert_eq!(runs(&results[..1]).count(), 1);
    }

    #[test]
    fn frames_without_an_answer_leave_gaps() {
        let results =
            [result(0, None), result(1, Some(0.0)), result(2, None), result(3, Some(0.0)), result(4, Some(0.0))];
        assert_eq!(stretches(&results).map(<[_]>::len).collect::<Vec<_>>(), [1, 2]);
        let svg = error_over_time(&results).unwrap();
        assert_eq!(svg.matches("<polygon").count(), 12, "six axes, two stretches");
        assert!(error_over_time(&results[..1]).is_err() && fused_trajectory(&[], &[]).is_err());
    }

    #[test]
    fn the_density_is_a_density_and_the_histogram_says_its_mean() {
        let total: f64 = (0..6000).map(|step| 0.01 * chi_square_6(0.01 * (f64::from(step) + 0.5))).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        let svg = nees_histogram(&[1.0, 5.0, 300.0]).unwrap();
        assert!(svg.contains("3 answers: mean 102.00, 66.7 % within 90 %"), "{svg}");
        assert!(nees_histogram(&[]).is_err());
    }
}
