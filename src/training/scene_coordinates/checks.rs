//! What there is to learn from, found before anything is computed.

use super::division::Part;
use super::partners::{FEWEST, partners};
use super::settings::SceneCoordinates;
use crate::dataset::{Dataset, Split};
use crate::geometry::Se3;
use crate::network::MapFromNormalized;
use crate::network::scene_coordinates::Supervision;
use crate::sensor::CameraModel;
use crate::training::run::Job;
use crate::{Error, Result};

/// Whether there is something to learn from.
///
/// # Errors
/// [`Error::Config`] for one training frame, and a model or a video to learn from.
pub(super) fn check(dataset: &dyn Dataset, split: &Split, has_video: bool, job: &Job) -> Result<()> {
    if job.from.is_some() || has_video {
        let found = "a model to go on from, or a video; points are learned from posed images, from the start";
        return Err(Error::config("from", "neither --from nor --unlabelled for scene_coordinates", found));
    }
    if split.train.len() < 2 {
        let found =
            format!("{} in {}; record more of the scene, or give another split", split.train.len(), dataset.name());
        return Err(Error::config("split", "at least 2 training frames", found));
    }
    Ok(())
}

/// What there is to learn from: depth where it is wanted and any frame has some, of each part of the place.
///
/// # Errors
/// Those of the dataset; [`Error::Config`] where some parts have depth and others have none.
pub(super) fn supervision(dataset: &dyn Dataset, parts: &[Part], settings: SceneCoordinates) -> Result<Supervision> {
    if settings.supervision == Supervision::Reprojection {
        return Ok(Supervision::Reprojection);
    }
    let measured = parts.iter().map(|part| has_depth(dataset, &part.learned)).collect::<Result<Vec<bool>>>()?;
    match measured.iter().position(|measured| !measured) {
        None => Ok(Supervision::Depth),
        Some(_) if !measured.contains(&true) => Ok(Supervision::Reprojection),
        Some(blind) => {
            let found = format!(
                "none among the {} frames of part {} of {}; record some there, or set scene_coordinates.supervision: reprojection",
                parts[blind].learned.len(),
                blind + 1,
                parts.len()
            );
            Err(Error::config("dataset", "depth images in each part of the place, or in none", found))
        }
    }
}

fn has_depth(dataset: &dyn Dataset, frames: &[usize]) -> Result<bool> {
    for &frame in frames {
        if dataset.depth(frame)?.is_some_and(|depth| depth.points().next().is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the camera moved enough that the same things are seen from several sides.
///
/// # Errors
/// [`Error::Config`] where it did not.
pub(super) fn check_motion(
    poses: &[Se3],
    camera: &CameraModel,
    settings: SceneCoordinates,
    dataset: &dyn Dataset,
) -> Result<()> {
    let depth = settings.assumed_depth;
    if partners(poses, camera, depth).iter().any(|partners| !partners.is_empty()) {
        return Ok(());
    }
    let extent = MapFromNormalized::fit(poses)?.scale;
    let found = format!(
        "none among the {} training frames of {}, whose positions differ by {extent:.2} m, at a depth of {depth} m; move the \
         camera sideways when you record, say in scene_coordinates.assumed_depth how far away the scene is, or take a dataset \
         with depth",
        poses.len(),
        dataset.name()
    );
    let expected =
        format!("frames that at least {FEWEST} others see from another side, for points without depth images");
    Err(Error::config("dataset", expected, found))
}
