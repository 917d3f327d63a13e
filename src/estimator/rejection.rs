//! What the estimator does not use, counted by its reason.

use std::collections::BTreeMap;

/// Why a measurement was not used. The name is the key in diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// A number of it is not finite, or its covariance is none.
    NotFinite,
    /// A camera's pose before [`super::Estimator::set_mounting`] said where the camera sits.
    NotMounted,
    /// Its stamp lies before the window.
    TooOld,
    /// Its stamp lies further ahead of every other measurement than a network can be late.
    FromTheFuture,
    /// Something of the same stamp is there already.
    Duplicate,
    /// An absolute pose too far from the estimate for their covariances.
    Gated,
    /// An absolute pose that agrees with too few others while there is no estimate.
    NoConsensus,
    /// An odometry pose that comes after a newer one, or a relative pose whose end is not after its start.
    OutOfOrder,
    /// The accelerometer contradicts the direction of gravity in the map: the IMU is not used.
    Gravity,
    /// Readings of the IMU are missing between two keyframes, or had not come yet: that stretch does without it. Counted
    /// once per stretch.
    ImuGap,
    /// Readings of the IMU between two keyframes are at the end of its range: that stretch does without it. Counted once
    /// per stretch.
    ImuSaturated,
}

impl Rejection {
    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Rejection::NotFinite => "not_finite",
            Rejection::NotMounted => "not_mounted",
            Rejection::TooOld => "too_old",
            Rejection::FromTheFuture => "from_the_future",
            Rejection::Duplicate => "duplicate",
            Rejection::Gated => "gated",
            Rejection::NoConsensus => "no_consensus",
            Rejection::OutOfOrder => "out_of_order",
            Rejection::Gravity => "gravity",
            Rejection::ImuGap => "imu_gap",
            Rejection::ImuSaturated => "imu_saturated",
        }
    }
}

/// How often each reason occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections(BTreeMap<Rejection, u64>);

impl Rejections {
    /// One more.
    pub fn count(&mut self, reason: Rejection) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// How often.
    pub fn of(&self, reason: Rejection) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Reasons and counts, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Rejection, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}
