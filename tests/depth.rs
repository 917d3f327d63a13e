//! Depth and label images through the public API: made files, the synthetic world against geometry, and real recordings.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use nalgebra::Vector3;
use vloc::dataset::{self, Dataset};
use vloc::geometry::Se3;
use vloc::sensor::{CameraModel, DepthImage, Distortion};
use vloc::synth::{
    Class, DatasetContents, Pass, PassKind, PathKind, Recording, Renderer, Sensor, World, write_dataset,
};
use vloc::{Result, Stamp};

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

const POSE: &str = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n";

/// A 7-Scenes scene of one frame of 640x480 without depth, and the stem of its files.
fn scene() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("seq-01/frame-000000");
    write(stem.with_extension("pose.txt"), POSE);
    RgbImage::new(640, 480).save(stem.with_extension("color.png")).unwrap();
    (folder, stem)
}

fn ramp(width: u32, height: u32) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    ImageBuffer::from_fn(width, height, |x, y| Luma([(1000 + 2 * x + y) as u16]))
}

fn depth_of(folder: &Path) -> Result<Option<DepthImage>> {
    dataset::open(folder, None).unwrap().depth(0)
}

#[test]
fn millimetres_become_metres_of_the_depth_camera() {
    let (folder, stem) = scene();
    assert_eq!(depth_of(folder.path()).unwrap(), None);
    let file = stem.with_extension("depth.png");
    let mut image = ramp(320, 240);
    image.put_pixel(0, 0, Luma([0]));
    image.put_pixel(1, 0, Luma([65535]));
    image.save(&file).unwrap();
    let depth = depth_of(folder.path()).unwrap().unwrap();
    assert_eq!(
        (depth.at(0, 0), depth.at(1, 0), depth.at(2, 0), depth.at(319, 239)),
        (None, None, Some(1.004), Some(1.877))
    );
    // Every second pixel of 640x480 with f = 585, c = (320, 240).
    let camera = CameraModel { cx: 160.0, cy: 120.0, ..CameraModel::pinhole(320, 240, 292.5) };
    assert_eq!(depth.camera(), &camera);
    let point = depth.point(200, 60).unwrap();
    assert!((point - Vector3::new(40.0 / 292.5, -60.0 / 292.5, 1.0) * 1.46).norm() < 1e-6, "{point}");

    ramp(640, 480).save(&file).unwrap();
    assert_eq!(depth_of(folder.path()).unwrap().unwrap().camera().fx, 585.0);
    let own = "width: 320\nheight: 240\nfx: 200.0\nfy: 201.0\ncx: 159.5\ncy: 119.5\n";
    write(folder.path().join("depth_camera.yaml"), own);
    ramp(320, 240).save(&file).unwrap();
    assert_eq!(depth_of(folder.path()).unwrap().unwrap().camera().fy, 201.0);
    assert_eq!(depth_of(&folder.path().join("seq-01")).unwrap().unwrap().camera().fy, 201.0);
}

