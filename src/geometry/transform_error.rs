//! Why a tree of frames has no answer: each reason is its own kind, because each asks for another reaction (wait for the
//! future, drop the past, tell the user about a missing frame).

use crate::{Error, Stamp};

/// Why a transform was refused or could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// No edge mentions the frame.
    #[error("frame \"{frame}\" is unknown; known are: {known}")]
    UnknownFrame {
        /// The frame that was asked for.
        frame: String,
        /// The known frames, sorted, separated by commas.
        known: String,
    },
    /// The frames have no common ancestor.
    #[error(
        "no path from frame \"{source_frame}\" to \"{target}\": their trees end at \"{source_root}\" and \"{target_root}\""
    )]
    NotConnected {
        /// The frame to go to.
        target: String,
        /// The frame to come from.
        source_frame: String,
        /// The last ancestor of `target`.
        target_root: String,
        /// The last ancestor of `source_frame`.
        source_root: String,
    },
    /// The stamp is older than what is kept of an edge.
    #[error("transform from \"{child}\" to \"{parent}\" at {stamp}: the oldest known is of {oldest}")]
    ExtrapolationIntoPast {
        /// Upper frame of the edge.
        parent: String,
        /// Lower frame of the edge.
        child: String,
        /// The stamp that was asked for.
        stamp: Stamp,
        /// The oldest stamp of the edge.
        oldest: Stamp,
    },
    /// The stamp is newer than what has arrived of an edge: ask again later.
    #[error("transform from \"{child}\" to \"{parent}\" at {stamp}: the newest known is of {newest}")]
    ExtrapolationIntoFuture {
        /// Upper frame of the edge.
        parent: String,
        /// Lower frame of the edge.
        child: String,
        /// The stamp that was asked for.
        stamp: Stamp,
        /// The newest stamp of the edge.
        newest: Stamp,
    },
    /// An edge that cannot be part of a tree.
    #[error("transform from \"{child}\" to \"{parent}\": expected {expected}, found {found}")]
    Refused {
        /// Upper frame of the edge.
        parent: String,
        /// Lower frame of the edge.
        child: String,
        /// What an edge must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl From<TransformError> for Error {
    fn from(error: TransformError) -> Self {
        Error::compute("transform tree", error)
    }
}
