//! The text of the report's files.

use std::fmt::Write;

use super::consistency::{pose_nees, sigmas};
use super::report::quoted;
use super::{FrameResult, Metrics, PoseError};
use crate::geometry::{Se3, tum_text};
use crate::{Error, Result, Stamp};

/// Columns of `frames.csv`: metres, quaternions, degrees; the estimate's columns are empty where there is none.
const COLUMNS: &str = "name,stamp,\
    truth_tx,truth_ty,truth_tz,truth_qx,truth_qy,truth_qz,truth_qw,\
    estimate_tx,estimate_ty,estimate_tz,estimate_qx,estimate_qy,estimate_qz,estimate_qw,\
    translation_error_m,rotation_error_deg,sigma_translation_m,sigma_rotation_deg,nees";

/// `metrics.json`: indented, with a newline at its end.
pub(super) fn json(metrics: &Metrics) -> Result<String> {
    let text = serde_json::to_string_pretty(metrics).map_err(|error| Error::compute("metrics.json", error))?;
    Ok(text + "\n")
}

/// `frames.csv`: one row per frame (RFC 4180). The sigmas are the root of the mean variance over three axes.
pub(super) fn csv(results: &[FrameResult]) -> Result<String> {
    let mut text = format!("{COLUMNS}\n");
    for result in results {
        // Writing to a String cannot fail.
        let _ = write!(text, "{},{},{},", quoted(&result.name), result.stamp, numbers(result.truth));
        match &result.estimate {
            None => text.push_str(",,,,,,,,,,,\n"),
            Some(estimate) => {
                let error = result.error();
                let [sigma_translation, sigma_rotation] = sigmas(estimate);
                let _ = writeln!(
                    text,
                    "{},{:.6},{:.6},{:.6},{:.6},{:.6}",
                    numbers(estimate.map_from_camera),
                    error.translation,
                    error.rotation.to_degrees(),
                    sigma_translation,
                    sigma_rotation.to_degrees(),
                    pose_nees(result.truth, estimate)?
                );
            }
        }
    }
    Ok(text)
}

/// `errors.csv`: one row per method and frame; no error where there is no answer.
pub(super) fn errors_csv<'a>(
    frames: impl Iterator<Item = (&'a str, Stamp)> + Clone,
    methods: &[(&str, Vec<PoseError>)],
) -> String {
    let mut text = String::from("method,name,stamp,translation_error_m,rotation_error_deg\n");
    for (method, errors) in methods {
        for ((name, stamp), error) in frames.clone().zip(errors) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{},{},{stamp},{}", quoted(method), quoted(name), error_fields(*error));
        }
    }
    text
}

/// Metres and degrees; empty without an answer.
pub(super) fn error_fields(error: PoseError) -> String {
    match error.is_answer() {
        true => format!("{:.6},{:.6}", error.translation, error.rotation.to_degrees()),
        false => ",".to_owned(),
    }
}

/// `truth.tum`: the true pose of every frame, answered or not.
pub(super) fn truth_tum(results: &[FrameResult]) -> String {
    tum_text(results.iter().map(|result| (result.stamp, result.truth)))
}

/// `estimate.tum`: the estimates there are.
pub(super) fn estimate_tum(results: &[FrameResult]) -> String {
    let estimates = results.iter().filter_map(|result| Some((result.stamp, result.estimate.as_ref()?.map_from_camera)));
    tum_text(estimates)
}

fn numbers(pose: Se3) -> String {
    let (t, [x, y, z, w]) = (pose.translation, pose.rotation.to_xyzw());
    format!("{:.6},{:.6},{:.6},{x:.9},{y:.9},{z:.9},{w:.9}", t.x, t.y, t.z)
}
