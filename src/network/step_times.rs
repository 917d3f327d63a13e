//! How long the steps of an answer take.

use std::time::{Duration, Instant};

use tch::{Cuda, Device};

/// Times of the last answer: pixels to the features that all streams share, these to what the network says, and that to
/// poses. A GPU is waited for at the end of each.
#[derive(Clone, Copy, Debug)]
pub struct StepTimes {
    device: Device,
    since: Instant,
    /// Encoder: pixels to features.
    pub features: Duration,
    /// Heads: features to what the network says; of a model that knows points, to these.
    pub head: Duration,
    /// What is left for the CPU: samples to a covariance, or points to a pose.
    pub pose: Duration,
}

impl Default for StepTimes {
    fn default() -> Self {
        Self::start(Device::Cpu)
    }
}

impl StepTimes {
    pub(super) fn start(device: Device) -> Self {
        let none = Duration::ZERO;
        Self { device, since: Instant::now(), features: none, head: none, pose: none }
    }

    pub(super) fn features(&mut self) {
        self.features = self.lap();
    }

    pub(super) fn answers(&mut self) {
        self.head = self.lap();
    }

    pub(super) fn poses(&mut self) {
        self.pose = self.lap();
    }

    fn lap(&mut self) -> Duration {
        if let Device::Cuda(number) = self.device {
            Cuda::synchronize(number as i64);
        }
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }
}
