//! The node on a bench: a network that reads the brightness of an image, messages by hand, and a bag of both.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::RgbImage;
use nalgebra::{Matrix6, Vector3};
use vloc::alignment::AlignmentReport;
use vloc::bag::{BagWriter, Storage};
use vloc::config::Config;
use vloc::geometry::{Se3, So3};
use vloc::middleware::{Diagnostics, Incoming, Input, Level, Names, Outgoing, Picture, StampedTransform, messages};
use vloc::msg::sensor_msgs;
use vloc::node::{Core, Localization, Localizer, Worker};
use vloc::pnp::Evidence;
use vloc::sensor::{AbsolutePose, CameraModel, Image, PosePrior, RelativePose};
use vloc::{Error, Result, Stamp};

pub const CAMERA: &str = "camera_optical_frame";

/// Says a pose that grows with the brightness of the image; fails on black images, and takes a [`picture`] of brightness
/// 231 for another scene's. One of brightness 232 it has no answer to, but knows that the camera moved by [`step`] since the
/// last one.
#[derive(Clone, Default)]
pub struct Brightness {
    pub delay: Duration,
    pub resets: usize,
    /// What its answers stand on.
    pub evidence: Option<Evidence>,
    /// How they were aligned.
    pub alignment: Option<AlignmentReport>,
    /// Where it was told to expect the camera, image by image.
    pub priors: Arc<Mutex<Vec<Option<Se3>>>>,
    /// The last image whose motion it knows.
    pub followed: Option<Stamp>,
    /// To the last image, where it had no answer.
    pub motion: Option<RelativePose>,
}

/// How the camera moves from one image of brightness 232 to the next.
pub fn step() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.0, 0.01, 0.0)), Vector3::new(0.02, 0.0, 0.01))
}

pub fn map_from_camera(brightness: u8) -> Se3 {
    let turn = So3::exp(&Vector3::new(0.0, 0.0, 0.01 * f64::from(brightness)));
    Se3::new(turn, Vector3::new(0.1 * f64::from(brightness), 2.0, 3.0))
}

impl Localizer for Brightness {
    fn camera(&self) -> CameraModel {
        CameraModel::pinhole(32, 24, 30.0)
    }

    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<Localization> {
        self.priors.lock().unwrap().push(None);
        self.look(stamp, &pixels)
    }

    fn localize_near(&mut self, stamp: Stamp, pixels: RgbImage, prior: &PosePrior) -> Result<Localization> {
        self.priors.lock().unwrap().push(Some(*prior.map_from_camera()));
        self.look(stamp, &pixels)
    }

    fn motion(&self) -> Option<RelativePose> {
        self.motion.clone()
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

impl Brightness {
    fn look(&mut self, stamp: Stamp, pixels: &RgbImage) -> Result<Localization> {
        assert_eq!(pixels.dimensions(), (32, 24));
        std::thread::sleep(self.delay);
        match pixels.get_pixel(16, 12).0[0] {
            0 => Err(Error::compute("network", "a black image")),
            231 if pixels.get_pixel(0, 0).0[0] == 255 => {
                Err(Error::OtherScene { expected: "hall".into(), found: "lab".into(), probability: 0.9 })
            }
            232 if pixels.get_pixel(0, 0).0[0] == 255 => {
                let covariance = Matrix6::identity() * 1e-3;
                self.motion = self.followed.replace(stamp).map(|previous_stamp| RelativePose {
                    previous_stamp,
                    stamp,
                    previous_from_current: step(),
                    covariance,
                });
                Err(Error::NoAnswer { reason: "300 cells asked, 3 points agree, 25 are needed".into() })
            }
            brightness => {
                self.followed = Some(stamp);
                let covariance = Matrix6::identity() * 0.01;
                let map_from_camera = map_from_camera(brightness);
                Ok(Localization {
                    absolute: AbsolutePose { stamp, map_from_camera, covariance },
                    relative: None,
                    evidence: self.evidence,
                    alignment: self.alignment,
                })
            }
        }
    }
}

pub fn at(milliseconds: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + milliseconds * 1_000_000)
}

pub fn picture(stamp: Stamp, brightness: u8) -> Image {
    // A white strip at the top: an image of one colour shows nothing.
    let data = (0..64 * 48 * 3).map(|byte| if byte < 64 * 12 * 3 { 255 } else { brightness }).collect();
    let (frame_id, encoding) = (CAMERA.into(), "rgb8".into());
    Image { stamp, frame_id, height: 48, width: 64, encoding, step: 64 * 3, is_bigendian: false, data }
}

pub fn base_from_camera() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(-1.2, 1.2, -1.2)), Vector3::new(0.2, 0.0, 0.5))
}

pub fn odom_from_base(stamp: Stamp) -> Se3 {
    let seconds = stamp.seconds_since(at(0));
    Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 0.1 * seconds)), Vector3::new(0.3 * seconds, 0.0, 0.0))
}

pub fn edge(parent: &str, child: &str, stamp: Stamp, parent_from_child: Se3) -> StampedTransform {
    StampedTransform { stamp, parent: parent.into(), child: child.into(), parent_from_child }
}

