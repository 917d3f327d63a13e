//! How long a step takes: the median and the 99th percentile, never without the machine and the settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Durations of one step in a few numbers, milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// What was timed, for example `forward pass`.
    pub step: String,
    /// The device by name, for example `cpu: AMD EPYC 7B13` or `cuda:0: NVIDIA H200`.
    pub device: String,
    /// Threads that the step could use.
    pub threads: usize,
    /// Images per step.
    pub batch: usize,
    /// How many times it was timed.
    pub count: usize,
    /// Median, milliseconds.
    pub median_ms: f64,
    /// 99th percentile (nearest rank), milliseconds.
    pub p99_ms: f64,
    /// Every duration in the order it was taken, milliseconds: for the histogram of a report, not for `metrics.json`.
    #[serde(skip)]
    pub durations_ms: Vec<f64>,
}

impl Latency {
    /// The latency of a step that was timed `durations.len()` times.
    ///
    /// # Errors
    /// When it was never timed.
    pub fn new(
        step: impl Into<String>,
        device: impl Into<String>,
        threads: usize,
        batch: usize,
        durations: &[Duration],
    ) -> Result<Self> {
        let step = step.into();
        let durations_ms: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
        let mut sorted = durations_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(median_ms) = super::pose_error::median(&sorted) else {
            return Err(Error::message(format!("latency of {step}"), "at least one duration", "none"));
        };
        let p99_ms = sorted[(99 * sorted.len()).div_ceil(100) - 1];
        Ok(Self { step, device: device.into(), threads, batch, count: sorted.len(), median_ms, p99_ms, durations_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let durations: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let latency = Latency::new("forward pass", "cpu", 2, 1, &durations).unwrap();
        assert_eq!((latency.median_ms, latency.p99_ms, latency.count), (100.5, 198.0, 200));
        let one = Latency::new("forward pass", "cpu", 2, 1, &durations[..1]).unwrap();
        assert_eq!((one.median_ms, one.p99_ms), (200.0, 200.0));
        let none = Latency::new("forward pass", "cpu", 2, 1, &[]).unwrap_err().to_string();
        assert_eq!(none, "latency of forward pass: expected at least one duration, found none");
    }
}
