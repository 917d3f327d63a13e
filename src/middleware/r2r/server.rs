//! The services of the node over rcl. r2r serves them by type only; between its types and the node's, there is CDR.

use ::r2r::{ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};
use ::r2r::{lifecycle_msgs, rcl_interfaces};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::endpoints::{Endpoints, inlet};
use super::profile;
use crate::middleware::services::{Responder, Service, ServiceHost};
use crate::middleware::{Incoming, Qos};
use crate::msg::cdr;
use crate::{Error, Result};

/// Makes of a request's bytes what the node takes, and the response's bytes that follow; nothing follows where the node
/// does not answer.
type Ask = Box<dyn Fn(&[u8]) -> Result<(Incoming, BoxFuture<'static, Option<Vec<u8>>>)> + Send>;

impl ServiceHost for Endpoints {
    fn serve<S: Service>(&mut self) -> Result<()> {
        let ask: Ask = Box::new(|bytes| {
            let request = cdr::from_bytes(&format!("request to {}", S::NAME), bytes)?;
            let (responder, response) = Responder::new();
            let bytes = response.map(|response| response.ok().map(|response| cdr::to_bytes(&response)));
            Ok((Incoming::Call(S::call(request, responder)), bytes.boxed()))
        });
        use lifecycle_msgs::srv as lifecycle;
        use rcl_interfaces::srv as rcl;
        match S::TYPE {
            #[cfg(not(feature = "ros-check"))]
            "std_srvs/srv/Empty" => self.serve_as::<::r2r::std_srvs::srv::Empty::Service>(S::NAME, ask),
            #[cfg(not(feature = "ros-check"))]
            "std_srvs/srv/Trigger" => self.serve_as::<::r2r::std_srvs::srv::Trigger::Service>(S::NAME, ask),
            "lifecycle_msgs/srv/ChangeState" => self.serve_as::<lifecycle::ChangeState::Service>(S::NAME, ask),
            "lifecycle_msgs/srv/GetState" => self.serve_as::<lifecycle::GetState::Service>(S::NAME, ask),
            "lifecycle_msgs/srv/GetAvailableStates" => {
                self.serve_as::<lifecycle::GetAvailableStates::Service>(S::NAME, ask)
            }
            "lifecycle_msgs/srv/GetAvailableTransitions" => {
                self.serve_as::<lifecycle::GetAvailableTransitions::Service>(S::NAME, ask)
            }
            "rcl_interfaces/srv/GetParameters" => self.serve_as::<rcl::GetParameters::Service>(S::NAME, ask),
            "rcl_interfaces/srv/GetParameterTypes" => self.serve_as::<rcl::GetParameterTypes::Service>(S::NAME, ask),
            "rcl_interfaces/srv/ListParameters" => self.serve_as::<rcl::ListParameters::Service>(S::NAME, ask),
            "rcl_interfaces/srv/DescribeParameters" => self.serve_as::<rcl::DescribeParameters::Service>(S::NAME, ask),
            "rcl_interfaces/srv/SetParameters" => self.serve_as::<rcl::SetParameters::Service>(S::NAME, ask),
            "rcl_interfaces/srv/SetParametersAtomically" => {
                self.serve_as::<rcl::SetParametersAtomically::Service>(S::NAME, ask)
            }
            unknown => Err(Error::middleware(format!("service {}", S::NAME), format!("r2r does not know {unknown}"))),
        }
    }
}

impl Endpoints {
    fn serve_as<W: WrappedServiceTypeSupport + 'static>(&mut self, name: &'static str, ask: Ask) -> Result<()> {
        let created = self.node.create_service::<W>(name, profile::of(Qos::SERVICES));
        let requests = created.map_err(|error| Error::middleware(format!("service {name}"), error))?;
        let (sender, runtime) = (self.sender.clone(), self.runtime.clone());
        self.inlets.push(inlet(requests, move |request: ServiceRequest<W>| {
            let bytes = request.message.to_serialized_bytes();
            let asked = bytes.map_err(|error| Error::middleware("reading a request", error)).and_then(|b| ask(&b));
            match asked {
                Ok((incoming, response)) => {
                    runtime.spawn(respond(name, request, response));
                    sender.blocking_send(incoming).is_ok()
                }
                Err(error) => {
                    tracing::warn!("service {name}: {error}");
                    true
                }
            }
        }));
        Ok(())
    }
}

/// Sends the response when the node has it.
async fn respond<W: WrappedServiceTypeSupport + 'static>(
    name: &'static str,
    request: ServiceRequest<W>,
    response: BoxFuture<'static, Option<Vec<u8>>>,
) {
    let Some(bytes) = response.await else { return };
    let sent = W::Response::from_serialized_bytes(&bytes).and_then(|response| request.respond(response));
    if let Err(error) = sent {
        tracing::warn!("service {name}: the response was not sent: {error}");
    }
}
