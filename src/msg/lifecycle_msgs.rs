//! Package `lifecycle_msgs`: the states of a managed node, and the services that ask for them and change them.

use serde::{Deserialize, Serialize};

/// A state of a managed node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its number.
    pub id: u8,
    /// Its name.
    pub label: String,
}

/// A transition between two states. In a request, the label wins over the number when it is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Its number.
    pub id: u8,
    /// Its name.
    pub label: String,
}

/// A transition with its ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionDescription {
    /// The transition.
    pub transition: Transition,
    /// Where it begins.
    pub start_state: State,
    /// Where it leads.
    pub goal_state: State,
}

/// A transition that happened, on `~/transition_event`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionEvent {
    /// When, nanoseconds.
    pub timestamp: u64,
    /// The transition.
    pub transition: Transition,
    /// Where it began.
    pub start_state: State,
    /// Where it led.
    pub goal_state: State,
}

/// Request of `ChangeState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStateRequest {
    /// What to do.
    pub transition: Transition,
}

/// Response of `ChangeState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStateResponse {
    /// Whether the transition succeeded.
    pub success: bool,
}

/// Response of `GetState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStateResponse {
    /// The state now.
    pub current_state: State,
}

/// Response of `GetAvailableStates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAvailableStatesResponse {
    /// Every state.
    pub available_states: Vec<State>,
}

/// Response of `GetAvailableTransitions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAvailableTransitionsResponse {
    /// Transitions with their ends.
    pub available_transitions: Vec<TransitionDescription>,
}

ros_message!(ChangeStateRequest, "lifecycle_msgs/srv/ChangeState_Request", change_state_fields, transition_fields);
ros_message!(ChangeStateResponse, "lifecycle_msgs/srv/ChangeState_Response", success_fields);
ros_message!(GetStateResponse, "lifecycle_msgs/srv/GetState_Response", get_state_fields, lifecycle_state_fields);
ros_message!(
    GetAvailableStatesResponse,
    "lifecycle_msgs/srv/GetAvailableStates_Response",
    get_available_states_fields,
    lifecycle_state_fields,
);
ros_message!(
    GetAvailableTransitionsResponse,
    "lifecycle_msgs/srv/GetAvailableTransitions_Response",
    get_available_transitions_fields,
    transition_description_fields,
    transition_fields,
    lifecycle_state_fields,
);
ros_message!(
    TransitionEvent,
    "lifecycle_msgs/msg/TransitionEvent",
    transition_event_fields,
    transition_fields,
    lifecycle_state_fields,
);
