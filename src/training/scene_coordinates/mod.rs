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
//! alone. A dataset without any depth is refused for now.

mod buffer;
mod descent;
mod folds;
mod run;
mod settings;
mod sight;

pub(super) use run::train;
pub use settings::SceneCoordinates;
