//! Configuration: plain structs with their defaults inside, read from YAML; an unknown key is an error.

mod description;
mod estimator;
mod mounting;
mod node;
mod parameter_file;
mod ranges;

pub use description::{descriptions, is_read_only};
pub use estimator::EstimatorConfig;
pub(crate) use estimator::USUAL_CORRELATION_TIME;
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
    let text = read_text(path)?;
    let yaml = if text.starts_with("%YAML:") { text.replacen('%', "#", 1) } else { text };
    serde_yaml::from_str(&yaml).map_err(|error| Error::format(path, "a valid configuration", error.to_string()))
}

/// Files of configuration are no longer, bytes.
const LONGEST_FILE: u64 = 16 << 20;

/// The text of a file of configuration.
///
/// # Errors
/// [`Error::Io`] when unreadable; [`Error::Format`] for something that is no file (a device would be read without end) or is
/// too long to be meant.
fn read_text(path: &Path) -> Result<String> {
    let found = std::fs::metadata(path).map_err(Error::io("read", path))?;
    if !found.is_file() || found.len() > LONGEST_FILE {
        let what = if found.is_file() { format!("one of {} bytes", found.len()) } else { "a folder or device".into() };
        return Err(Error::format(path, format!("a text file of at most {LONGEST_FILE} bytes"), what));
    }
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_of_configuration_is_not_read() {
        for path in ["/dev/zero", "/tmp"] {
            let error = load_yaml::<Config>(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains("a text file"), "{error}");
            assert!(read_parameters(Path::new(path), "/vloc").is_err());
        }
    }
}
