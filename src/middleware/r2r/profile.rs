//! The port's QoS in the words of rcl, and whether one fits another.

use ::r2r::QosProfile;
use ::r2r::qos::{DurabilityPolicy, ReliabilityPolicy};

use crate::config::Reliability;
use crate::middleware::{Durability, Qos};

/// The profile of a topic.
pub(super) fn of(quality: Qos) -> QosProfile {
    let profile = QosProfile::default().keep_last(quality.depth);
    let profile = match quality.reliability {
        Reliability::BestEffort => profile.best_effort(),
        Reliability::Reliable => profile.reliable(),
    };
    match quality.durability {
        Durability::Volatile => profile.volatile(),
        Durability::TransientLocal => profile.transient_local(),
    }
}

/// Whether who asks for `requested` hears who offers `offered`: by the DDS rules, an offer must be at least as good.
pub(super) fn hears(requested: Qos, offered: &QosProfile) -> bool {
    let reliable = requested.reliability == Reliability::BestEffort || !is_best_effort(offered);
    let durable = requested.durability == Durability::Volatile || !is_volatile(offered);
    reliable && durable
}

/// Reliability and durability that a publisher offers.
pub(super) fn in_words(offered: &QosProfile) -> String {
    let reliability = if is_best_effort(offered) { "best effort" } else { "reliable" };
    let durability = if is_volatile(offered) { "volatile" } else { "transient local" };
    format!("{reliability}, {durability}")
}

fn is_best_effort(offered: &QosProfile) -> bool {
    matches!(offered.reliability, ReliabilityPolicy::BestEffort)
}

fn is_volatile(offered: &QosProfile) -> bool {
    matches!(offered.durability, DurabilityPolicy::Volatile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_must_be_at_least_as_good() {
        let offers = [Qos::ODOM, Qos::TF, Qos::TF_STATIC].map(of);
        for (requested, heard) in
            [(Qos::ODOM, [true, true, true]), (Qos::TF, [false, true, true]), (Qos::TF_STATIC, [false, false, true])]
        {
            assert_eq!([0, 1, 2].map(|offer| hears(requested, &offers[offer])), heard, "{requested}");
        }
        assert_eq!(
            offers.map(|offer| in_words(&offer)),
            ["best effort, volatile", "reliable, volatile", "reliable, transient local"]
        );
    }
}
