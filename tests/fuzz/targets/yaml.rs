//! Files in YAML: parameters, calibrations, splits, options of a bag, cameras, metadata of a bag. The first line
//! chooses which.

use std::path::Path;

use image::RgbImage;
use vloc::bag::BagReader;
use vloc::config::{Config, load_yaml, read_parameters, seconds};
use vloc::dataset::{Dataset, FrameInfo, RosbagDatasetOptions, SplitRule};
use vloc::estimator::Estimator;
use vloc::geometry::Se3;
use vloc::middleware::messages;
use vloc::msg::read_calibration;
use vloc::sensor::CameraModel;
use vloc::vision::Preprocessor;
use vloc::{Error, Result, Stamp};

pub fn run(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("metadata.yaml");
    std::fs::write(&file, &data[end + 1..]).expect("a file");
    match &data[..end] {
        b"# parameters" => parameters(&file),
        b"# calibration" => calibration(&file),
        b"# split" => split(&file),
        b"# bag options" => drop(load_yaml::<RosbagDatasetOptions>(&file)),
        b"# camera" => camera(&file),
        b"# metadata" => drop(BagReader::open(folder.path())),
        _ => {}
    }
}

fn parameters(file: &Path) {
    let Ok(config) = read_parameters(file, "/vloc").and_then(Config::from_parameters) else { return };
    let _ = seconds(config.transform_timeout);
    drop(Estimator::new(config.estimator));
}

fn calibration(file: &Path) {
    let Ok(info) = read_calibration(file) else { return };
    for rectified in [false, true] {
        if let Ok(camera) = messages::camera(&info, rectified) {
            drop(Preprocessor::new(&camera, &CameraModel::pinhole(16, 12, 12.0)));
        }
    }
}

fn camera(file: &Path) {
    if let Ok(camera) = load_yaml::<CameraModel>(file) {
        drop(Preprocessor::new(&camera, &CameraModel::pinhole(16, 12, 12.0)));
    }
}

fn split(file: &Path) {
    let Ok(rule) = load_yaml::<SplitRule>(file) else { return };
    let dataset = Frames::new();
    let Ok(split) = rule.split(&dataset) else { return };
    let mut indices = [split.train, split.validation, split.test].concat();
    indices.sort_unstable();
    let count = indices.len();
    indices.dedup();
    assert_eq!(indices.len(), count, "a frame in two parts");
}

/// Two sequences of frames without images.
struct Frames(Vec<FrameInfo>);

impl Frames {
    fn new() -> Self {
        let frame = |index: usize| FrameInfo {
            name: index.to_string(),
            stamp: Stamp::from_nanos(index as i64),
            sequence: index / 50,
            map_from_camera: Se3::identity(),
        };
        Self((0..100).map(frame).collect())
    }
}

impl Dataset for Frames {
    fn name(&self) -> &str {
        "frames"
    }

    fn camera(&self) -> &CameraModel {
        unreachable!("no split looks at the camera")
    }

    fn frames(&self) -> &[FrameInfo] {
        &self.0
    }

    fn image(&self, _index: usize) -> Result<RgbImage> {
        Err(Error::message("frame", "an image", "none"))
    }
}
