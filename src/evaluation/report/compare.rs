//! Several finished runs on the same frames in one report.

use super::{Cell, Report, Run, Section, Table, Tone, error_pictures as pictures, tables};
use crate::evaluation::metrics::MethodMetrics;
use crate::evaluation::{PoseError, files};
use crate::{Error, Result, Stamp};

/// One table, common curves and common errors over time of runs on the same test frames.
///
/// # Errors
/// With fewer than two runs, and when their test frames or true poses differ.
pub fn compared(mut runs: Vec<Run>) -> Result<Report> {
    let [first, others @ ..] = &runs[..] else { return Err(too_few(0)) };
    if others.is_empty() {
        return Err(too_few(1));
    }
    others.iter().try_for_each(|other| first.check_same_frames(other))?;
    name_apart(&mut runs);
    let baselines = baselines(&runs);
    let mut methods: Vec<(&str, Vec<PoseError>)> = runs.iter().map(|run| (run.name.as_str(), run.errors())).collect();
    let stamps: Vec<Stamp> = runs[0].frames.iter().map(|frame| frame.stamp).collect();
    let csv = |methods: &[(&str, Vec<PoseError>)]| {
        files::errors_csv(runs[0].frames.iter().map(|frame| (frame.name.as_str(), frame.stamp)), methods)
    };
    let over_time = pictures::methods_over_time(&stamps, &methods, csv(&methods))?;
    for baseline in &baselines {
        methods.extend(baseline.errors.map(|errors| (baseline.metrics.name.as_str(), errors.to_vec())));
    }
    let curves = pictures::curves(&methods, csv(&methods))?;
    let speed = speed(&runs);
    let mut sections = vec![
        Section::new("Summary").with(summary(&runs, &baselines)),
        Section::new("Where these numbers come from").with(provenance(&runs)),
        Section::new("How wrong").with(curves),
        Section::new("When").with(over_time),
        Section::new("Are the covariances true?").with(consistency(&runs)),
    ];
    if !speed.rows.is_empty() {
        sections.push(Section::new("How fast").with(speed));
    }
    let title = format!("{} runs on {}", runs.len(), runs[0].metrics.provenance.dataset);
    Ok(Report { title, lead: lead(&runs), sections })
}

fn too_few(count: usize) -> Error {
    Error::message(
        "comparison",
        "two or more runs",
        format!("{count}; name the folders that vloc eval or replay wrote"),
    )
}

/// Gives runs of one name their folder's as well.
fn name_apart(runs: &mut [Run]) {
    let names: Vec<String> = runs.iter().map(|run| run.metrics.method.name.clone()).collect();
    for run in runs {
        let own = &run.metrics.method.name;
        if names.iter().filter(|name| *name == own).count() > 1 {
            run.name = format!("{own} ({})", run.folder);
        }
    }
}

/// A baseline of one or several runs, with its errors where they were written.
struct SharedBaseline<'a> {
    metrics: MethodMetrics,
    errors: Option<&'a [PoseError]>,
}

/// Every baseline once; one that differs from run to run has the run's name with it.
fn baselines(runs: &[Run]) -> Vec<SharedBaseline<'_>> {
    let mut shared: Vec<SharedBaseline> = Vec::new();
    for run in runs {
        for baseline in &run.metrics.baselines {
            let errors = run.baselines.get(&baseline.name).map(Vec::as_slice);
            if shared.iter().any(|known| known.metrics == *baseline) {
                continue;
            }
            let mut metrics = baseline.clone();
            if shared.iter().any(|known| known.metrics.name == baseline.name) {
                metrics.name = format!("{} of {}", baseline.name, run.name);
            }
            shared.push(SharedBaseline { metrics, errors });
        }
    }
    shared
}

fn summary(runs: &[Run], baselines: &[SharedBaseline]) -> Table {
    let rivals: Vec<MethodMetrics> = baselines.iter().map(|baseline| baseline.metrics.clone()).collect();
    let own = runs.iter().map(|run| {
        let method = MethodMetrics { name: run.name.clone(), errors: run.metrics.method.errors };
        tables::method_row(&run.name, &method.errors, tables::verdict(&method, &rivals))
    });
    let others = rivals.iter().map(|baseline| {
        let cell = Cell { text: "baseline".into(), tone: Tone::Aside };
        tables::method_row(&baseline.name, &baseline.errors, cell)
    });
    Table {
        name: "summary".into(),
        caption: tables::SUMMARY_CAPTION.into(),
        head: tables::error_head("beside the baselines"),
        rows: own.chain(others).collect(),
    }
}

fn provenance(runs: &[Run]) -> Table {
    let row = |run: &Run| {
        let from = &run.metrics.provenance;
        let unknown = || "not known".to_owned();
        let texts = [
            run.name.clone(),
            run.folder.clone(),
            from.dataset.clone(),
            from.split.clone(),
            from.seed.map_or_else(unknown, |seed| seed.to_string()),
            from.model_sha256.clone().map_or_else(unknown, |sha256| sha256.chars().take(12).collect()),
            from.command.clone(),
        ];
        texts.into_iter().map(Cell::plain).collect()
    };
    let head = ["run", "folder", "data set", "split", "seed", "weights (SHA-256, first 12)", "command"];
    Table {
        name: "provenance".into(),
        caption: "What it takes to get these numbers again; each folder has the whole of it in metrics.json.".into(),
        head: head.map(String::from).to_vec(),
        rows: runs.iter().map(row).collect(),
    }
}

/// The rows of every run's own table.
fn consistency(runs: &[Run]) -> Table {
    let mut all = Table { name: "consistency".into(), caption: "No run gave a covariance.".into(), ..Table::default() };
    for run in runs {
        let Some(consistency) = &run.metrics.consistency else { continue };
        let table = tables::consistency(consistency);
        all.rows.extend(named_rows(&run.name, table.rows));
        (all.caption, all.head) = (table.caption, table.head);
    }
    all
}

fn speed(runs: &[Run]) -> Table {
    let mut all = tables::latency(&[]);
    all.caption = "Each in its own run; compare only what one machine did with the same threads.".into();
    for run in runs {
        all.rows.extend(named_rows(&run.name, tables::latency(&run.metrics.latency).rows));
    }
    all
}

fn named_rows(run: &str, mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    rows.iter_mut().for_each(|row| row[0].text = format!("{run}: {}", row[0].text));
    rows
}

/// Which run has the lowest medians.
fn lead(runs: &[Run]) -> Vec<String> {
    let lowest = |of: fn(&Run) -> Option<f64>| {
        let measured = runs.iter().filter_map(|run| Some((run, of(run)?)));
        measured.min_by(|one, other| one.1.total_cmp(&other.1))
    };
    let mut lead = vec![format!("{} test frames, the same in every run.", runs[0].frames.len())];
    if let Some((run, metres)) = lowest(|run| run.metrics.method.errors.median_translation_error) {
        lead.push(format!("Lowest median error of the position: {} with {metres:.3} m.", run.name));
    }
    if let Some((run, degrees)) = lowest(|run| run.metrics.method.errors.median_rotation_error) {
        lead.push(format!("Lowest median error of the rotation: {} with {degrees:.2}°.", run.name));
    }
    lead
}
