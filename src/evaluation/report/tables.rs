//! The tables of a report.

use super::{Cell, Table, Tone};
use crate::evaluation::metrics::{MethodMetrics, TrajectoryMetrics};
use crate::evaluation::table::beats;
use crate::evaluation::{Consistency, Latency, Metrics, PoseErrorSummary, Provenance};

/// Shares of the frames inside the 90 % ellipsoid that count as true (the band that presets are held to).
const TRUE_COVERAGE: std::ops::RangeInclusive<f64> = 0.80..=0.97;

const ERROR_COLUMNS: [&str; 10] = [
    "method",
    "answered",
    "median (m)",
    "median (°)",
    "within 5 cm, 5° (%)",
    "10 cm, 5° (%)",
    "25 cm, 2° (%)",
    "50 cm, 5° (%)",
    "5 m, 10° (%)",
    "wrong answers (%)",
];

/// One row per method: the evaluated one, its baselines, and what can be said in hindsight.
pub(super) fn summary(metrics: &Metrics) -> Table {
    let own = verdict(&metrics.method, &metrics.baselines);
    let mut rows = vec![method_row(&metrics.method.name, &metrics.method.errors, own)];
    for baseline in &metrics.baselines {
        let is_beaten = beats(&metrics.method, baseline);
        let verdict = if is_beaten { "beaten in both medians" } else { "not beaten in both medians" };
        let tone = if is_beaten { Tone::Plain } else { Tone::Bad };
        rows.push(method_row(&baseline.name, &baseline.errors, Cell { text: verdict.into(), tone }));
    }
    if let Some(hindsight) = &metrics.hindsight {
        let cell = Cell { text: "not causal, no rival".into(), tone: Tone::Aside };
        rows.push(method_row(&hindsight.name, &hindsight.errors, cell));
    }
    Table { name: "summary".into(), caption: SUMMARY_CAPTION.into(), head: error_head("beside the others"), rows }
}

pub(super) const SUMMARY_CAPTION: &str = "Medians and shares are over all frames: one without an answer is infinitely wrong. Wrong answers are more than \
     1 m or 10° off, as a share of the answers.";

/// The columns of errors, and a last one.
pub(super) fn error_head(last: &str) -> Vec<String> {
    ERROR_COLUMNS.iter().chain([&last]).map(|name| (*name).to_owned()).collect()
}

/// Whether a method beats all of its baselines in both medians.
pub(super) fn verdict(method: &MethodMetrics, baselines: &[MethodMetrics]) -> Cell {
    let unbeaten: Vec<&str> =
        baselines.iter().filter(|other| !beats(method, other)).map(|other| other.name.as_str()).collect();
    match (baselines.is_empty(), unbeaten.is_empty()) {
        (true, _) => Cell { text: "nothing to compare with".into(), tone: Tone::Aside },
        (false, true) => Cell { text: "beats all baselines".into(), tone: Tone::Good },
        (false, false) => Cell { text: format!("does not beat {}", unbeaten.join("; ")), tone: Tone::Bad },
    }
}

/// The cells of [`error_head`].
pub(super) fn method_row(name: &str, errors: &PoseErrorSummary, last: Cell) -> Vec<Cell> {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    let texts = [
        name.to_owned(),
        format!("{}/{}", errors.answered, errors.frames),
        number(errors.median_translation_error, 3),
        number(errors.median_rotation_error, 2),
        percent(errors.recall_5cm_5deg),
        percent(errors.recall_10cm_5deg),
        percent(errors.recall_25cm_2deg),
        percent(errors.recall_50cm_5deg),
        percent(errors.recall_5m_10deg),
        errors.wrong_rate.map_or("-".into(), percent),
    ];
    texts.into_iter().map(Cell::plain).chain([last]).collect()
}

/// Where the numbers come from.
pub(super) fn provenance(provenance: &Provenance) -> Table {
    let unknown = || "not known".to_owned();
    let rows = [
        ("data set", provenance.dataset.clone()),
        ("ground truth", provenance.ground_truth.clone()),
        ("split", provenance.split.clone()),
        ("seed", provenance.seed.map_or_else(unknown, |seed| seed.to_string())),
        ("weights (SHA-256)", provenance.model_sha256.clone().unwrap_or_else(unknown)),
        ("program", format!("vloc {}", env!("CARGO_PKG_VERSION"))),
        ("commit", provenance.commit.clone().unwrap_or_else(unknown)),
        ("command", provenance.command.clone()),
    ];
    let rows = rows.into_iter().map(|(what, value)| vec![Cell::plain(what), Cell::plain(value)]).collect();
    let head = vec!["what".to_owned(), "value".to_owned()];
    Table { name: "provenance".into(), caption: "What it takes to get these numbers again.".into(), head, rows }
}

