//! Metrics as a table for the terminal: one row per method, and below it how honest and how fast it is.

use std::fmt::Write;

use super::consistency::NeesSummary;
use super::metrics::{MethodMetrics, Metrics};

const HEADER: [&str; 10] =
    ["method", "answered", "median", "", "5cm 5°", "10cm 5°", "25cm 2°", "50cm 5°", "5m 10°", "wrong"];

/// The table of `metrics`; `-` stands for an infinite median and for what does not exist.
pub fn table(metrics: &Metrics) -> String {
    let methods = std::iter::once(&metrics.method).chain(&metrics.baselines).chain(&metrics.hindsight);
    let rows: Vec<[String; 10]> = std::iter::once(HEADER.map(String::from)).chain(methods.map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    let mut text = String::new();
    for (index, cells) in rows.iter().enumerate() {
        let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
        if index == 0 {
            text.push_str(&"-".repeat(line.chars().count()));
            text.push('\n');
        }
    }
    text.push_str(&notes(metrics));
    text
}

fn row(method: &MethodMetrics) -> [String; 10] {
    let errors = &method.errors;
    let number = |value: Option<f64>, digits: usize, unit: &str| {
        value.map_or("-".into(), |value| format!("{value:.digits$}{unit}"))
    };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    [
        method.name.clone(),
        format!("{}/{}", errors.answered, errors.frames),
        number(errors.median_translation_error, 3, " m"),
        number(errors.median_rotation_error, 2, "°"),
        percent(errors.recall_5cm_5deg),
        percent(errors.recall_10cm_5deg),
        percent(errors.recall_25cm_2deg),
        percent(errors.recall_50cm_5deg),
        percent(errors.recall_5m_10deg),
        errors.wrong_rate.map_or("-".into(), percent),
    ]
}

/// What the table does not show: trajectory errors, consistency, timings, and whether the baselines are beaten.
fn notes(metrics: &Metrics) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    if let Some(trajectory) = &metrics.trajectory {
        let (ate, rpe) = (trajectory.ate, trajectory.rpe_1_frame);
        let _ = writeln!(
            text,
            "ATE (no alignment) rmse {:.3} m {:.2}°, RPE (1 frame) rmse {:.3} m {:.2}°, {} answered frames",
            ate.translation.rmse,
            ate.rotation.rmse.to_degrees(),
            rpe.translation.rmse,
            rpe.rotation.rmse.to_degrees(),
            ate.pairs
        );
    }
    if let Some(consistency) = &metrics.consistency {
        for (what, nees) in [("pose", consistency.pose), ("position", consistency.position)] {
            let _ = writeln!(text, "{}", nees_line(what, &nees));
        }
    }
    if let Some(points) = &metrics.points {
        let _ = writeln!(text, "{points}");
    }
    if let Some(alignment) = &metrics.alignment {
        let _ = writeln!(text, "{alignment}");
    }
    for latency in &metrics.latency {
        let _ = writeln!(
            text,
            "{}: median {:.2} ms, p99 {:.2} ms ({} times, {}, {} threads, batch {})",
            latency.step,
            latency.median_ms,
            latency.p99_ms,
            latency.count,
            latency.device,
            latency.threads,
            latency.batch
        );
    }
    if let Some(mebibytes) = metrics.peak_memory_mib {
        let _ = writeln!(text, "memory of the process: at most {mebibytes:.0} MiB until the last frame was answered");
    }
    for baseline in metrics.baselines.iter().filter(|baseline| !beats(&metrics.method, baseline)) {
        let _ = writeln!(text, "{} does not beat {} in both medians", metrics.method.name, baseline.name);
    }
    text
}

fn nees_line(what: &str, nees: &NeesSummary) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    format!(
        "NEES of the {what}: mean {:.2} (true covariance: {:.2} .. {:.2}), inside the 50/90/95 % ellipsoids {} / {} / {}",
        nees.mean,
        nees.band_95_low,
        nees.band_95_high,
        percent(nees.coverage_50),
        percent(nees.coverage_90),
        percent(nees.coverage_95)
    )
}

/// Whether both medians are lower; no median is an infinite one.
pub(super) fn beats(method: &MethodMetrics, baseline: &MethodMetrics) -> bool {
    let lower = |own: Option<f64>, other: Option<f64>| own.unwrap_or(f64::INFINITY) < other.unwrap_or(f64::INFINITY);
    lower(method.errors.median_translation_error, baseline.errors.median_translation_error)
        && lower(method.errors.median_rotation_error, baseline.errors.median_rotation_error)
}
