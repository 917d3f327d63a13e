//! Camera models: how a point in front of the camera becomes a pixel.

use nalgebra::{Matrix2, Vector2, Vector3};
use serde::{Deserialize, Serialize};

/// Lens distortion, in the coefficients and order of `sensor_msgs/CameraInfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distortion {
    /// An ideal pinhole, or an image that is rectified already.
    #[default]
    None,
    /// `plumb_bob`: k1, k2, p1, p2, k3 (Brown-Conrady; OpenCV's order).
    PlumbBob([f64; 5]),
    /// `equidistant` (fisheye): k1, k2, k3, k4 (Kannala & Brandt 2006; OpenCV's fisheye model).
    Equidistant([f64; 4]),
}

/// A calibrated camera. Pixel centres have integer coordinates: the image spans `-0.5 .. width - 0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraModel {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Focal length along x, pixels.
    pub fx: f64,
    /// Focal length along y, pixels.
    pub fy: f64,
    /// Principal point, pixels.
    pub cx: f64,
    /// Principal point, pixels.
    pub cy: f64,
    /// Lens distortion.
    #[serde(default)]
    pub distortion: Distortion,
}

impl CameraModel {
    /// A pinhole camera without distortion.
    pub fn pinhole(width: u32, height: u32, focal: f64) -> Self {
        let (cx, cy) = (0.5 * (f64::from(width) - 1.0), 0.5 * (f64::from(height) - 1.0));
        Self { width, height, fx: focal, fy: focal, cx, cy, distortion: Distortion::None }
    }

    /// The same camera without its distortion: what a rectified image has.
    pub fn rectified(&self) -> Self {
        Self { distortion: Distortion::None, ..*self }
    }

    /// The camera of the image resized to `width` x `height` (distortion acts before the pixel grid and stays).
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let (sx, sy) = (f64::from(width) / f64::from(self.width), f64::from(height) / f64::from(self.height));
        Self {
            width,
            height,
            fx: self.fx * sx,
            fy: self.fy * sy,
            cx: (self.cx + 0.5) * sx - 0.5,
            cy: (self.cy + 0.5) * sy - 0.5,
            distortion: self.distortion,
        }
    }

    /// The camera of the part of the image that starts at (`left`, `top`).
    pub fn cropped(&self, left: u32, top: u32, width: u32, height: u32) -> Self {
        Self { width, height, cx: self.cx - f64::from(left), cy: self.cy - f64::from(top), ..*self }
    }

    /// The pixel of a point in the optical frame (metres); `None` for a point that is not in front of the camera.
    pub fn project(&self, point: &Vector3<f64>) -> Option<Vector2<f64>> {
        if point.z <= 1e-9 {
            return None;
        }
        let distorted = self.distort(&Vector2::new(point.x / point.z, point.y / point.z));
        Some(Vector2::new(self.fx * distorted.x + self.cx, self.fy * distorted.y + self.cy))
    }

    /// The ray through a pixel of the *rectified* image, with z = 1.
    pub fn ray(&self, pixel: &Vector2<f64>) -> Vector3<f64> {
        Vector3::new((pixel.x - self.cx) / self.fx, (pixel.y - self.cy) / self.fy, 1.0)
    }

    /// Applies the lens distortion to normalized image coordinates (x/z, y/z).
    pub fn distort(&self, normalized: &Vector2<f64>) -> Vector2<f64> {
        let (x, y) = (normalized.x, normalized.y);
        let r2 = x * x + y * y;
        match self.distortion {
            Distortion::None => *normalized,
            Distortion::PlumbBob([k1, k2, p1, p2, k3]) => {
                let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
                Vector2::new(
                    x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
                    y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
                )
            }
            Distortion::Equidistant([k1, k2, k3, k4]) => {
                let r = r2.sqrt();
                if r < 1e-9 {
                    return *normalized;
                }
                let theta = r.atan();
                let t2 = theta * theta;
                let theta_d = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))));
                normalized * (theta_d / r)
            }
        }
    }

    /// The ray through a pixel of the image as it comes, with z = 1; `None` where no ray is found that the lens bends there.
    pub fn unproject(&self, pixel: &Vector2<f64>) -> Option<Vector3<f64>> {
        let ideal = self.undistort(&self.ray(pixel).xy())?;
        Some(Vector3::new(ideal.x, ideal.y, 1.0))
    }

    /// The normalized image coordinates that [`CameraModel::distort`] takes to `distorted`: Newton's method. `None` where
    /// it finds none.
    pub fn undistort(&self, distorted: &Vector2<f64>) -> Option<Vector2<f64>> {
        if self.distortion == Distortion::None {
            return Some(*distorted);
        }
        let mut ideal = *distorted;
        for _ in 0..50 {
            let defect = self.distort(&ideal) - distorted;
            if defect.amax() < 1e-11 {
                return Some(ideal);
            }
            ideal -= self.distortion_jacobian(&ideal).try_inverse()? * defect;
        }
        None
    }

    /// The derivative of [`CameraModel::distort`], by central differences.
    pub fn distortion_jacobian(&self, normalized: &Vector2<f64>) -> Matrix2<f64> {
        let step = 1e-6;
        let column = |axis: Vector2<f64>| {
            (self.distort(&(normalized + axis * step)) - self.distort(&(normalized - axis * step))) / (2.0 * step)
        };
        Matrix2::from_columns(&[column(Vector2::x()), column(Vector2::y())])
    }

    /// Whether sizes and focal lengths are positive and every number is finite; an uncalibrated `CameraInfo`
    /// (all zeros) is not usable.
    pub fn is_calibrated(&self) -> bool {
        let numbers = [self.fx, self.fy, self.cx, self.cy];
        let lens: &[f64] = match &self.distortion {
            Distortion::None => &[],
            Distortion::PlumbBob(coefficients) => coefficients,
            Distortion::Equidistant(coefficients) => coefficients,
        };
        self.width > 0
            && self.height > 0
            && self.fx > 0.0
            && self.fy > 0.0
            && numbers.iter().chain(lens).all(|value| value.is_finite())
    }
}
