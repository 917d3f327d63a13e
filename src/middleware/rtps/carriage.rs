//! How requests and responses travel over DDS, and how a response finds the request that it answers.
//!
//! ROS 2's middlewares carry services in two ways that do not understand each other: `rmw_cyclonedds` puts the identity of
//! a request into its payload ([`InPayload`]), the others (`rmw_fastrtps`, ROS 2's default, and `rmw_connextdds`) into
//! RTPS's own header ([`InHeader`]; the "enhanced service mapping" of OMG's RPC over DDS).

use ros2_client::MessageInfo;
use ros2_client::dds::rustdds::rpc::SampleIdentity;
use ros2_client::dds::rustdds::{SequenceNumber, WriteOptions, WriteOptionsBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A way to carry services.
pub(super) trait Carriage: Send + Sync + 'static {
    /// What tells one request from all others. The default is nobody's.
    type Identity: Copy + Default + Send + Sync;
    /// A request as it travels.
    type Request<T: DeserializeOwned + Send + Sync + 'static>: DeserializeOwned + Send + Sync + 'static;
    /// A response as it travels.
    type Response<T: Serialize + Send + Sync + 'static>: Serialize + Send + Sync + 'static;

    /// Whose request this is, and what is asked.
    fn unpack<T: DeserializeOwned + Send + Sync + 'static>(
        request: Self::Request<T>,
        info: &MessageInfo,
    ) -> (Self::Identity, T);

    /// The response to a request, and what DDS is told with it.
    fn pack<T: Serialize + Send + Sync + 'static>(
        identity: Self::Identity,
        response: T,
    ) -> (Self::Response<T>, WriteOptions);
}

/// The identity leads the payload: `cdds_request_header_t` of `rmw_cyclonedds`.
pub(super) struct InPayload;

/// A body behind the identity of its request.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Headed<T> {
    client: u64,
    sequence_number: i64,
    body: T,
}

impl Carriage for InPayload {
    type Identity = (u64, i64);
    type Request<T: DeserializeOwned + Send + Sync + 'static> = Headed<T>;
    type Response<T: Serialize + Send + Sync + 'static> = Headed<T>;

    fn unpack<T: DeserializeOwned + Send + Sync + 'static>(request: Headed<T>, _: &MessageInfo) -> ((u64, i64), T) {
        ((request.client, request.sequence_number), request.body)
    }

    fn pack<T: Serialize + Send + Sync + 'static>(
        (client, sequence_number): (u64, i64),
        body: T,
    ) -> (Headed<T>, WriteOptions) {
        (Headed { client, sequence_number, body }, WriteOptionsBuilder::new().build())
    }
}

/// The identity is the related sample's in the inline QoS.
pub(super) struct InHeader;

/// The sample that asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample(SampleIdentity);

impl Default for Sample {
    fn default() -> Self {
        Self(ros2_client::service::request_id::RmwRequestId::default().into())
    }
}

impl Carriage for InHeader {
    type Identity = Sample;
    type Request<T: DeserializeOwned + Send + Sync + 'static> = T;
    type Response<T: Serialize + Send + Sync + 'static> = T;

    fn unpack<T: DeserializeOwned + Send + Sync + 'static>(request: T, info: &MessageInfo) -> (Sample, T) {
        let own = SequenceNumber::from(info.sequence_number());
        let mut identity = info.related_request_id().map_or_else(
            || SampleIdentity { writer_guid: info.publisher_gid().into(), sequence_number: own },
            SampleIdentity::from,
        );
        // Fast DDS names its reader and leaves the number of the request open.
        if identity.sequence_number == SequenceNumber::UNKNOWN {
            identity.sequence_number = own;
        }
        (Sample(identity), request)
    }

    fn pack<T: Serialize + Send + Sync + 'static>(Sample(identity): Sample, response: T) -> (T, WriteOptions) {
        (response, WriteOptionsBuilder::new().related_sample_identity(identity).build())
    }
}
