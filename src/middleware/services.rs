//! The services of the node: what can be asked of it, and how the answer finds its way back.
//!
//! An adapter serves each [`Service`] of [`serve_all`]: it turns a request into a [`Call`] with a [`Responder`], hands
//! it to the node as [`Incoming::Call`](super::Incoming), and sends what the responder brings. A responder that is
//! dropped answers nothing.

use tokio::sync::oneshot;

use crate::Result;
use crate::msg::RosMessage;
use crate::msg::lifecycle_msgs::{
    ChangeStateRequest, ChangeStateResponse, GetAvailableStatesResponse, GetAvailableTransitionsResponse,
    GetStateResponse,
};
use crate::msg::rcl_interfaces::{
    DescribeParametersResponse, GetParameterTypesResponse, GetParametersResponse, ListParametersRequest,
    ListParametersResponse, NamesRequest, SetParametersAtomicallyResponse, SetParametersRequest, SetParametersResponse,
};
use crate::msg::std_srvs::{Empty, TriggerResponse};

/// Takes the one answer to a request.
#[derive(Debug)]
pub struct Responder<T>(oneshot::Sender<T>);

impl<T> Responder<T> {
    /// A responder, and where its answer arrives.
    pub fn new() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. Nobody may be waiting any more; then nothing happens.
    pub fn respond(self, response: T) {
        let _ = self.0.send(response);
    }
}

/// A service of the node.
pub trait Service: 'static {
    /// Its name: relative, or private (`~/`).
    const NAME: &'static str;
    /// The type's name as ROS 2 writes it, for example `std_srvs/srv/Empty`.
    const TYPE: &'static str;
    /// What is asked.
    type Request: RosMessage + Clone + Send + Sync + std::fmt::Debug + 'static;
    /// What is answered.
    type Response: RosMessage + Default + Send + Sync + std::fmt::Debug + 'static;

    /// The request as the node takes it.
    fn call(request: Self::Request, responder: Responder<Self::Response>) -> Call;
}

/// Serves services, one after the other.
pub trait ServiceHost {
    /// Serves one from now on.
    ///
    /// # Errors
    /// [`crate::Error::Middleware`] when the middleware does not take it.
    fn serve<S: Service>(&mut self) -> Result<()>;
}

macro_rules! services {
    ($($(#[$text:meta])* $service:ident $name:literal $type:literal: $request:ty => $response:ty;)*) => {
        /// A request to the node.
        #[derive(Debug)]
        pub enum Call {
            $($(#[$text])* $service($request, Responder<$response>),)*
        }

        $(
            $(#[$text])*
            #[derive(Clone, Copy, Debug)]
            pub struct $service;

            impl Service for $service {
                const NAME: &'static str = $name;
                const TYPE: &'static str = $type;
                type Request = $request;
                type Response = $response;

                fn call(request: $request, responder: Responder<$response>) -> Call {
                    Call::$service(request, responder)
                }
            }
        )*

        /// Serves every service of the node.
        ///
        /// # Errors
        /// The first that the host reports.
        pub fn serve_all(host: &mut impl ServiceHost) -> Result<()> {
            $(host.serve::<$service>()?;)*
            Ok(())
        }
    };
}

services! {
    /// The robot may be anywhere: the estimate starts anew. Nav2's recoveries call it by this name.
    ReinitializeGlobalLocalization "reinitialize_global_localization" "std_srvs/srv/Empty": Empty => Empty;
    /// Everything measured so far is forgotten, as after a jump of the clock.
    Reset "reset" "std_srvs/srv/Trigger": Empty => TriggerResponse;
    /// A transition of the lifecycle.
    ChangeState "~/change_state" "lifecycle_msgs/srv/ChangeState": ChangeStateRequest => ChangeStateResponse;
    /// The state of the lifecycle.
    GetState "~/get_state" "lifecycle_msgs/srv/GetState": Empty => GetStateResponse;
    /// Every state of the lifecycle.
    GetAvailableStates "~/get_available_states" "lifecycle_msgs/srv/GetAvailableStates":
        Empty => GetAvailableStatesResponse;
    /// The transitions that can begin in this state.
    GetAvailableTransitions "~/get_available_transitions" "lifecycle_msgs/srv/GetAvailableTransitions":
        Empty => GetAvailableTransitionsResponse;
    /// Every transition of the lifecycle.
    GetTransitionGraph "~/get_transition_graph" "lifecycle_msgs/srv/GetAvailableTransitions":
        Empty => GetAvailableTransitionsResponse;
    /// Values of parameters.
    GetParameters "~/get_parameters" "rcl_interfaces/srv/GetParameters": NamesRequest => GetParametersResponse;
    /// Types of parameters.
    GetParameterTypes "~/get_parameter_types" "rcl_interfaces/srv/GetParameterTypes":
        NamesRequest => GetParameterTypesResponse;
    /// Names of parameters.
    ListParameters "~/list_parameters" "rcl_interfaces/srv/ListParameters":
        ListParametersRequest => ListParametersResponse;
    /// Meaning and range of parameters.
    DescribeParameters "~/describe_parameters" "rcl_interfaces/srv/DescribeParameters":
        NamesRequest => DescribeParametersResponse;
    /// Changes parameters one by one.
    SetParameters "~/set_parameters" "rcl_interfaces/srv/SetParameters":
        SetParametersRequest => SetParametersResponse;
    /// Changes parameters all or none.
    SetParametersAtomically "~/set_parameters_atomically" "rcl_interfaces/srv/SetParametersAtomically":
        SetParametersRequest => SetParametersAtomicallyResponse;
}

/// Package and name of a service's type.
#[cfg(feature = "rtps")]
pub(super) fn split_type(service_type: &str) -> Result<(&str, &str)> {
    let split = service_type.split_once("/srv/");
    split.ok_or_else(|| crate::Error::middleware(format!("service type {service_type}"), "is no package/srv/Name"))
}
