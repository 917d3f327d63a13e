//! Boxes that stand in the room, and the room itself as a box seen from inside.

use std::sync::Arc;

use nalgebra::Vector3;

use super::{Class, Texture};

/// A textured box, upright, turned about the vertical. Metres, map frame.
#[derive(Clone, Debug)]
pub struct Solid {
    /// Its middle.
    pub centre: Vector3<f32>,
    /// Half its extent along its own axes.
    pub half: Vector3<f32>,
    /// Its turn about z, radians.
    pub yaw: f32,
    /// Texture of each face: -x, +x, -y, +y, -z, +z.
    pub faces: [Arc<Texture>; 6],
    /// What each face belongs to.
    pub classes: [Class; 6],
}

/// Where a ray meets a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    /// Length along the ray, in units of its direction.
    pub distance: f32,
    /// Index into [`Solid::faces`].
    pub face: usize,
}

/// A [`Solid`] seen from one point: what all rays from there share.
pub(super) struct View<'a> {
    pub solid: &'a Solid,
    origin: Vector3<f32>,
    sine: f32,
    cosine: f32,
}

impl<'a> View<'a> {
    /// The box seen from `origin` (map frame).
    pub fn new(solid: &'a Solid, origin: &Vector3<f32>) -> Self {
        let (sine, cosine) = solid.yaw.sin_cos();
        let mut view = Self { solid, origin: Vector3::zeros(), sine, cosine };
        view.origin = view.to_local(&(origin - solid.centre));
        view
    }

    fn to_local(&self, v: &Vector3<f32>) -> Vector3<f32> {
        Vector3::new(self.cosine * v.x + self.sine * v.y, self.cosine * v.y - self.sine * v.x, v.z)
    }

    fn to_map(&self, v: &Vector3<f32>) -> Vector3<f32> {
        Vector3::new(self.cosine * v.x - self.sine * v.y, self.cosine * v.y + self.sine * v.x, v.z)
    }

    /// Where a ray from the view's origin enters the box (slab test: Kay & Kajiya 1986); `None` from inside.
    pub fn enter(&self, direction: &Vector3<f32>) -> Option<Hit> {
        let (near, far) = self.slabs(&self.to_local(direction));
        (near.distance <= far.distance && near.distance > 0.0).then_some(near)
    }

    /// Where a ray from inside the box leaves it.
    pub fn leave(&self, direction: &Vector3<f32>) -> Hit {
        self.slabs(&self.to_local(direction)).1
    }

    fn slabs(&self, direction: &Vector3<f32>) -> (Hit, Hit) {
        let mut near = Hit { distance: f32::NEG_INFINITY, face: 0 };
        let mut far = Hit { distance: f32::INFINITY, face: 0 };
        for axis in 0..3 {
            let inverse = 1.0 / direction[axis];
            let low = (-self.solid.half[axis] - self.origin[axis]) * inverse;
            let high = (self.solid.half[axis] - self.origin[axis]) * inverse;
            let (first, last) = if inverse >= 0.0 { (low, high) } else { (high, low) };
            let forward = usize::from(inverse >= 0.0);
            if first > near.distance {
                near = Hit { distance: first, face: 2 * axis + 1 - forward };
            }
            if last < far.distance {
                far = Hit { distance: last, face: 2 * axis + forward };
            }
        }
        (near, far)
    }

    /// The place on the face in `0..1` across it: horizontal then vertical for sides, x then y for top and bottom.
    pub fn face_coordinates(&self, direction: &Vector3<f32>, hit: Hit) -> (f32, f32) {
        let local = self.origin + self.to_local(direction) * hit.distance;
        let across = |axis: usize| 0.5 + 0.5 * local[axis] / self.solid.half[axis];
        match hit.face / 2 {
            0 => (across(1), across(2)),
            1 => (across(0), across(2)),
            _ => (across(0), across(1)),
        }
    }

    /// The outward normal of a face, map frame.
    pub fn normal(&self, face: usize) -> Vector3<f32> {
        let mut local = Vector3::zeros();
        local[face / 2] = if face.is_multiple_of(2) { -1.0 } else { 1.0 };
        self.to_map(&local)
    }
}
