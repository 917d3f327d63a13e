//! How noisy an IMU is, in the quantities, names and units of Kalibr and EuRoC files.
//!
//! A reading is the truth plus a bias plus white noise; the bias is a random walk. A density σ (per √Hz) means the
//! standard deviation σ √rate of one reading, and σ √t of the integral over t seconds; a random walk σ moves the bias
//! by σ √t (Forster et al. 2017, eq. 27-28 and section VI-E).

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use crate::config::load_yaml;
use crate::{Error, Result};

/// The noise of an IMU, the same on each axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImuNoise {
    /// White noise of the gyroscope, rad/s/√Hz.
    pub gyroscope_noise_density: f64,
    /// Random walk of the gyroscope's bias, rad/s²/√Hz.
    pub gyroscope_random_walk: f64,
    /// White noise of the accelerometer, m/s²/√Hz.
    pub accelerometer_noise_density: f64,
    /// Random walk of the accelerometer's bias, m/s³/√Hz.
    pub accelerometer_random_walk: f64,
}

/// What the files hold: the noise, and keys of other interest that are accepted and not used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SensorFile {
    gyroscope_noise_density: Option<f64>,
    gyroscope_random_walk: Option<f64>,
    accelerometer_noise_density: Option<f64>,
    accelerometer_random_walk: Option<f64>,
    /// Kalibr's results keep the keys under the name of the unit.
    imu0: Option<Box<SensorFile>>,
    #[serde(rename = "sensor_type")]
    _sensor_type: Option<Value>,
    #[serde(rename = "comment")]
    _comment: Option<Value>,
    #[serde(rename = "T_BS", alias = "T_i_b")]
    _extrinsics: Option<Value>,
    #[serde(rename = "rate_hz", alias = "update_rate")]
    _rate: Option<Value>,
    #[serde(rename = "rostopic")]
    _rostopic: Option<Value>,
    #[serde(rename = "model")]
    _model: Option<Value>,
    #[serde(rename = "time_offset")]
    _time_offset: Option<Value>,
}

impl ImuNoise {
    /// Reads EuRoC's `sensor.yaml`, Kalibr's `imu.yaml`, or `imu0:` of Kalibr's results.
    ///
    /// # Errors
    /// When the file cannot be read, holds an unknown key, lacks one of the four, or one is not positive and finite.
    pub fn read_yaml(path: &Path) -> Result<Self> {
        let mut file: SensorFile = load_yaml(path)?;
        if let Some(inner) = file.imu0.take() {
            file = *inner;
        }
        let value = |key: &str, value: Option<f64>| {
            value.ok_or_else(|| Error::format(path, format!("the key {key}"), "none; Kalibr and EuRoC write it"))
        };
        let noise = Self {
            gyroscope_noise_density: value("gyroscope_noise_density", file.gyroscope_noise_density)?,
            gyroscope_random_walk: value("gyroscope_random_walk", file.gyroscope_random_walk)?,
            accelerometer_noise_density: value("accelerometer_noise_density", file.accelerometer_noise_density)?,
            accelerometer_random_walk: value("accelerometer_random_walk", file.accelerometer_random_walk)?,
        };
        noise.check().map_err(|error| Error::format(path, "the noise of an IMU", error.to_string()))?;
        Ok(noise)
    }

    /// Whether it is the noise of a real sensor: a factor needs all four to be positive.
    ///
    /// # Errors
    /// When a value is not positive and finite.
    pub fn check(&self) -> Result<()> {
        let values = [
            ("gyroscope_noise_density", self.gyroscope_noise_density),
            ("gyroscope_random_walk", self.gyroscope_random_walk),
            ("accelerometer_noise_density", self.accelerometer_noise_density),
            ("accelerometer_random_walk", self.accelerometer_random_walk),
        ];
        match values.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            Some((key, value)) => Err(Error::config(key, "a positive, finite number", value.to_string())),
            None => Ok(()),
        }
    }

    /// The same sensor with its white noise multiplied: for what a data sheet leaves out, such as vibration, scale and
    /// alignment. The README has what one recording asked for.
    #[must_use]
    pub fn with_white_noise_scaled(self, gyroscope: f64, accelerometer: f64) -> Self {
        Self {
            gyroscope_noise_density: gyroscope * self.gyroscope_noise_density,
            accelerometer_noise_density: accelerometer * self.accelerometer_noise_density,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EUROC: &str = "%YAML:1.0\n#Default imu sensor yaml file\nsensor_type: imu\ncomment: VI-Sensor IMU\n\n\
                         T_BS:\n  cols: 4\n  rows: 4\n  data: [1.0, 0.0]\nrate_hz: 200\n\n\
                         gyroscope_noise_density: 1.6968e-04     # [ rad / s / sqrt(Hz) ]\n\
                         gyroscope_random_walk: 1.9393e-05\naccelerometer_noise_density: 2.0000e-3\n\
                         accelerometer_random_walk: 3.0000e-3\n";

    fn read(text: &str) -> Result<ImuNoise> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imu.yaml");
        std::fs::write(&path, text).unwrap();
        ImuNoise::read_yaml(&path)
    }

    #[test]
    fn files_of_euroc_and_kalibr_are_read() {
        let expected = ImuNoise {
            gyroscope_noise_density: 1.6968e-4,
            gyroscope_random_walk: 1.9393e-5,
            accelerometer_noise_density: 2e-3,
            accelerometer_random_walk: 3e-3,
        };
        assert_eq!(read(EUROC).unwrap(), expected);
        let keys = "accelerometer_noise_density: 0.002\naccelerometer_random_walk: 0.003\n\
                    gyroscope_noise_density: 1.6968e-04\ngyroscope_random_walk: 1.9393e-05\n\
                    rostopic: /imu0\nupdate_rate: 200.0\n";
        assert_eq!(read(keys).unwrap(), expected);
        let nested = keys.replace('\n', "\n  ");
        let result = format!("imu0:\n  T_i_b:\n  - [1.0, 0.0]\n  model: calibrated\n  time_offset: 0.0\n  {nested}");
        assert_eq!(read(&result).unwrap(), expected);
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_reason() {
        let text = |yaml: &str| read(yaml).unwrap_err().to_string();
        let found = text(&EUROC.replace("gyroscope_random_walk: 1.9393e-05\n", ""));
        assert!(
            found.ends_with("imu.yaml: expected the key gyroscope_random_walk, found none; Kalibr and EuRoC write it")
        );
        let found = text(&EUROC.replace("gyroscope_random", "gyro_random"));
        assert!(
            found.contains("unknown field `gyro_random_walk`, expected one of `gyroscope_noise_density`"),
            "{found}"
        );
        for wrong in ["0.0", "-2.0e-3", ".nan", ".inf"] {
            let found = text(&EUROC.replace("2.0000e-3", wrong));
            assert!(
                found.contains("parameter accelerometer_noise_density: expected a positive, finite number, found"),
                "{found}"
            );
        }
        let found = text(&EUROC.replace("2.0000e-3", "two"));
        assert!(found.contains("expected a valid configuration") && found.contains("f64"), "{found}");
    }
}
