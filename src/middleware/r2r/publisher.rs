//! A publisher of the crate's own messages, as bytes.

use std::marker::PhantomData;

use ::r2r::PublisherUntyped;

use crate::msg::{RosMessage, cdr};
use crate::{Error, Result};

/// Publishes messages of one type on one topic.
pub(super) struct Publisher<T> {
    bytes: PublisherUntyped,
    message: PhantomData<fn(T)>,
}

impl<T: RosMessage> Publisher<T> {
    /// `bytes` must be of the type of `T`.
    pub(super) fn new(bytes: PublisherUntyped) -> Self {
        Self { bytes, message: PhantomData }
    }

    pub(super) fn publish(&self, message: &T) -> Result<()> {
        let published = self.bytes.publish_raw(&cdr::to_bytes(message));
        published.map_err(|error| Error::middleware(format!("publishing {}", T::TYPE), error))
    }
}
