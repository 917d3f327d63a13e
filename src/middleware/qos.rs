//! Quality of service in words of no particular middleware, and the profiles that the node uses.

use crate::config::Reliability;

/// Whether a subscriber that comes late receives what was published before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It does not.
    Volatile,
    /// It receives the last `depth` messages.
    TransientLocal,
}

/// Quality of service of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// Whether lost messages are repeated.
    pub reliability: Reliability,
    /// Whether a late subscriber receives earlier messages.
    pub durability: Durability,
    /// How many messages are kept.
    pub depth: usize,
}

impl Qos {
    const fn new(reliability: Reliability, durability: Durability, depth: usize) -> Self {
        Self { reliability, durability, depth }
    }

    /// Images and `camera_info` in (REP 2003), with the reliability that the parameter asks for.
    pub const fn images(reliability: Reliability) -> Self {
        Self::new(reliability, Durability::Volatile, 5)
    }

    /// `imu` in: as many as come while the node is busy for seconds; none may be lost.
    pub const IMU: Qos = Qos::new(Reliability::BestEffort, Durability::Volatile, 2000);
    /// `odom` in, as `nav2` has it.
    pub const ODOM: Qos = Qos::new(Reliability::BestEffort, Durability::Volatile, 100);
    /// `initialpose` in, as `nav2_amcl` has it.
    pub const INITIAL_POSE: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 5);
    /// `odometry` and `absolute_pose` out.
    pub const ODOMETRY: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 10);
    /// `pose` out, as `nav2_amcl` has it.
    pub const POSE: Qos = Qos::new(Reliability::Reliable, Durability::TransientLocal, 1);
    /// `/tf`, in and out, as `tf2_ros` has it.
    pub const TF: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 100);
    /// `/tf_static` in, as `tf2_ros` has it.
    pub const TF_STATIC: Qos = Qos::new(Reliability::Reliable, Durability::TransientLocal, 100);
    /// `/diagnostics` out.
    pub const DIAGNOSTICS: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 10);
    /// `path` out: of use to those who look only.
    pub const PATH: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 1);
    /// `/parameter_events` out, as `rclcpp` has it.
    pub const PARAMETER_EVENTS: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 1000);
    /// `~/transition_event` out, as `rcl_lifecycle` has it.
    pub const TRANSITION_EVENT: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 10);
    /// Requests and responses of services, as `rmw` has them.
    pub const SERVICES: Qos = Qos::new(Reliability::Reliable, Durability::Volatile, 10);
    /// `/clock` in.
    pub const CLOCK: Qos = Qos::new(Reliability::BestEffort, Durability::Volatile, 1);
}

impl std::fmt::Display for Qos {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reliability = match self.reliability {
            Reliability::BestEffort => "best effort",
            Reliability::Reliable => "reliable",
        };
        let durability = match self.durability {
            Durability::Volatile => "volatile",
            Durability::TransientLocal => "transient local",
        };
        write!(formatter, "{reliability}, {durability}, depth {}", self.depth)
    }
}
