//! The lifecycle of a managed node: states and transitions with the numbers and names of ROS 2
//! (<https://design.ros2.org/articles/node_lifecycle.html>, `lifecycle_msgs`, `rcl_lifecycle`).
//!
//! A transition takes two steps: [`Lifecycle::begin`] enters its transition state (`configuring`), and
//! [`Lifecycle::end`] leaves it for where success or failure lead. What happens between them is the node's business.

use crate::Stamp;
use crate::msg::lifecycle_msgs::{State, Transition, TransitionDescription, TransitionEvent};

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Never a phase of a node; the first state in ROS's list.
    Unknown,
    /// It has no model.
    Unconfigured,
    /// It has a model and is silent.
    Inactive,
    /// It localizes.
    Active,
    /// It will do nothing any more.
    Finalized,
    /// It loads its model.
    Configuring,
    /// It gives its model back.
    CleaningUp,
    /// It ends.
    ShuttingDown,
    /// It begins to localize.
    Activating,
    /// It falls silent.
    Deactivating,
    /// It looks whether it can go on after an error.
    ErrorProcessing,
}

use Phase::{
    Activating, Active, CleaningUp, Configuring, Deactivating, ErrorProcessing, Finalized, Inactive, ShuttingDown,
    Unconfigured, Unknown,
};

/// How a transition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// Not: the node is where it was.
    Failure,
}

/// In the order of `GetAvailableStates`.
const PHASES: [Phase; 11] = [
    Unknown,
    Unconfigured,
    Inactive,
    Active,
    Finalized,
    Configuring,
    CleaningUp,
    ShuttingDown,
    Activating,
    Deactivating,
    ErrorProcessing,
];

/// Number, name, start and goal of every transition, in the order of `rcl_lifecycle`.
const TRANSITIONS: [(u8, &str, Phase, Phase); 25] = [
    (1, "configure", Unconfigured, Configuring),
    (10, "transition_success", Configuring, Inactive),
    (11, "transition_failure", Configuring, Unconfigured),
    (12, "transition_error", Configuring, ErrorProcessing),
    (2, "cleanup", Inactive, CleaningUp),
    (20, "transition_success", CleaningUp, Unconfigured),
    (21, "transition_failure", CleaningUp, Inactive),
    (22, "transition_error", CleaningUp, ErrorProcessing),
    (3, "activate", Inactive, Activating),
    (30, "transition_success", Activating, Active),
    (31, "transition_failure", Activating, Inactive),
    (32, "transition_error", Activating, ErrorProcessing),
    (4, "deactivate", Active, Deactivating),
    (40, "transition_success", Deactivating, Inactive),
    (41, "transition_failure", Deactivating, Active),
    (42, "transition_error", Deactivating, ErrorProcessing),
    (5, "shutdown", Unconfigured, ShuttingDown),
    (6, "shutdown", Inactive, ShuttingDown),
    (7, "shutdown", Active, ShuttingDown),
    (50, "transition_success", ShuttingDown, Finalized),
    (51, "transition_failure", ShuttingDown, Finalized),
    (52, "transition_error", ShuttingDown, ErrorProcessing),
    (60, "transition_success", ErrorProcessing, Unconfigured),
    (61, "transition_failure", ErrorProcessing, Finalized),
    (62, "transition_error", ErrorProcessing, Finalized),
];

impl Phase {
    /// The name in ROS 2.
    pub fn label(self) -> &'static str {
        match self {
            Unknown => "unknown",
            Unconfigured => "unconfigured",
            Inactive => "inactive",
            Active => "active",
            Finalized => "finalized",
            Configuring => "configuring",
            CleaningUp => "cleaningup",
            ShuttingDown => "shuttingdown",
            Activating => "activating",
            Deactivating => "deactivating",
            ErrorProcessing => "errorprocessing",
        }
    }

    /// The message.
    pub fn state(self) -> State {
        let id = match self {
            Unknown => 0,
            Unconfigured => 1,
            Inactive => 2,
            Active => 3,
            Finalized => 4,
            Configuring => 10,
            CleaningUp => 11,
            ShuttingDown => 12,
            Activating => 13,
            Deactivating => 14,
            ErrorProcessing => 15,
        };
        State { id, label: self.label().into() }
    }
}

/// The state machine. Starts unconfigured.
#[derive(Debug)]
pub struct Lifecycle {
    phase: Phase,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { phase: Unconfigured }
    }
}

