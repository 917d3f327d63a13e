//! The report of a replay: what came and what went out, what the node said over time, and how right it was where the
//! truth is known.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::accuracy::Measured;
use super::{Refused, Summary};
use crate::evaluation::report::{Cell, Report, Said, SaidPose, SaidState, Section, Table, evaluated, fused, live};
use crate::geometry::Trajectory;
use crate::middleware::{Diagnostics, StampedPose};
use crate::{Result, Stamp};

/// What the node told of itself.
#[derive(Debug, Default)]
pub(super) struct Watched(Vec<SaidState>);

impl Watched {
    /// Adds what `/diagnostics` told.
    pub fn add(&mut self, diagnostics: &Diagnostics) {
        let value = |key: &str| diagnostics.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let count = |(key, value): &(String, String)| {
            let reason = match (key.strip_prefix("refused/"), key.strip_prefix("estimator/rejected/")) {
                (Some(reason), _) => reason.to_owned(),
                (None, Some(reason)) => format!("estimator: {reason}"),
                (None, None) => return None,
            };
            Some((reason, value.parse().ok().filter(|count| *count > 0)?)).filter(|_| !key.ends_with("/last"))
        };
        let age =
            value("state/age_s").and_then(|age| age.parse().ok()).and_then(|age| Duration::try_from_secs_f64(age).ok());
        self.0.push(SaidState {
            stamp: diagnostics.stamp,
            since: diagnostics.stamp - age.unwrap_or_default(),
            state: value("state").unwrap_or_else(|| "unknown".to_owned()),
            refused: diagnostics.values.iter().filter_map(count).collect(),
        });
    }

    /// With the poses that were published.
    pub fn with(self, poses: &BTreeMap<Stamp, StampedPose>) -> Said {
        let pose = |pose: &StampedPose| {
            let (position, rotation) = pose.covariance.worst_sigmas();
            SaidPose { stamp: pose.stamp, position: pose.map_from_base.translation, sigmas: [position, rotation] }
        };
        Said { poses: poses.values().map(pose).collect(), states: self.0 }
    }
}

/// The report; without a known truth it says nothing of errors.
///
/// # Errors
/// When a picture cannot be drawn.
pub(super) fn report(
    bag: &Path,
    summary: &Summary,
    trajectory: &Trajectory,
    said: &Said,
    measured: Option<&Measured>,
) -> Result<Report> {
    let name = bag.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut report = match measured {
        Some(Measured { evaluation, fused: results, alone, .. }) => {
            let mut report = evaluated(evaluation, results)?;
            report.sections.insert(2, Section::new("The fusion").with(fused(alone, results)?));
            report
        }
        None => Report {
            lead: vec!["How right the poses are is not known: replay with --truth TOPIC to compare them.".to_owned()],
            ..Report::default()
        },
    };
    report.title = format!("Replay of {name}");
    report.lead.insert(0, format!("{} images, {} poses over {:.1} s.", summary.images, summary.poses, summary.span_s));
    report.sections.push(live(said)?);
    report.sections.push(counts(summary, trajectory));
    Ok(report)
}

fn counts(summary: &Summary, trajectory: &Trajectory) -> Section {
    let positions: Vec<_> = trajectory.positions().collect();
    let length: f64 = positions.windows(2).map(|pair| (pair[1] - pair[0]).norm()).sum();
    let mut quantities = vec![
        ("images", summary.images.to_string()),
        ("poses", summary.poses.to_string()),
        ("from the first pose to the last", format!("{:.3} s", summary.span_s)),
        ("length of the path through all poses", format!("{length:.2} m")),
        ("clock jumps", summary.clock_jumps.to_string()),
    ];
    if let Some(smoothed) = &summary.smoothed {
        let found = format!("{} poses in {} runs", smoothed.poses, smoothed.runs);
        quantities.push(("smoothed trajectory (not causal)", found));
    }
    let table = |name: &str, caption: &str, head: &[&str], rows: Vec<Vec<Cell>>| Table {
        name: name.to_owned(),
        caption: caption.to_owned(),
        head: head.iter().map(|name| (*name).to_owned()).collect(),
        rows,
    };
    let quantities = quantities.into_iter().map(|(what, value)| vec![Cell::plain(what), Cell::plain(value)]).collect();
    let section = Section::new("What came and what was refused").with(table(
        "counts",
        "The same numbers as summary.yaml.",
        &["quantity", "value"],
        quantities,
    ));
    if summary.refused.is_empty() {
        return section.with("No message was refused.".to_owned());
    }
    let refused = summary.refused.iter().map(|(reason, Refused { count, last })| {
        vec![Cell::plain(reason), Cell::plain(count.to_string()), Cell::plain(last)]
    });
    let caption = "Messages that the node refused, and what it said the last time.";
    section.with(table("refusals", caption, &["reason", "count", "last time"], refused.collect()))
}
