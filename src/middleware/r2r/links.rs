//! Whom the subscriptions hear, and whom they do not: from rcl's graph, by the rules of DDS.

use ::r2r::Node;

use super::profile;
use crate::middleware::{Input, Link, Qos};

/// A topic whose publishers are looked at.
pub(super) struct Watched {
    input: Input,
    topic: String,
    message_type: &'static str,
    requested: Qos,
}

impl Watched {
    /// `topic` is the absolute name.
    pub(super) fn new(input: Input, topic: String, message_type: &'static str, requested: Qos) -> Self {
        Self { input, topic, message_type, requested }
    }

    /// How it is connected now; the node does not count as its own publisher of `/tf`.
    pub(super) fn look(&self, node: &Node) -> Link {
        let &Self { input, ref topic, message_type, requested } = self;
        let mut link = Link { input, topic: topic.clone(), requested, publishers: 0, incompatible: Vec::new() };
        let own = node.fully_qualified_name().unwrap_or_default();
        for publisher in node.get_publishers_info_by_topic(topic, false).unwrap_or_default() {
            if own == format!("{}/{}", publisher.node_namespace.trim_end_matches('/'), publisher.node_name) {
                continue;
            }
            let offered = profile::in_words(&publisher.qos_profile);
            if publisher.topic_type != message_type {
                link.incompatible.push(format!("{offered}, of the type {}", publisher.topic_type));
            } else if profile::hears(requested, &publisher.qos_profile) {
                link.publishers += 1;
            } else {
                link.incompatible.push(offered);
            }
        }
        link
    }
}
