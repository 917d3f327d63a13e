//! Pictures of what was claimed of errors: against the errors themselves, and as normalized errors (NEES).

use std::fmt::Write;

use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use super::error_pictures::decades;
use crate::Result;
use crate::evaluation::canvas::{Area, FONT, METHODS, Mark, TRUTH, draw_key, drawn, failed, log_label, logarithmic};
use crate::evaluation::consistency::{pose_nees, sigmas};
use crate::evaluation::{FrameResult, fusion_plots};

/// Median and 95 % quantile of the length of a vector of three independent standard normals: by which an error of three
/// axes exceeds the deviation of one (chi with three degrees of freedom).
const CHI_3: [(f64, &str); 2] = [(1.538, "half of the errors lie below"), (2.795, "95 % lie below")];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_quantiles_of_chi() {
        for ((factor, _), probability) in CHI_3.into_iter().zip([0.5, 0.95]) {
            let squared = crate::evaluation::consistency::chi_square_quantile(probability, 3.0).unwrap();
            assert!((squared.sqrt() - factor).abs() < 1e-3, "{factor}");
        }
    }
}
