//! Virtual rotations of the camera: an exact augmentation of image *and* pose.
//!
//! When a camera turns about its optical centre by R (`old_from_new`), the pixel x' of the new image shows what the
//! pixel x ~ K R K⁻¹ x' of the old one showed, whatever the scene's depth (Hartley & Zisserman 2004, section 8.4). So
//! the image is warped and the new pose is `map_from_old * R`: more directions of view than were recorded.

use image::{Rgb, RgbImage};
use nalgebra::Vector3;

use crate::geometry::So3;
use crate::sensor::CameraModel;

/// What `camera` (without distortion, of the size of `image`) would have seen, turned by `old_from_new`. Bilinear;
/// where the old image does not reach, its nearest edge is repeated.
pub fn rotate_view(image: &RgbImage, camera: &CameraModel, old_from_new: So3) -> RgbImage {
    let rotation = old_from_new.matrix();
    let (width, height) = image.dimensions();
    let ray = |u: f64, v: f64| rotation * Vector3::new((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0);
    let mut turned = RgbImage::new(width, height);
    for v in 0..height {
        // Along a row the ray is linear in u.
        let start = ray(0.0, f64::from(v));
        let step = rotation.column(0) / camera.fx;
        for u in 0..width {
            let direction = start + step * f64::from(u);
            let depth = direction.z.max(1e-6);
            let x = camera.fx * direction.x / depth + camera.cx;
            let y = camera.fy * direction.y / depth + camera.cy;
            turned.put_pixel(u, v, bilinear(image, x as f32, y as f32));
        }
    }
    turned
}

/// The colour between pixels; outside of the image, that of its nearest edge.
pub(super) fn bilinear(image: &RgbImage, x: f32, y: f32) -> Rgb<u8> {
    let (x, y) = (x.clamp(0.0, (image.width() - 1) as f32), y.clamp(0.0, (image.height() - 1) as f32));
    let (left, top) = (x as u32, y as u32);
    let (right, bottom) = ((left + 1).min(image.width() - 1), (top + 1).min(image.height() - 1));
    let (fx, fy) = (x - left as f32, y - top as f32);
    let [a, b, c, d] =
        [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| image.get_pixel(x, y).0);
    Rgb(std::array::from_fn(|channel| {
        let upper = f32::from(a[channel]) * (1.0 - fx) + f32::from(b[channel]) * fx;
        let lower = f32::from(c[channel]) * (1.0 - fx) + f32::from(d[channel]) * fx;
        (upper * (1.0 - fy) + lower * fy + 0.5) as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector2;

    /// A world at infinity whose colour is a smooth function of the direction.
    fn picture(camera: &CameraModel, map_from_camera: So3) -> RgbImage {
        RgbImage::from_fn(camera.width, camera.height, |u, v| {
            let ray = camera.ray(&Vector2::new(f64::from(u), f64::from(v))).normalize();
            let direction = map_from_camera * ray;
            Rgb(std::array::from_fn(|axis| (128.0 + 120.0 * (3.0 * direction[axis]).sin()) as u8))
        })
    }

    #[test]
    fn a_turned_view_is_what_a_turned_camera_sees() {
        let camera = CameraModel::pinhole(80, 60, 70.0);
        let map_from_old = So3::exp(&Vector3::new(0.3, -0.4, 0.2));
        let old_from_new = So3::exp(&Vector3::new(0.08, -0.1, 0.12));
        let turned = rotate_view(&picture(&camera, map_from_old), &camera, old_from_new);
        let expected = picture(&camera, map_from_old * old_from_new);
        let mut worst = 0;
        for v in 16..44 {
            for u in 20..60 {
                for channel in 0..3 {
                    worst = worst.max(turned.get_pixel(u, v)[channel].abs_diff(expected.get_pixel(u, v)[channel]));
                }
            }
        }
        assert!(worst <= 2, "colours differ by up to {worst}");
    }
}
