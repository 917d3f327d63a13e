//! Where camera and IMU sit on the robot: from parameters, else from TF.

use crate::config::Config;
use crate::geometry::{Se3, So3, TransformError, TransformTree};
use crate::{Error, Result, Stamp};

/// The mountings and where to look for them.
#[derive(Debug)]
pub(super) struct Mountings {
    base: String,
    /// Empty: the frame of each image.
    camera: String,
    /// Empty: the frame of each sample.
    imu: String,
    base_from_camera: Option<Se3>,
    base_from_imu: Option<Se3>,
}

impl Mountings {
    /// # Errors
    /// [`Error::Config`] when a mounting is no rigid transform.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            base: config.base_frame_id.clone(),
            camera: config.camera_frame_id.clone(),
            imu: config.imu_frame_id.clone(),
            base_from_camera: config.base_from_camera.map(|pose| rigid("base_from_camera", pose)).transpose()?,
            base_from_imu: config.base_from_imu.map(|pose| rigid("base_from_imu", pose)).transpose()?,
        })
    }

    /// The camera's at the stamp of its image: it may move on the robot.
    pub fn camera(&self, transforms: &TransformTree, frame_id: &str, stamp: Stamp) -> Result<Se3, TransformError> {
        let frame = self.camera_frame(frame_id);
        self.base_from_camera.map_or_else(|| transforms.lookup(&self.base, frame, stamp), Ok)
    }

    /// The frame in which the camera of an image sits.
    pub fn camera_frame<'a>(&'a self, frame_id: &'a str) -> &'a str {
        if self.camera.is_empty() { frame_id } else { &self.camera }
    }

    /// The IMU's, if it is known by now.
    pub fn imu(&self) -> Option<Se3> {
        self.base_from_imu
    }

    /// Looks the IMU's up until it is known.
    pub fn find_imu(&mut self, transforms: &TransformTree, frame_id: &str, stamp: Stamp) -> Result<(), TransformError> {
        if self.base_from_imu.is_none() {
            let frame = if self.imu.is_empty() { frame_id } else { &self.imu };
            self.base_from_imu = Some(transforms.lookup(&self.base, frame, stamp)?);
        }
        Ok(())
    }
}

fn rigid(parameter: &str, [x, y, z, qx, qy, qz, qw]: [f64; 7]) -> Result<Se3> {
    let transform = So3::from_xyzw(qx, qy, qz, qw).map(|rotation| Se3::new(rotation, [x, y, z].into()));
    transform.filter(|transform| transform.is_finite()).ok_or_else(|| {
        let found = format!("{:?}", [x, y, z, qx, qy, qz, qw]);
        Error::config(parameter, "[x, y, z, qx, qy, qz, qw] with a unit quaternion", found)
    })
}
