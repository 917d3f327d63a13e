//! Pretraining an encoder for scene coordinates on rooms that never were: features for any place, from no recording at all.
//!
//! The way of ACE's encoder (Brachmann, Cavallari & Prisacariu 2023, arXiv 2305.14059, section 3.3): one encoder for all scenes,
//! a small head for each, all at once; a head says where in its room each cell lies, and the encoder learns what all heads need.
//! The paper has 100 scenes of ScanNet; here rooms are [`World::varied`](crate::synth::World::varied), which cost nothing and whose
//! points are exact. They come and go: when a room is old, another takes its place with a new head, so that features must be
//! of use to heads that know little yet as well as to those that know much.
//!
//! A head needs many steps until it tells the encoder anything. So that less computing is enough, a second loss goes beside that of
//! the paper: cells of two views of a room that show the same point should be alike, and others not
//! ([`matching_loss`](crate::loss::matching_loss)).
//!
//! ```text
//! seeds ─ rooms ─ views (any place, direction, roll, focal length; lights) ─ augmentation ─ encoder ─ cells ─┬─ head of room 1 ─┐
//!                                                                                                           ├─ ...             ├─ soft-clipped distances ─┬─ Adam
//!                                                                                                           ├─ head of room R ─┘                          │
//!                                                                                                           └─ descriptors ─ matching of pairs ───────────┘
//! ```
//!
//! What comes out is the encoder alone, for `vloc train --weights`. What it is worth in rooms that it never saw is measured at the
//! end, beside random weights ([`probe`]); in a real place, only a recording of that can say.

mod card;
mod eye;
mod heads;
mod learn;
mod population;
mod probe;
mod room;
mod settings;

pub use card::{CARD_FILE, ENCODER_FILE, EncoderCard, Judged};
pub use learn::pretrain;
pub use probe::{Probe, probe};
pub use settings::Pretraining;
