//! `vloc replay --smooth`: the trajectory in hindsight beside the causal one, and never instead of it.
#![cfg(feature = "bag")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use image::RgbImage;
use nalgebra::{Matrix6, Vector3, Vector6};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::bag::{BagWriter, Storage};
use vloc::config::{Config, EstimatorConfig};
use vloc::geometry::{Se3, So3, Trajectory};
use vloc::middleware::{Names, StampedTransform, messages};
use vloc::msg::sensor_msgs;
use vloc::node::{Localization, Localizer, ReplayRequest, Summary, replay};
use vloc::sensor::{AbsolutePose, CameraModel, Image};
use vloc::{Result, Stamp};

const FRAMES: i64 = 80;
const SIGMA: f64 = 0.1;

/// Says where the base of [`odom_from_base`] is in a map that is its odometry frame, with a seeded error.
struct Noisy(ChaCha8Rng);

impl Localizer for Noisy {
    fn camera(&self) -> CameraModel {
        CameraModel::pinhole(16, 12, 15.0)
    }

    fn localize(&mut self, stamp: Stamp, _pixels: RgbImage) -> Result<Localization> {
        let error = Vector6::from_fn(|_, _| SIGMA * self.0.sample::<f64, _>(StandardNormal));
        let map_from_camera = odom_from_base(stamp).retract(&error);
        let covariance = Matrix6::identity() * (SIGMA * SIGMA);
        Ok(Localization {
            absolute: AbsolutePose { stamp, map_from_camera, covariance },
            relative: None,
            evidence: None,
            alignment: None,
        })
    }

    fn reset(&mut self) {}
}

fn at(milliseconds: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + milliseconds * 1_000_000)
}

fn odom_from_base(stamp: Stamp) -> Se3 {
    let seconds = stamp.seconds_since(at(0));
    Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 0.1 * seconds)), Vector3::new(0.3 * seconds, 0.0, 0.0))
}

/// Eight seconds at 10 Hz with odometry.
fn write_bag(folder: &Path) {
    let mut bag = BagWriter::create(folder, Storage::Mcap).unwrap();
    for index in 0..FRAMES {
        let stamp = at(100 * index);
        let odometry = StampedTransform {
            stamp,
            parent: "odom".into(),
            child: "base_link".into(),
            parent_from_child: odom_from_base(stamp),
        };
        bag.write("/tf", stamp, &messages::transform_message(&odometry)).unwrap();
        bag.write("/camera_info", stamp, &CameraModel::pinhole(16, 12, 15.0).to_message(stamp, "camera")).unwrap();
        let (frame_id, encoding) = ("camera".into(), "rgb8".into());
        // Half dark, half bright: an image of one colour shows nothing.
        let data = (0..16 * 12 * 3).map(|byte| if byte < 16 * 6 * 3 { 20 } else { 200 }).collect();
        let image = Image { stamp, frame_id, height: 12, width: 16, encoding, step: 16 * 3, is_bigendian: false, data };
        bag.write("/image", stamp, &sensor_msgs::Image::from(image)).unwrap();
    }
    bag.finish().unwrap();
}

async fn replay_to(bag: &Path, out: &Path, use_estimator: bool, smooth: bool) -> Result<Summary> {
    let config = Config {
        use_estimator,
        base_from_camera: Some([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        estimator: EstimatorConfig { correlation_time: 0.0, memory: f64::INFINITY, ..EstimatorConfig::default() },
        ..Config::default()
    };
    let report = out.join("report");
    let request = ReplayRequest { report: Some(&report), smooth, ..ReplayRequest::new(bag, out) };
    replay(request, config, &Names::default(), Noisy(ChaCha8Rng::seed_from_u64(2)), || false).await
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn median_error(path: &Path) -> f64 {
    let trajectory = Trajectory::read_tum(path).unwrap();
    let error = |(stamp, pose): &(Stamp, Se3)| (pose.translation - odom_from_base(*stamp).translation).norm();
    let mut errors: Vec<f64> = trajectory.poses().iter().map(error).collect();
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

#[tokio::test]
async fn hindsight_is_written_beside_the_causal_trajectory_and_marked() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag);
    let [plain, first, second] = ["plain", "first", "second"].map(|name| work.path().join(name));
    let summary = replay_to(&bag, &plain, true, false).await.unwrap();
    assert!(summary.smoothed.is_none() && !plain.join("smoothed.tum").exists());
    assert!(!read(&plain, "summary.yaml").contains("smoothed"));

    let summary = replay_to(&bag, &first, true, true).await.unwrap();
    let smoothed = summary.smoothed.unwrap();
    assert!(!smoothed.causal && smoothed.runs == 1 && smoothed.poses as i64 > FRAMES - 5, "{smoothed:?}");
    assert_eq!(read(&first, "trajectory.tum"), read(&plain, "trajectory.tum"), "the causal one is as it was");
    assert!(read(&first, "smoothed.tum").starts_with("# smoothed, not causal\n"));
    assert!(read(&first, "report/report.html").contains("smoothed trajectory (not causal)"));
    assert!(read(&first, "summary.yaml").contains("causal: false"));
    let (causal, hindsight) = (median_error(&first.join("trajectory.tum")), median_error(&first.join("smoothed.tum")));
    assert!(hindsight < causal, "smoothed {hindsight} m, causal {causal} m");
    let covariances = read(&first, "smoothed_covariance.csv");
    let columns = |line: &str| line.split(',').count();
    assert_eq!(covariances.lines().count(), smoothed.poses + 1);
    assert!(covariances.lines().all(|line| columns(line) == 2 + 21), "{covariances}");

    replay_to(&bag, &second, true, true).await.unwrap();
    for name in ["smoothed.tum", "smoothed_covariance.csv", "summary.yaml", "report/report.html"] {
        assert_eq!(read(&first, name), read(&second, name), "{name} differs between two runs");
    }
}

#[tokio::test]
async fn without_the_estimator_there_is_nothing_to_smooth() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag);
    let out = work.path().join("out");
    let error = replay_to(&bag, &out, false, true).await.unwrap_err().to_string();
    let expected = "parameter use_estimator: expected true for a smoothed trajectory, which is the estimator's; give \
                    -p use_estimator:=true, found false";
    assert_eq!(error, expected);
    assert!(!out.exists(), "nothing is written");
}