pub fn mounting() -> Incoming {
    let transforms = vec![edge("base_link", CAMERA, at(0), base_from_camera())];
    Incoming::Transforms { transforms, is_static: true }
}

pub fn odometry(stamp: Stamp) -> Incoming {
    let transforms = vec![edge("odom", "base_link", stamp, odom_from_base(stamp))];
    Incoming::Transforms { transforms, is_static: false }
}

pub fn calibration() -> Incoming {
    Incoming::CameraInfo(CameraModel::pinhole(64, 48, 60.0))
}

/// `pose` is what the network says, frame by frame.
pub fn alone() -> Config {
    Config { use_estimator: false, ..Config::default() }
}

/// A core with its worker in lock step.
pub struct Bench {
    pub core: Core,
    pub worker: Worker<Brightness>,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let localizer = Brightness::default();
        // The path is no answer to an image.
        let mut core = Core::new(Config { path_length: 0, ..config }).unwrap();
        core.set_network_camera(localizer.camera()).unwrap();
        Self { core, worker: Worker::new(localizer) }
    }

    /// Calibrated, mounted, with odometry from 0 to 1 s.
    pub fn ready(config: Config) -> Self {
        let mut bench = Self::new(config);
        for incoming in [calibration(), mounting()].into_iter().chain((0..=10).map(|i| odometry(at(100 * i)))) {
            assert!(bench.give(incoming, at(0)).is_empty());
        }
        bench
    }

    pub fn give(&mut self, incoming: Incoming, now: Stamp) -> Vec<Outgoing> {
        if let Some(job) = self.core.receive(incoming, now) {
            let answer = self.worker.work(job);
            self.core.finish(answer, now);
        }
        self.core.take_outgoing()
    }

    pub fn image(&mut self, milliseconds: i64, brightness: u8) -> Vec<Outgoing> {
        self.give(Incoming::Image(Picture::Raw(picture(at(milliseconds), brightness))), at(milliseconds + 10))
    }

    pub fn tick(&mut self, now: Stamp) -> Vec<Outgoing> {
        self.core.tick(now, Vec::new());
        self.core.take_outgoing()
    }

    pub fn refused(&self) -> BTreeMap<&'static str, (u64, String)> {
        let refusals = self.core.health().refusals().iter();
        refusals.map(|(reason, refusals)| (reason.name(), (refusals.count, refusals.last.clone()))).collect()
    }

    pub fn report(&mut self) -> Diagnostics {
        let outgoing = self.tick(at(60_000));
        let report = outgoing.into_iter().find_map(|out| match out {
            Outgoing::Diagnostics(report) => Some(report),
            _ => None,
        });
        report.expect("a report is due")
    }

    /// Exactly this was refused, diagnostics say so, and no pose went out.
    pub fn assert_refused(&mut self, reason: &str, text: &str) {
        let refused = self.refused();
        assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [reason]);
        assert!(refused[reason].1.contains(text), "{reason}: {}", refused[reason].1);
        let report = self.report();
        let values: BTreeMap<_, _> = report.values.into_iter().collect();
        assert_eq!(values[&format!("refused/{reason}")], refused[reason].0.to_string());
        assert_eq!(values[&format!("refused/{reason}/last")], refused[reason].1);
        // Without an image that is the first cause, whatever else was refused.
        let first = if self.core.health().arrivals(Input::Image) > 0 { text } else { "no image came" };
        assert!(report.level > Level::Ok && report.message.contains(first), "{:?} {}", report.level, report.message);
        assert_eq!(self.core.health().poses(), 0);
    }
}

pub fn transforms(outgoing: &[Outgoing]) -> Vec<&StampedTransform> {
    let mut transforms = Vec::new();
    for out in outgoing {
        if let Outgoing::Transform(transform) = out {
            transforms.push(transform);
        }
    }
    transforms
}

/// Two seconds at 10 Hz, with odometry that is logged behind its image, and one broken image.
pub fn write_bag(folder: &Path, broken: bool) {
    let mut bag = BagWriter::create(folder, Storage::Mcap).unwrap();
    let message = |incoming: Incoming| match incoming {
        Incoming::Transforms { transforms, .. } => messages::transform_message(&transforms[0]),
        other => panic!("{other:?}"),
    };
    bag.write("/tf_static", at(0), &message(mounting())).unwrap();
    for i in 0..20 {
        let stamp = at(100 * i);
        bag.write("/cam/camera_info", stamp, &CameraModel::pinhole(64, 48, 60.0).to_message(stamp, CAMERA)).unwrap();
        let mut image: sensor_msgs::Image = picture(stamp, 50 + i as u8).into();
        if broken && i == 7 {
            image.step = 1;
        }
        bag.write("/cam/image_raw", stamp + Duration::from_millis(20), &image).unwrap();
        bag.write("/tf", stamp + Duration::from_millis(50), &message(odometry(stamp + Duration::from_millis(30))))
            .unwrap();
    }
    bag.finish().unwrap();
}

pub fn camera_names() -> Names {
    let mut names = Names::default();
    names.remap("image:=/cam/image_raw").unwrap();
    names.remap("camera_info:=/cam/camera_info").unwrap();
    names
}

pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}