impl Lifecycle {
    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Every state.
    pub fn states() -> Vec<State> {
        PHASES.iter().map(|phase| phase.state()).collect()
    }

    /// Every transition.
    pub fn graph() -> Vec<TransitionDescription> {
        TRANSITIONS.iter().map(describe).collect()
    }

    /// The transitions that can begin here.
    pub fn available(&self) -> Vec<TransitionDescription> {
        TRANSITIONS.iter().filter(|(_, _, start, _)| *start == self.phase).map(describe).collect()
    }

    /// Begins the transition that a request names, by label or else by number, if it can begin here. Transitions that
    /// end another (`transition_success`) are no one's to ask for.
    pub fn begin(&mut self, asked: &Transition, now: Stamp) -> Option<TransitionEvent> {
        let is_asked = |id: u8, label: &str| if asked.label.is_empty() { id == asked.id } else { label == asked.label };
        let found = TRANSITIONS
            .iter()
            .find(|(id, label, start, _)| *id < 10 && *start == self.phase && is_asked(*id, label))?;
        Some(self.follow(found, now))
    }

    /// Ends the transition that has begun.
    pub fn end(&mut self, outcome: Outcome, now: Stamp) -> Option<TransitionEvent> {
        let label = match outcome {
            Outcome::Success => "transition_success",
            Outcome::Failure => "transition_failure",
        };
        let found = TRANSITIONS.iter().find(|(_, known, start, _)| *start == self.phase && *known == label)?;
        Some(self.follow(found, now))
    }

    fn follow(&mut self, transition: &(u8, &str, Phase, Phase), now: Stamp) -> TransitionEvent {
        let TransitionDescription { transition, start_state, goal_state } = {
            self.phase = transition.3;
            describe(transition)
        };
        TransitionEvent { timestamp: now.as_nanos().max(0) as u64, transition, start_state, goal_state }
    }
}

fn describe((id, label, start, goal): &(u8, &str, Phase, Phase)) -> TransitionDescription {
    TransitionDescription {
        transition: Transition { id: *id, label: (*label).into() },
        start_state: start.state(),
        goal_state: goal.state(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_label(label: &str) -> Transition {
        Transition { id: 0, label: label.into() }
    }

    fn through(lifecycle: &mut Lifecycle, asked: &Transition, outcome: Outcome) -> Option<Phase> {
        lifecycle.begin(asked, Stamp::default())?;
        lifecycle.end(outcome, Stamp::default())?;
        Some(lifecycle.phase())
    }

    #[test]
    fn a_life_goes_its_way() {
        let mut life = Lifecycle::default();
        assert_eq!(
            through(&mut life, &Transition { id: 1, label: String::new() }, Outcome::Failure),
            Some(Unconfigured)
        );
        assert_eq!(through(&mut life, &by_label("configure"), Outcome::Success), Some(Inactive));
        assert_eq!(through(&mut life, &by_label("activate"), Outcome::Success), Some(Active));
        assert_eq!(through(&mut life, &by_label("deactivate"), Outcome::Success), Some(Inactive));
        assert_eq!(through(&mut life, &by_label("cleanup"), Outcome::Success), Some(Unconfigured));
        assert_eq!(through(&mut life, &by_label("shutdown"), Outcome::Success), Some(Finalized));
        assert!(life.available().is_empty());
    }

    #[test]
    fn nothing_begins_where_it_does_not_belong() {
        let mut life = Lifecycle::default();
        for label in ["activate", "deactivate", "cleanup", "transition_success", "fly"] {
            assert!(life.begin(&by_label(label), Stamp::default()).is_none(), "{label}");
        }
        assert!(
            life.begin(&Transition { id: 6, label: String::new() }, Stamp::default()).is_none(),
            "shutdown of inactive"
        );
        assert!(life.begin(&by_label("configure"), Stamp::default()).is_some());
        assert!(life.begin(&by_label("configure"), Stamp::default()).is_none(), "it is under way");
        assert!(life.begin(&Transition { id: 10, label: String::new() }, Stamp::default()).is_none());
    }

    #[test]
    fn events_carry_both_ends() {
        let mut life = Lifecycle::default();
        let event = life.begin(&by_label("configure"), Stamp::from_nanos(7)).unwrap();
        assert_eq!((event.timestamp, event.transition.id), (7, 1));
        assert_eq!(
            (event.start_state.id, event.goal_state.id, event.goal_state.label.as_str()),
            (1, 10, "configuring")
        );
    }
}