#[test]
fn broken_depth_files_are_errors_with_their_name() {
    let (folder, stem) = scene();
    let file = stem.with_extension("depth.png");
    let text = || depth_of(folder.path()).unwrap_err().to_string();
    ramp(320, 240).save(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    write(&file, &bytes[..bytes.len() / 2]);
    assert!(text().contains("frame-000000.depth.png: expected a complete png image, found "), "{}", text());
    write(&file, "no image");
    assert!(text().ends_with("expected jpeg or png data, found 8 bytes of another format"), "{}", text());
    GrayImage::new(320, 240).save(&file).unwrap();
    assert!(text().ends_with("expected a png image of one channel of 16 bits, found L8"), "{}", text());
    for (width, height) in [(320, 480), (300, 225), (1280, 960)] {
        ramp(width, height).save(&file).unwrap();
        let found = format!(
            "expected 640x480 depths, or every n-th of them both ways, found {width}x{height}; a depth_camera.yaml in a \
             7-Scenes folder overrides it"
        );
        assert!(text().ends_with(&found), "{}", text());
    }
    ramp(320, 240).save(&file).unwrap();
    let opened = dataset::open(folder.path(), None).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(opened.depth(0).unwrap_err().to_string().starts_with("cannot read"));
}

#[test]
fn labels_need_a_class_each_and_the_size_of_the_image() {
    let (folder, stem) = scene();
    let file = stem.with_extension("label.png");
    let mut labels = GrayImage::new(640, 480);
    labels.put_pixel(3, 4, Luma([2]));
    labels.save(&file).unwrap();
    let open = || dataset::open(folder.path(), None).unwrap();
    assert!(open().classes().is_empty() && open().labels(0).unwrap().is_none());
    write(folder.path().join("labels.yaml"), "- wall\n- floor\n- door\n");
    assert_eq!(open().classes(), ["wall", "floor", "door"]);
    assert_eq!(open().labels(0).unwrap().unwrap(), labels);
    let text = || open().labels(0).unwrap_err().to_string();
    write(folder.path().join("labels.yaml"), "- wall\n- floor\n");
    let unknown = "frame-000000.label.png: expected values below 2, the number of classes in labels.yaml, found 2";
    assert!(text().ends_with(unknown), "{}", text());
    GrayImage::new(320, 240).save(&file).unwrap();
    assert!(text().contains("expected a 640x480 image, as the camera calibration says, found 320x240"), "{}", text());
    ramp(640, 480).save(&file).unwrap();
    assert!(text().ends_with("expected a png image of one channel of 8 bits, found L16"), "{}", text());
    std::fs::remove_file(&file).unwrap();
    assert!(open().labels(0).unwrap().is_none());
    write(folder.path().join("labels.yaml"), "[]");
    let empty = dataset::open(folder.path(), None).err().unwrap().to_string();
    assert!(empty.ends_with("labels.yaml: expected a list of 1 to 256 class names, found 0 names"), "{empty}");
}

#[test]
fn tum_depth_is_the_nearest_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rgbd_dataset_freiburg3_made");
    write(root.join("rgb.txt"), "1.00 a.png\n1.03 b.png\n1.06 c.png\n");
    write(root.join("groundtruth.txt"), "0.99 0 0 0 0 0 0 1\n1.03 0 0 0 0 0 0 1\n1.07 0 0 0 0 0 0 1\n");
    for name in ["a.png", "b.png", "c.png"] {
        RgbImage::new(640, 480).save(root.join(name)).unwrap();
    }
    assert_eq!(dataset::open(&root, None).unwrap().depth(0).unwrap(), None);
    write(root.join("depth.txt"), "# depth\n1.015 depth/1.png\n1.052 depth/2.png\n1.095 depth/3.png\n");
    let mut image = ImageBuffer::from_pixel(640, 480, Luma([7500_u16]));
    image.put_pixel(5, 5, Luma([0]));
    std::fs::create_dir(root.join("depth")).unwrap();
    image.save(root.join("depth/1.png")).unwrap();
    ImageBuffer::from_pixel(640, 480, Luma([65535_u16])).save(root.join("depth/2.png")).unwrap();
    let tum = dataset::open(&root, None).unwrap();
    let first = tum.depth(0).unwrap().unwrap();
    assert_eq!((first.at(0, 0), first.at(5, 5), first.camera()), (Some(1.5), None, tum.camera()));
    assert_eq!(tum.depth(1).unwrap().unwrap().at(0, 0), Some(1.5));
    assert_eq!(tum.depth(2).unwrap().unwrap().at(0, 0), Some(65535.0 / 5000.0));
    std::fs::remove_file(root.join("depth/2.png")).unwrap();
    assert!(tum.depth(2).unwrap_err().to_string().contains("depth/2.png"));
    write(root.join("depth.txt"), "1.09 depth/1.png\n");
    assert_eq!(dataset::open(&root, None).unwrap().depth(2).unwrap(), None);
}

