//! Views rendered from depth through the public API: against what the synthetic world's camera sees there, and in training.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use image::RgbImage;
use vloc::dataset::{self, Dataset};
use vloc::geometry::Se3;
use vloc::progress::Progress;
use vloc::sensor::{CameraModel, DepthImage};
use vloc::synth::{
    DatasetContents, ImageFormat, Pass, PassKind, PathKind, Recording, Renderer, Sensor, World, write_dataset,
};
use vloc::training::{Pixels, RotationAugmentation, SyntheticViews, TrainingConfig, View, synthesize_view};
use vloc::vision::Augmentation;
use vloc::{Result, Stamp};

/// A room with depth, eight frames of a hand-held camera.
fn room(folder: &std::path::Path, depth: bool) -> Box<dyn Dataset> {
    let world = World::new(1);
    let recording = Recording { start: Stamp::from_parts(100, 0), rate: 4.0, frames: 8 };
    let pass = Pass::new(&world, PassKind::Training(0), PathKind::Handheld);
    let renderer = Renderer::new(&CameraModel::pinhole(160, 120, 95.3), Sensor::default()).unwrap();
    let contents = DatasetContents { images: ImageFormat::Png, depth, ..DatasetContents::default() };
    write_dataset(folder, &renderer, &[(&world, pass, recording)], contents, &|| ()).unwrap();
    dataset::open(folder, None).unwrap()
}

/// The share of colours that are within 16 levels of each other.
fn alike(a: &RgbImage, b: &RgbImage) -> f64 {
    let near = a.iter().zip(b.iter()).filter(|(a, b)| a.abs_diff(**b) <= 16).count();
    near as f64 / a.len() as f64
}

#[test]
fn where_the_camera_stands_the_view_is_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path(), true);
    let (image, depth) = (room.image(3).unwrap(), room.depth(3).unwrap().unwrap());
    assert!(synthesize_view(&image, room.camera(), &depth, Se3::identity()).unwrap() == image);
    // Whatever depth is missing.
    let camera = *depth.camera();
    let holes = (0..160 * 120).map(|at| if at % 7 == 0 || at < 320 { 0.0 } else { 2.0 }).collect();
    let holes = DepthImage::new(camera, holes).unwrap();
    assert!(synthesize_view(&image, room.camera(), &holes, Se3::identity()).unwrap() == image);
    let nothing = DepthImage::new(camera, vec![0.0; 160 * 120]).unwrap();
    assert!(synthesize_view(&image, room.camera(), &nothing, Se3::identity()).is_none());
}

#[test]
fn a_view_from_another_frame_is_what_that_frame_saw() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path(), true);
    let pose = |index: usize| room.frames()[index].map_from_camera;
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (6, 7)] {
        let (old, new) = (room.image(from).unwrap(), room.image(to).unwrap());
        let old_from_new = pose(from).inverse() * pose(to);
        assert!(old_from_new.translation.norm() > 0.02, "the camera moves");
        let view = synthesize_view(&old, room.camera(), &room.depth(from).unwrap().unwrap(), old_from_new).unwrap();
        let (before, after) = (alike(&old, &new), alike(&view, &new));
        println!(
            "{from} to {to}: {:.3} m, {before:.3} alike before, {after:.3} after",
            old_from_new.translation.norm()
        );
        assert!(after > 0.8 && after > before + 0.1, "{from} to {to}: {before} {after}");
        // The wrong way round it is worse than nothing.
        let depth = room.depth(from).unwrap().unwrap();
        let wrong = synthesize_view(&old, room.camera(), &depth, old_from_new.inverse()).unwrap();
        assert!(alike(&wrong, &new) < before, "{from} to {to}");
    }
}

#[test]
fn training_shows_a_frame_as_it_is_or_as_one_of_its_views() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let views = SyntheticViews { copies: 3, translation: 0.2, rotation: 5.0 };
    let config = TrainingConfig {
        rotation: RotationAugmentation { pitch: 0.0, yaw: 0.0, roll: 0.0 },
        photometric: Augmentation::none(),
        synthetic_views: Some(views),
        ..TrainingConfig::default()
    };
    let with_depth = room(&folder.path().join("with"), true);
    let pixels = |room: &dyn Dataset| {
        let pixels = Pixels::load(room, &[2, 5], *room.camera(), &config, &Progress::Silent)?;
        pixels.with_synthetic_views(room, &[2], views, &config, 7, &Progress::Silent)
    };
    let loaded = pixels(with_depth.as_ref())?;
    let shown = |frame: usize| loaded.augmented(&(0..200).map(|draw| View { frame, draw }).collect::<Vec<_>>());
    let (plain, pose) = loaded.plain(2);
    let mut distinct = BTreeSet::new();
    for (image, map_from_camera) in shown(2) {
        let Se3 { translation, rotation } = pose.inverse() * map_from_camera;
        assert!(translation.amax() <= 0.2 && rotation.log().amax() <= 5f64.to_radians() + 1e-9);
        assert_eq!(&image == plain, translation.norm() == 0.0);
        distinct.insert(format!("{translation:?}"));
    }
    assert_eq!(distinct.len(), 4, "{distinct:?}");
    assert!(shown(5).iter().all(|(image, map_from_camera)| (image, *map_from_camera) == loaded.plain(5)));

    let without = pixels(room(&folder.path().join("without"), false).as_ref()).err().unwrap().to_string();
    assert!(
        without.starts_with("parameter synthetic_views: expected a depth image for each training frame"),
        "{without}"
    );
    Ok(())
}
