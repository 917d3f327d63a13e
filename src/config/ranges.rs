//! The numbers that parameters may have: one table, read by the check at start and by the descriptions of parameters.

use serde::Serialize;
use serde_yaml::Value;

use crate::{Error, Result};

/// The numbers that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// From the first to the second number, both included.
    Closed(f64, f64),
    /// Above the first number, up to the second.
    Above(f64, f64),
    /// Whole numbers from the first to the second.
    Count(i64, i64),
}

/// Eleven days: longer than anybody means, seconds.
const LONGEST: f64 = 1e6;
/// More keyframes, fixes or steps take more time than there is between two images.
const MOST: i64 = 10_000;

/// By name; a parameter that is not here may have any value of its type.
const RANGES: [(&str, Range); 38] = [
    ("min_image_contrast", Range::Closed(0.0, 255.0)),
    ("save_pose_rate", Range::Closed(0.0, 1000.0)),
    ("path_length", Range::Count(0, 100_000)),
    ("transform_tolerance", Range::Closed(0.0, LONGEST)),
    ("tf_publish_rate", Range::Above(0.0, 1000.0)),
    ("transform_timeout", Range::Closed(0.0, LONGEST)),
    ("tf_buffer_duration", Range::Above(0.0, LONGEST)),
    ("clock_jump_threshold", Range::Above(0.0, LONGEST)),
    ("diagnostics_period", Range::Above(0.0, LONGEST)),
    ("estimator.lag", Range::Above(0.0, 1000.0)),
    ("estimator.keyframes", Range::Count(2, MOST)),
    ("estimator.iterations", Range::Count(1, MOST)),
    ("estimator.correlation_time", Range::Closed(-1.0, f64::MAX)),
    ("estimator.memory", Range::Above(0.0, f64::INFINITY)),
    ("estimator.robust_scale", Range::Above(0.0, f64::INFINITY)),
    ("estimator.gate", Range::Above(0.0, f64::INFINITY)),
    ("estimator.consensus_fixes", Range::Count(1, MOST)),
    ("estimator.consensus_window", Range::Count(1, MOST)),
    ("estimator.kidnap_fixes", Range::Count(2, MOST)),
    ("estimator.kidnap_evidence", Range::Above(0.0, f64::INFINITY)),
    ("estimator.kidnap_distance", Range::Above(0.0, f64::INFINITY)),
    ("estimator.tracking_evidence", Range::Above(0.0, f64::INFINITY)),
    ("estimator.position_limit", Range::Above(0.0, f64::INFINITY)),
    ("estimator.rotation_limit", Range::Above(0.0, f64::INFINITY)),
    ("estimator.map_position_sigma", Range::Closed(0.0, f64::MAX)),
    ("estimator.map_rotation_sigma", Range::Closed(0.0, f64::MAX)),
    ("estimator.speed", Range::Above(0.0, f64::INFINITY)),
    ("estimator.rate_of_turn", Range::Above(0.0, f64::INFINITY)),
    ("estimator.odometry_translation", Range::Above(0.0, f64::INFINITY)),
    ("estimator.odometry_rotation", Range::Above(0.0, f64::INFINITY)),
    ("estimator.odometry_drift", Range::Above(0.0, f64::INFINITY)),
    ("estimator.relative_robust_scale", Range::Above(0.0, f64::INFINITY)),
    ("estimator.gyroscope_noise_density", Range::Above(0.0, f64::INFINITY)),
    ("estimator.gyroscope_random_walk", Range::Above(0.0, f64::INFINITY)),
    ("estimator.accelerometer_noise_density", Range::Above(0.0, f64::INFINITY)),
    ("estimator.accelerometer_random_walk", Range::Above(0.0, f64::INFINITY)),
    ("estimator.gyroscope_bias", Range::Above(0.0, f64::INFINITY)),
    ("estimator.accelerometer_bias", Range::Above(0.0, f64::INFINITY)),
];

/// The numbers that a parameter may have, where they are limited.
pub fn range_of(name: &str) -> Option<Range> {
    RANGES.iter().find(|(known, _)| *known == name).map(|(_, range)| *range)
}

impl Range {
    /// In words.
    pub fn describe(self) -> String {
        match self {
            Range::Closed(from, to) if to >= f64::MAX => format!("a number from {from}"),
            Range::Closed(from, to) => format!("a number from {from} to {to}"),
            Range::Above(from, to) if to >= f64::MAX => format!("a number above {from}"),
            Range::Above(from, to) => format!("a number above {from}, up to {to}"),
            Range::Count(from, to) => format!("a count from {from} to {to}"),
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Range::Closed(from, to) => value.as_f64().is_some_and(|number| (from..=to).contains(&number)),
            Range::Above(from, to) => value.as_f64().is_some_and(|number| number > from && number <= to),
            Range::Count(from, to) => value.as_i64().is_some_and(|count| (from..=to).contains(&count)),
        }
    }
}

/// The leaves of a section of parameters with their dotted names, in order.
///
/// # Errors
/// [`Error::Config`] when the section is no mapping.
pub fn leaves(prefix: &str, section: &impl Serialize) -> Result<Vec<(String, Value)>> {
    let value = serde_yaml::to_value(section)
        .map_err(|error| Error::config(prefix, "parameters that can be written as YAML", error.to_string()))?;
    let mut leaves = Vec::new();
    collect(prefix, value, &mut leaves);
    Ok(leaves)
}

fn collect(name: &str, value: Value, leaves: &mut Vec<(String, Value)>) {
    let Value::Mapping(mapping) = value else { return leaves.push((name.to_owned(), value)) };
    for (key, value) in mapping {
        let key = key.as_str().unwrap_or_default();
        let name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        collect(&name, value, leaves);
    }
}

/// Whether every parameter of a section is in its range.
///
/// # Errors
/// [`Error::Config`] that names the first one that is not.
pub(super) fn check(prefix: &str, section: &impl Serialize) -> Result<()> {
    for (name, value) in leaves(prefix, section)? {
        if let Some(range) = range_of(&name).filter(|range| !range.holds(&value)) {
            let found = serde_yaml::to_string(&value).unwrap_or_default();
            return Err(Error::config(name, range.describe(), found.trim_end()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_range_is_that_of_a_parameter() {
        let known: Vec<String> = leaves("", &Config::default()).unwrap().into_iter().map(|(name, _)| name).collect();
        for (name, _) in RANGES {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn ends_belong_to_a_closed_range_only() {
        assert!(Range::Closed(0.0, 1.0).holds(&0.0.into()) && !Range::Above(0.0, 1.0).holds(&0.0.into()));
        assert!(Range::Above(0.0, f64::INFINITY).holds(&f64::INFINITY.into()));
        assert!(!Range::Closed(0.0, f64::MAX).holds(&f64::INFINITY.into()));
        assert!(!Range::Above(0.0, f64::INFINITY).holds(&f64::NAN.into()));
        assert!(Range::Count(2, 5).holds(&2.into()) && !Range::Count(2, 5).holds(&6.into()));
    }
}
