//! The port's QoS in the words of the RTPS client.

use std::time::Duration;

use ros2_client::QosProfile;
use ros2_client::qos;

use crate::config::Reliability;
use crate::middleware::{Durability, Qos};

/// How long a reliable publisher waits for a slow subscriber before the message counts as not sent.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The profile of a topic.
pub(super) fn of(quality: Qos) -> QosProfile {
    let reliability = match quality.reliability {
        Reliability::BestEffort => qos::Reliability::BestEffort,
        Reliability::Reliable => qos::Reliability::Reliable { when_full: qos::WhenFull::Wait(LONGEST_WAIT) },
    };
    let durability = match quality.durability {
        Durability::Volatile => qos::Durability::Volatile,
        Durability::TransientLocal => qos::Durability::TransientLocal,
    };
    QosProfile::subscription_default()
        .reliability(reliability)
        .durability(durability)
        .history(qos::History::KeepLast { depth: quality.depth })
}
