//! The services of the node over RTPS, each a task that takes requests and writes responses.
//!
//! A response that is the first that a client hears of its server can be lost: CycloneDDS takes what was written before
//! the first heartbeat as the past, and the heartbeat that greets a new listener may come before it knows the server.
//! Therefore each server writes one response to nobody before it is found. A listener has something to acknowledge then,
//! and its first response waits until it has: from there on, nothing is lost.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use ros2_client::dds::rustdds::no_key::DataWriterCdr;
use ros2_client::dds::rustdds::{GUID, QosPolicies, Topic, TopicDescription, TopicKind};
use ros2_client::{MessageInfo, Subscription};
use tokio::sync::mpsc;

use super::carriage::{Carriage, InHeader, InPayload};
use super::clients::Clients;
use super::endpoints::Endpoints;
use super::profile;
use crate::middleware::services::{Responder, Service, ServiceHost, split_type};
use crate::middleware::{Incoming, Qos};
use crate::{Error, Result};

/// How long the first response to a client waits for its acknowledgement.
const PATIENCE: Duration = Duration::from_secs(2);

impl ServiceHost for Endpoints {
    fn serve<S: Service>(&mut self) -> Result<()> {
        // `RMW_IMPLEMENTATION` says how the rest of the robot carries services.
        match std::env::var("RMW_IMPLEMENTATION") {
            Ok(name) if name.contains("cyclone") => self.serve_by::<S, InPayload>(),
            _ => self.serve_by::<S, InHeader>(),
        }
    }
}

impl Endpoints {
    fn serve_by<S: Service, C: Carriage>(&mut self) -> Result<()> {
        let failed = |error: String| Error::middleware(format!("service {}", S::NAME), error);
        let (name, (package, service)) = (self.name(S::NAME)?, split_type(S::TYPE)?);
        let qos = QosPolicies::from(&profile::of(Qos::SERVICES));
        let topic = |name: String, direction: &str| {
            let kind = format!("{package}::srv::dds_::{service}_{direction}_");
            self.participant.create_topic(name, kind, &qos, TopicKind::NoKey).map_err(|e| failed(format!("{e:?}")))
        };
        let requests = topic(format!("rq{name}Request"), "Request")?;
        let responses = topic(format!("rr{name}Reply"), "Response")?;
        let publisher = self.participant.create_publisher(&qos).map_err(|e| failed(format!("{e:?}")))?;
        let writer = publisher.create_datawriter_no_key_cdr(&responses, None).map_err(|e| failed(format!("{e:?}")))?;
        let (nobody, options) = C::pack(C::Identity::default(), S::Response::default());
        writer.write_with_options(nobody, options).map_err(|e| failed(format!("{:?}", e.forget_data())))?;
        let reader = self.node.create_subscription(&requests, None).map_err(|error| failed(format!("{error:?}")))?;
        let (sender, clients) = (self.sender.clone(), self.matching.clients.clone());
        let server = Server::<S, C> { reader, writer, requests, responses, sender, clients };
        self.tasks.push(tokio::spawn(server.run()));
        Ok(())
    }
}

/// One service's ends.
struct Server<S: Service, C: Carriage> {
    reader: Subscription<C::Request<S::Request>>,
    writer: DataWriterCdr<C::Response<S::Response>>,
    requests: Topic,
    responses: Topic,
    sender: mpsc::Sender<Incoming>,
    clients: Clients,
}

impl<S: Service, C: Carriage> Server<S, C> {
    /// Answers requests one after the other, until the node takes no more.
    async fn run(self) {
        let mut requests = Box::pin(self.reader.async_stream());
        let mut reached = BTreeSet::new();
        while let Some(request) = requests.next().await {
            let (request, info) = match request {
                Ok(request) => request,
                Err(error) => {
                    failed::<S>("a request that cannot be read", error);
                    continue;
                }
            };
            let (identity, request) = C::unpack(request, &info);
            let (responder, response) = Responder::new();
            if self.sender.send(Incoming::Call(S::call(request, responder))).await.is_err() {
                return;
            }
            let Ok(response) = response.await else { continue };
            self.reach(&info, &mut reached).await;
            let (response, options) = C::pack(identity, response);
            if let Err(error) = self.writer.async_write_with_options(response, options).await {
                failed::<S>("the response was not sent", error.forget_data());
            }
        }
    }

    /// Waits until the one who asks hears this server: `reached` are the listeners that do.
    async fn reach(&self, info: &MessageInfo, reached: &mut BTreeSet<GUID>) {
        let client = GUID::from(info.publisher_gid());
        let Some(listeners) = self.clients.wait(client, &self.requests.name(), &self.responses.name()).await else {
            return failed::<S>("its client was not seen to listen, and may not hear the response", client);
        };
        if listeners.is_subset(reached) {
            return;
        }
        let acknowledged = self.writer.async_wait_for_acknowledgments();
        match tokio::time::timeout(PATIENCE, acknowledged).await {
            Ok(Ok(_)) => reached.extend(listeners),
            Ok(Err(error)) => failed::<S>("waiting for its client", error),
            Err(_) => failed::<S>("its client is slow, and may not hear the response", client),
        }
    }
}

fn failed<S: Service>(what: &str, why: impl Debug) {
    tracing::warn!("service {} ({}): {what}: {why:?}", S::NAME, S::TYPE);
}
