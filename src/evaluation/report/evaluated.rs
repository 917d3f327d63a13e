//! The sections of one evaluation.

use super::{Report, Section, claim_pictures, error_pictures, latency, place_pictures, tables};
use crate::Result;
use crate::evaluation::{Evaluation, FrameResult, Metrics};

/// The report of an evaluation: tables, and the pictures that its answers allow. What needs pixels or a network is
/// added by whoever has them ([`worst_frames`](super::worst_frames), [`saliency`](super::saliency),
/// [`embedding`](super::embedding)).
///
/// # Errors
/// As [`Evaluation::summarize`], and when a picture cannot be drawn.
pub fn evaluated(evaluation: &Evaluation, results: &[FrameResult]) -> Result<Report> {
    let metrics = evaluation.summarize(results)?;
    let errors = evaluation.errors_by_method(results);
    let curves = error_pictures::curves(&errors, evaluation.errors_csv(results))?;
    let mut sections = vec![
        Section::new("Summary").with(tables::summary(&metrics)),
        Section::new("Where these numbers come from").with(tables::provenance(&metrics.provenance)),
        Section::new("How wrong").with(curves),
    ];
    let mut place = Section::new("Where").with(place_pictures::trajectory(&evaluation.training_path, results)?);
    if let Some(trajectory) = &metrics.trajectory {
        place = place.with(tables::trajectory(trajectory));
    }
    sections.push(place);
    if metrics.method.errors.answered > 0 {
        sections.push(Section::new("When").with(error_pictures::over_time(results)?));
        sections.push(uncertainty(&metrics, results)?);
    }
    if !metrics.latency.is_empty() {
        let mut speed = Section::new("How fast").with(tables::latency(&metrics.latency));
        if let Some(figure) = latency::figure(&metrics.latency)? {
            speed = speed.with(figure);
        }
        sections.push(speed);
    }
    Ok(Report {
        title: format!("{} on {}", evaluation.name, metrics.provenance.dataset),
        lead: lead(&metrics),
        sections,
    })
}

fn uncertainty(metrics: &Metrics, results: &[FrameResult]) -> Result<Section> {
    let mut section = Section::new("Is the covariance true?");
    if let Some(consistency) = &metrics.consistency {
        section = section.with(tables::consistency(consistency));
    }
    for figure in [claim_pictures::against_sigma(results)?, claim_pictures::nees(results)?].into_iter().flatten() {
        section = section.with(figure);
    }
    Ok(section)
}

/// The result in a few sentences.
fn lead(metrics: &Metrics) -> Vec<String> {
    let (name, errors) = (&metrics.method.name, &metrics.method.errors);
    let medians = match (errors.median_translation_error, errors.median_rotation_error) {
        (Some(metres), Some(degrees)) => format!("median error {metres:.3} m and {degrees:.2}°"),
        _ => "no median error, for too few frames got an answer".to_owned(),
    };
    let mut lead = vec![format!("{} of {} frames answered, {medians}.", errors.answered, errors.frames)];
    if !metrics.baselines.is_empty() {
        lead.push(format!("{name} {}.", tables::verdict(&metrics.method, &metrics.baselines).text));
    }
    if let Some(consistency) = &metrics.consistency {
        let share = 100.0 * consistency.pose.coverage_90;
        lead.push(format!("The 90 % ellipsoid holds the truth for {share:.1} % of the answers."));
    }
    lead
}
