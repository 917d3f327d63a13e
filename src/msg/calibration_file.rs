//! The calibration file that ROS's `camera_calibration` writes and `camera_info_manager` reads (YAML), as a message.

use std::path::Path;

use serde::Deserialize;

use super::sensor_msgs::CameraInfo;
use crate::config::load_yaml;
use crate::{Error, Result};

/// The file; `camera_name` and what else drivers add is not needed.
#[derive(Deserialize)]
struct CalibrationFile {
    image_width: u32,
    image_height: u32,
    distortion_model: String,
    camera_matrix: Matrix,
    distortion_coefficients: Matrix,
    rectification_matrix: Option<Matrix>,
    projection_matrix: Option<Matrix>,
}

/// Row-major.
#[derive(Deserialize)]
struct Matrix {
    data: Vec<f64>,
}

/// Reads a calibration file. Without a rectification there is none; without a projection it is the camera matrix.
///
/// # Errors
/// [`Error::Io`] when unreadable, [`Error::Format`] when a field is missing or a matrix has not its size.
pub fn read_calibration(path: &Path) -> Result<CameraInfo> {
    let file: CalibrationFile = load_yaml(path)?;
    let k: [f64; 9] = sized(path, "camera_matrix", file.camera_matrix)?;
    let [fx, s, cx, _, fy, cy, ..] = k;
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let own = [fx, s, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0];
    let r = file.rectification_matrix.map(|matrix| sized(path, "rectification_matrix", matrix)).transpose()?;
    let p = file.projection_matrix.map(|matrix| sized(path, "projection_matrix", matrix)).transpose()?;
    Ok(CameraInfo {
        height: file.image_height,
        width: file.image_width,
        distortion_model: file.distortion_model,
        d: file.distortion_coefficients.data,
        k,
        r: r.unwrap_or(identity),
        p: p.unwrap_or(own),
        ..CameraInfo::default()
    })
}

fn sized<const N: usize>(path: &Path, name: &str, matrix: Matrix) -> Result<[f64; N]> {
    let found = matrix.data.len();
    let refused = |_| Error::format(path, format!("{N} numbers in {name}"), found.to_string());
    matrix.data.try_into().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `camera_calibration` writes it.
    const FILE: &str = "\
image_width: 640
image_height: 480
camera_name: narrow
camera_matrix:
  rows: 3
  cols: 3
  data: [520.5, 0, 319.5, 0, 521.5, 239.5, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [510, 0, 320, 0, 0, 511, 240, 0, 0, 0, 1, 0]
";

    fn read(text: &str) -> Result<CameraInfo> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_calibration(file.path())
    }

    #[test]
    fn every_number_comes_through() {
        let info = read(FILE).unwrap();
        assert_eq!((info.width, info.height, info.distortion_model.as_str()), (640, 480, "plumb_bob"));
        assert_eq!((info.k[0], info.k[4], info.k[2], info.k[5]), (520.5, 521.5, 319.5, 239.5));
        assert_eq!((info.d, info.p[0], info.p[6]), (vec![0.1, -0.2, 0.001, 0.002, 0.0], 510.0, 240.0));
        let (bare, _) = FILE.split_once("rectification_matrix").unwrap();
        assert_eq!(read(bare).unwrap().p, [520.5, 0.0, 319.5, 0.0, 0.0, 521.5, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn what_is_missing_or_of_another_size_is_named() {
        let text = |file: &str| read(file).unwrap_err().to_string();
        let short = text(&FILE.replace("239.5, 0, 0, 1]", "239.5]"));
        assert!(short.contains("expected 9 numbers in camera_matrix, found 6"), "{short}");
        assert!(text(&FILE.replace("image_width", "width")).contains("image_width"), "{}", text("{}"));
    }
}