/// Of the points of one frame that another one sees, the share at the depth that this one says, to `tolerance` metres and
/// a share of the depth. Points behind something nearer are seen by no one and do not count; nor do those on its edges:
/// where the other depth image jumps between neighbouring pixels.
fn agreement(dataset: &dyn Dataset, from: usize, to: usize, tolerance: f64) -> (f64, usize) {
    let pose = |index: usize| dataset.frames()[index].map_from_camera;
    let depth = dataset.depth(to).unwrap().unwrap();
    let to_from_map = pose(to).inverse();
    let (mut agreeing, mut compared) = (0, 0);
    for point in dataset.depth(from).unwrap().unwrap().points_in_map(&pose(from), 4000, 1) {
        let point = to_from_map * point;
        let Some(pixel) = depth.camera().project(&point).filter(|pixel| pixel.iter().all(|place| *place > 1.0)) else {
            continue;
        };
        let (x, y) = (pixel.x.round() as u32, pixel.y.round() as u32);
        let around =
            [(x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)].map(|(x, y)| depth.at(x, y).map(f64::from));
        let [Some(seen), Some(left), Some(right), Some(above), Some(below)] = around else { continue };
        let reach = [left, right, above, below].iter().fold(0.0_f64, |most, other| most.max((other - seen).abs()));
        let allowed = tolerance * (1.0 + point.z);
        if reach > 0.05 * seen || seen < point.z - 5.0 * allowed - reach {
            continue;
        }
        compared += 1;
        agreeing += usize::from((seen - point.z).abs() < allowed + reach);
    }
    (agreeing as f64 / compared as f64, compared)
}

#[test]
fn depths_of_the_synthetic_world_agree_from_frame_to_frame() {
    let world = World::new(1);
    let passes = [PassKind::Training(0), PassKind::Test].map(|kind| {
        let recording = Recording { start: Stamp::from_parts(100, 0), rate: 2.0, frames: 6 };
        (&world, Pass::new(&world, kind, PathKind::Handheld), recording)
    });
    let fisheye = Distortion::Equidistant([-0.01, 0.02, -0.01, 0.002]);
    for distortion in [Distortion::None, fisheye] {
        let folder = tempfile::tempdir().unwrap();
        let camera = CameraModel { distortion, ..CameraModel::pinhole(160, 120, 95.3) };
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let contents = DatasetContents { depth: true, labels: true, ..DatasetContents::default() };
        write_dataset(folder.path(), &renderer, &passes, contents, &|| ()).unwrap();
        let room = dataset::open(folder.path(), None).unwrap();
        assert_eq!((room.frames().len(), room.classes().len()), (12, Class::ALL.len()));
        assert_eq!(room.depth(0).unwrap().unwrap().camera(), &camera);
        assert_eq!(room.labels(3).unwrap().unwrap(), renderer.labels(&world, &passes[0].1, 1.5).unwrap());
        let mut compared = 0;
        // Between the passes too: only the movers are elsewhere.
        for (from, to, least) in [(0, 1, 0.99), (1, 0, 0.99), (8, 9, 0.99), (2, 8, 0.9), (4, 7, 0.9)] {
            let (share, points) = agreement(room.as_ref(), from, to, 0.002);
            assert!(share > least || points < 100, "{distortion:?}: {share} of {points} from {from} to {to}");
            compared += points;
        }
        assert!(compared > 4000, "{distortion:?}: only {compared} points in both views");
    }
}

#[test]
fn real_depth_agrees_from_frame_to_frame() {
    let Some(data) = common::real_data_for("real_depth_agrees_from_frame_to_frame") else { return };
    let kitchen = dataset::open(&data.join("redkitchen"), None).unwrap();
    let depth = kitchen.depth(0).unwrap().unwrap();
    assert_eq!((depth.camera().width, depth.camera().fx, depth.camera().cx), (320, 292.5, 160.0));
    let mut depths: Vec<f64> = depth.points().map(|point| point.z).collect();
    assert!(depths.len() > 40_000, "{}", depths.len());
    depths.sort_by(f64::total_cmp);
    assert!((0.5..4.0).contains(&depths[depths.len() / 2]) && *depths.last().unwrap() < 20.0, "{depths:?}");
    for (from, to) in [(0, 15), (300, 310), (640, 620), (900, 905)] {
        let (share, points) = agreement(kitchen.as_ref(), from, to, 0.015);
        println!("{share:.3} of {points} from {from} to {to}");
        assert!(share > 0.85 && points > 1000, "{share} of {points} from {from} to {to}");
    }
    let identity = Se3::identity();
    assert_eq!(depth.points_in_map(&identity, 500, 3).len(), 500);
    assert_eq!(
        depth.points_in_map(&identity, 500, 3),
        kitchen.depth(0).unwrap().unwrap().points_in_map(&identity, 500, 3)
    );
}
