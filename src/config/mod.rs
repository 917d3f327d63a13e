//! Configuration: plain structs with their defaults inside, read from YAML; an unknown key is an error.

mod description;
mod estimator;
mod mounting;
mod node;
mod parameter_file;
mod ranges;

pub use description::{descriptions, is_read_only};
pub use estimator::EstimatorConfig;
pub use node::{Config, ImageTransport, InitialPose, OdometrySource, Reliability, seconds};
pub use parameter_file::{insert_parameter, merge_parameters, read_parameters};
pub use ranges::{Range, leaves, range_of};

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Reads a YAML file into a configuration struct. The struct must be `#[serde(deny_unknown_fields)]`.
///
/// OpenCV begins its files, EuRoC's calibrations among them, with `%YAML:1.0`, which is no YAML: that line is skipped.
///
/// # Errors
/// [`Error::Io`] when unreadable; [`Error::Format`] with the line when it is not YAML, holds an unknown key (the
/// known ones are listed) or a value of the wrong type.
pub fn load_yaml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let yaml = if text.starts_with("%YAML:") { text.replacen('%', "#", 1) } else { text };
    serde_yaml::from_str(&yaml).map_err(|error| Error::format(path, "a valid configuration", error.to_string()))
}