/// How true the covariances are.
pub(super) fn consistency(consistency: &Consistency) -> Table {
    let head = ["of", "answers", "mean NEES", "if true", "in the 50 % ellipsoid (%)", "90 % (%)", "95 % (%)", "so"];
    let percent = |share: f64| Cell::plain(format!("{:.1}", 100.0 * share));
    let row = |(what, nees): (&str, crate::evaluation::NeesSummary)| {
        let (text, tone) = match nees.coverage_90 {
            share if TRUE_COVERAGE.contains(&share) => ("true enough", Tone::Good),
            share if share < *TRUE_COVERAGE.start() => ("claims too much", Tone::Bad),
            _ => ("claims too little", Tone::Bad),
        };
        vec![
            Cell::plain(what),
            Cell::plain(nees.count.to_string()),
            Cell::plain(format!("{:.2}", nees.mean)),
            Cell::plain(format!("{:.2} to {:.2}", nees.band_95_low, nees.band_95_high)),
            percent(nees.coverage_50),
            percent(nees.coverage_90),
            percent(nees.coverage_95),
            Cell { text: text.into(), tone },
        ]
    };
    Table {
        name: "consistency".into(),
        caption:
            "NEES: squared error by claimed covariance; its mean would be the degrees of freedom (6 for a pose, 3 \
                  for a position), inside the interval of the fourth column if frames were independent, which frames \
                  of a video are not: read the 90 % column first. 80 to 97 % are called true enough."
                .into(),
        head: head.map(String::from).to_vec(),
        rows: [("pose", consistency.pose), ("position", consistency.position)].map(row).to_vec(),
    }
}

/// The answered frames as a trajectory.
pub(super) fn trajectory(metrics: &TrajectoryMetrics) -> Table {
    let rows = [
        ("absolute (ATE), not aligned", Some(metrics.ate)),
        ("absolute, rigidly aligned", metrics.ate_rigid),
        ("absolute, aligned with scale", metrics.ate_similarity),
        ("relative (RPE), one frame", Some(metrics.rpe_1_frame)),
    ];
    let row = |(what, error): (&str, Option<crate::evaluation::trajectory_error::TrajectoryError>)| {
        let error = error?;
        let (t, r) = (error.translation, error.rotation);
        let numbers = [t.rmse, t.median, t.max].map(|metres| Cell::plain(format!("{metres:.3}")));
        let angles = [r.rmse, r.median, r.max].map(|radians| Cell::plain(format!("{:.2}", radians.to_degrees())));
        let first = [Cell::plain(what), Cell::plain(error.pairs.to_string())];
        Some(first.into_iter().chain(numbers).chain(angles).collect())
    };
    let head = ["error", "pairs", "rmse (m)", "median (m)", "max (m)", "rmse (°)", "median (°)", "max (°)"];
    Table {
        name: "trajectory_error".into(),
        caption: "The answered frames as one trajectory, as evo computes it.".into(),
        head: head.map(String::from).to_vec(),
        rows: rows.into_iter().filter_map(row).collect(),
    }
}

/// How long steps take.
pub(super) fn latency(latencies: &[Latency]) -> Table {
    let row = |latency: &Latency| {
        let texts = [
            latency.step.clone(),
            format!("{:.2}", latency.median_ms),
            format!("{:.2}", latency.p99_ms),
            latency.count.to_string(),
            latency.threads.to_string(),
            latency.batch.to_string(),
            latency.device.clone(),
        ];
        texts.into_iter().map(Cell::plain).collect()
    };
    let head = ["step", "median (ms)", "p99 (ms)", "times", "threads", "batch", "device"];
    Table {
        name: "latency".into(),
        caption: "Taken in this very run, one image after the other.".into(),
        head: head.map(String::from).to_vec(),
        rows: latencies.iter().map(row).collect(),
    }
}
