//! The services of the node over RTPS.
//!
//! ROS 2's middlewares carry services over DDS in two ways that do not understand each other: `rmw_cyclonedds` puts the
//! identity of a request into its payload, the others (`rmw_fastrtps`, ROS 2's default, and `rmw_connextdds`) into RTPS's
//! own header. `RMW_IMPLEMENTATION` says which one the rest of the robot speaks.

use std::fmt::Display;

use futures::StreamExt;
use ros2_client::{ServiceMapping, ServiceTypeName};

use super::endpoints::Endpoints;
use super::profile;
use crate::middleware::services::{Responder, Service, ServiceHost, split_type};
use crate::middleware::{Incoming, Qos};
use crate::{Error, Result};

impl ServiceHost for Endpoints {
    fn serve<S: Service>(&mut self) -> Result<()> {
        let name = self.name(S::NAME)?;
        let (package, service) = split_type(S::TYPE)?;
        let service_type = ServiceTypeName::new(package, service);
        let (requests, responses) = (profile::of(Qos::SERVICES), profile::of(Qos::SERVICES));
        let created =
            self.node.create_server::<S::Request, S::Response>(mapping(), &name, &service_type, requests, responses);
        let server =
            created.map_err(|error| Error::middleware(format!("service {}", S::NAME), format!("{error:?}")))?;
        let sender = self.sender.clone();
        let clients = self.matching.clients.clone();
        let (request_topic, response_topic) = (format!("rq{name}Request"), format!("rr{name}Reply"));
        self.tasks.push(tokio::spawn(async move {
            let mut requests = Box::pin(server.receive_request_stream());
            while let Some(request) = requests.next().await {
                let (id, request) = match request {
                    Ok(request) => request,
                    Err(error) => {
                        failed::<S>("a request that cannot be read", error);
                        continue;
                    }
                };
                let (responder, response) = Responder::new();
                if sender.send(Incoming::Call(S::call(request, responder))).await.is_err() {
                    return;
                }
                let Ok(response) = response.await else { continue };
                clients.wait(&request_topic, &response_topic).await;
                if let Err(error) = server.async_send_response(id, response).await {
                    failed::<S>("the response was not sent", error);
                }
            }
        }));
        Ok(())
    }
}

fn failed<S: Service>(what: &str, error: impl Display) {
    tracing::warn!("service {} ({}): {what}: {error}", S::NAME, S::TYPE);
}

/// How the rest of the robot carries services.
fn mapping() -> ServiceMapping {
    match std::env::var("RMW_IMPLEMENTATION") {
        Ok(name) if name.contains("cyclone") => ServiceMapping::Cyclone,
        _ => ServiceMapping::Enhanced,
    }
}
