//! A finished run as it lies in its folder: `metrics.json`, `frames.csv` and, where it is, `errors.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use super::csv::rows;
use crate::evaluation::metrics::SCHEMA_VERSION;
use crate::evaluation::{Metrics, PoseError};
use crate::{Error, Result, Stamp};

/// Columns of `frames.csv` that say what is true.
const TRUTH: [&str; 7] = ["truth_tx", "truth_ty", "truth_tz", "truth_qx", "truth_qy", "truth_qz", "truth_qw"];

/// What `vloc eval` or `vloc replay --truth` wrote.
#[derive(Clone, Debug)]
pub struct Run {
    /// What to call it beside others: the method's name, until another run has the same.
    pub name: String,
    /// The folder, as it was given.
    pub folder: String,
    /// All its numbers.
    pub metrics: Metrics,
    /// One per frame.
    pub(super) frames: Vec<RunFrame>,
    /// Errors of its baselines, one per frame, by name.
    pub(super) baselines: BTreeMap<String, Vec<PoseError>>,
}

/// A frame of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunFrame {
    pub name: String,
    pub stamp: Stamp,
    /// The true pose in the digits of the file.
    pub truth: Vec<String>,
    pub error: PoseError,
}

impl Run {
    /// Reads the folder that `vloc eval --out` or `vloc replay --out` wrote (of a replay, its `accuracy/`).
    ///
    /// # Errors
    /// When a file is missing or is not what such a run writes.
    pub fn read(folder: &Path) -> Result<Self> {
        let accuracy = folder.join("accuracy");
        let place = if folder.join("metrics.json").is_file() || !accuracy.is_dir() { folder } else { &accuracy };
        let path = place.join("metrics.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let expected = || format!("metrics of schema version {SCHEMA_VERSION}, as vloc eval writes them");
        let metrics: Metrics = serde_json::from_str(&text)
            .map_err(|error| Error::format(&path, expected(), format!("{error}; evaluate again with this vloc")))?;
        let frames = read_frames(&place.join("frames.csv"))?;
        if frames.len() != metrics.method.errors.frames {
            let expected = format!("{} frames, as metrics.json beside it says", metrics.method.errors.frames);
            let found = format!("{}; keep the files of one run together", frames.len());
            return Err(Error::format(place.join("frames.csv"), expected, found));
        }
        let baselines = read_baselines(&place.join("errors.csv"), &metrics)?;
        let name = metrics.method.name.clone();
        Ok(Self { name, folder: folder.display().to_string(), metrics, frames, baselines })
    }

    /// Errors of the run's own method, one per frame.
    pub(super) fn errors(&self) -> Vec<PoseError> {
        self.frames.iter().map(|frame| frame.error).collect()
    }

    /// Whether another run was measured on the same frames with the same truth.
    ///
    /// # Errors
    /// What differs first, and what to do.
    pub(super) fn check_same_frames(&self, other: &Run) -> Result<()> {
        let advice = "evaluate both on the same data set and split";
        let fail = |expected: String, found: String| {
            let what = format!("test frames of {}", other.folder);
            Err(Error::message(what, format!("{expected} as in {}", self.folder), format!("{found}; {advice}")))
        };
        if self.frames.len() != other.frames.len() {
            return fail(format!("{} frames", self.frames.len()), other.frames.len().to_string());
        }
        for (index, (one, two)) in self.frames.iter().zip(&other.frames).enumerate() {
            let label = |frame: &RunFrame| format!("{} at {}", frame.name, frame.stamp);
            if (&one.name, one.stamp) != (&two.name, two.stamp) {
                return fail(format!("frame {} to be {}", index + 1, label(one)), label(two));
            }
            if one.truth != two.truth {
                let pose = |frame: &RunFrame| frame.truth.join(" ");
                return fail(format!("{} truly at {}", label(one), pose(one)), pose(two));
            }
        }
        Ok(())
    }
}

/// Rows by the names of their columns.
struct Columns<'a> {
    path: &'a Path,
    head: Vec<String>,
}

impl Columns<'_> {
    fn field<'r>(&self, row: &'r [String], column: &str) -> Result<&'r str> {
        let place = self.head.iter().position(|name| name == column);
        let field = place.and_then(|place| row.get(place));
        field.map(String::as_str).ok_or_else(|| {
            let found = format!("columns {}", self.head.join(","));
            Error::format(self.path, format!("a column {column} in every row"), found)
        })
    }

    fn stamp(&self, row: &[String]) -> Result<Stamp> {
        let text = self.field(row, "stamp")?;
        text.parse().map_err(|found: String| Error::format(self.path, "a stamp", found))
    }

    /// Empty fields are no answer.
    fn error(&self, row: &[String]) -> Result<PoseError> {
        let number = |column: &str| {
            let text = self.field(row, column)?;
            if text.is_empty() {
                return Ok(f64::INFINITY);
            }
            let number = text.parse().ok().filter(|number: &f64| *number >= 0.0);
            number.ok_or_else(|| Error::format(self.path, format!("{column} of 0 or more"), format!("{text:?}")))
        };
        let (translation, degrees) = (number("translation_error_m")?, number("rotation_error_deg")?);
        Ok(PoseError { translation, rotation: degrees.to_radians() })
    }
}

fn read_rows(path: &Path) -> Result<(Columns<'_>, Vec<Vec<String>>)> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut rows = rows(&text);
    if rows.is_empty() {
        return Err(Error::format(path, "a head and rows", "an empty file"));
    }
    let head = rows.remove(0);
    Ok((Columns { path, head }, rows))
}

fn read_frames(path: &Path) -> Result<Vec<RunFrame>> {
    let (columns, rows) = read_rows(path)?;
    let frame = |row: &Vec<String>| {
        let truth = TRUTH.iter().map(|column| columns.field(row, column).map(str::to_owned)).collect::<Result<_>>()?;
        let name = columns.field(row, "name")?.to_owned();
        Ok(RunFrame { name, stamp: columns.stamp(row)?, truth, error: columns.error(row)? })
    };
    rows.iter().map(frame).collect()
}

/// Of a run of an older vloc, which wrote no `errors.csv`: nothing.
fn read_baselines(path: &Path, metrics: &Metrics) -> Result<BTreeMap<String, Vec<PoseError>>> {
    let mut baselines: BTreeMap<String, Vec<PoseError>> = BTreeMap::new();
    if !path.is_file() {
        return Ok(baselines);
    }
    let (columns, rows) = read_rows(path)?;
    for row in &rows {
        let method = columns.field(row, "method")?;
        if metrics.baselines.iter().any(|baseline| baseline.name == method) {
            baselines.entry(method.to_owned()).or_default().push(columns.error(row)?);
        }
    }
    let frames = metrics.method.errors.frames;
    match baselines.iter().find(|(_, errors)| errors.len() != frames) {
        None => Ok(baselines),
        Some((name, errors)) => {
            let found = format!("{}; keep the files of one run together", errors.len());
            Err(Error::format(path, format!("{frames} rows of {name}"), found))
        }
    }
}
