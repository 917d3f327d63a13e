//! Learning which point of the scene each cell of an image shows (ACE; Brachmann, Cavallari & Prisacariu 2023, arXiv
//! 2305.14059, section 3.1): the encoder is frozen, so cells need no images around them.
//!
//! ```text
//! frames, augmented copies ─ encoder ─ cells drawn at random ─ CellBuffer (half precision, bounded bytes)
//! CellBuffer, shuffled ─ steps of cells of all images ─ layers ─ soft-clipped distances ─ Adam
//! ```
//!
//! Cells of one step come from everywhere: their gradients are hardly correlated, which is why minutes are enough.
//!
//! What a cell should say comes from the depth image of its frame: the depth on the ray of the cell's centre, put on this ray.
//! That takes depth and colour camera to stand at one place; what is between them (7-Scenes: about 2.5 cm, in a direction that
//! the dataset does not give) stays unknown and is in the points. A cell without a reading learns from its reprojection error
//! alone.
//!
//! Without depth images all cells do (DSAC++, second step; ACE). The papers start at a constant depth; from there thousands of
//! steps find the points. Here a plane sweep through the features of frames with known poses says roughly where they are, the
//! first part of the training learns that, and the rest follows reprojection errors:
//!
//! ```text
//! cells ─ sweep along their rays, seen by frames from other sides ─ rough points ─ learned first ─ reprojection errors
//! ```
//!
//! A place that is too large for one head is divided into parts, which are learned one after the other as if each were all:
//!
//! ```text
//! poses ─ parts that overlap, each: cells ─ a head in units of its own ─┐
//! training images ─ descriptions, with the part of each ───────────────┴─ the model
//! ```

mod buffer;
mod checks;
mod components;
mod descent;
mod division;
mod eye;
mod folds;
mod lesson;
mod partners;
mod peak;
mod run;
mod settings;
mod sight;
mod sweep;
mod units;

pub(super) use run::train;
pub use settings::SceneCoordinates;
pub(in crate::training) use sight::Sight;
