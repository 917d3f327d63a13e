//! The numbers of the orientation's head, and the quaternions they stand for. Losses compare in the head's own numbers.

use tch::{Kind, Tensor};

use super::config::RotationOutput;

impl RotationOutput {
    /// How many numbers there are.
    pub fn width(self) -> i64 {
        match self {
            RotationOutput::Quaternion => 4,
            RotationOutput::LogQuaternion => 3,
            RotationOutput::Euler6 => 6,
        }
    }

    /// Name of the head: VLocNet's, MapNet's and BranchNet's.
    pub(super) fn head(self) -> &'static str {
        match self {
            RotationOutput::Quaternion => "fc_wpqr",
            RotationOutput::LogQuaternion => "fc_log_q",
            RotationOutput::Euler6 => "fc_euler6",
        }
    }

    /// The numbers for no rotation: where the head starts.
    pub(super) fn identity(self) -> &'static [f64] {
        match self {
            RotationOutput::Quaternion => &[1.0, 0.0, 0.0, 0.0],
            RotationOutput::LogQuaternion => &[0.0; 3],
            RotationOutput::Euler6 => &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        }
    }

    /// Numbers `bn` to unit quaternions `b4` (w, x, y, z).
    pub fn decode(self, numbers_bn: &Tensor) -> Tensor {
        match self {
            RotationOutput::Quaternion => numbers_bn / squared_length(numbers_bn).sqrt().clamp_min(1e-6),
            RotationOutput::LogQuaternion => {
                let half_angle = (squared_length(numbers_bn) + 1e-12).sqrt();
                Tensor::cat(&[half_angle.cos(), numbers_bn * (half_angle.sin() / half_angle)], 1)
            }
            RotationOutput::Euler6 => {
                let half = |index: i64| {
                    numbers_bn.narrow(1, 2 * index, 1).atan2(&numbers_bn.narrow(1, 2 * index + 1, 1)) * 0.5
                };
                let [(sx, cx), (sy, cy), (sz, cz)] = [0, 1, 2].map(|index| {
                    let half = half(index);
                    (half.sin(), half.cos())
                });
                let w = &cx * &cy * &cz + &sx * &sy * &sz;
                let x = &sx * &cy * &cz - &cx * &sy * &sz;
                let y = &cx * &sy * &cz + &sx * &cy * &sz;
                let z = &cx * &cy * &sz - &sx * &sy * &cz;
                Tensor::cat(&[w, x, y, z], 1)
            }
        }
    }

    /// Unit quaternions `b4` of either sign to the numbers `bn` that a head should give for them: w >= 0 for
    /// quaternions and their logarithms, roll, pitch and yaw about fixed x, y and z for Euler6.
    pub fn encode(self, quaternion_b4: &Tensor) -> Tensor {
        let sign = quaternion_b4.narrow(1, 0, 1).ge(0.0).to_kind(quaternion_b4.kind()) * 2.0 - 1.0;
        let positive = quaternion_b4 * sign;
        match self {
            RotationOutput::Quaternion => positive,
            RotationOutput::LogQuaternion => {
                let vector = positive.narrow(1, 1, 3);
                let sine = (squared_length(&vector) + 1e-12).sqrt();
                &vector * (sine.atan2(&positive.narrow(1, 0, 1)) / &sine)
            }
            RotationOutput::Euler6 => {
                let [w, x, y, z] = [0, 1, 2, 3].map(|index| positive.narrow(1, index, 1));
                let sin_pitch: Tensor = ((&w * &y - &z * &x) * 2.0).clamp(-1.0, 1.0);
                let roll = ((&w * &x + &y * &z) * 2.0).atan2(&(1.0 - (&x * &x + &y * &y) * 2.0));
                let yaw = ((&w * &z + &x * &y) * 2.0).atan2(&(1.0 - (&y * &y + &z * &z) * 2.0));
                let cos_pitch: Tensor = 1.0 - sin_pitch.square();
                let cos_pitch = cos_pitch.clamp_min(0.0).sqrt();
                Tensor::cat(&[roll.sin(), roll.cos(), sin_pitch, cos_pitch, yaw.sin(), yaw.cos()], 1)
            }
        }
    }
}

fn squared_length(rows: &Tensor) -> Tensor {
    rows.square().sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_survive_every_encoding() {
        tch::manual_seed(5);
        let quaternions = RotationOutput::Quaternion.decode(&Tensor::randn([200, 4], (Kind::Double, tch::Device::Cpu)));
        for output in [RotationOutput::Quaternion, RotationOutput::LogQuaternion, RotationOutput::Euler6] {
            let numbers = output.encode(&quaternions);
            assert_eq!(numbers.size(), [200, output.width()]);
            let cosine =
                (output.decode(&numbers) * &quaternions).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
            assert!(cosine.abs().min().double_value(&[]) > 1.0 - 1e-6, "{output:?}");
            let identity = Tensor::from_slice(output.identity()).view([1, -1]);
            assert!((output.decode(&identity).double_value(&[0, 0]) - 1.0).abs() < 1e-9, "{output:?}");
        }
    }

    #[test]
    fn the_gradient_at_no_rotation_is_finite() {
        for output in [RotationOutput::Quaternion, RotationOutput::LogQuaternion, RotationOutput::Euler6] {
            let numbers = Tensor::from_slice(output.identity()).view([1, -1]).set_requires_grad(true);
            output.decode(&numbers).sum(None::<Kind>).backward();
            assert_eq!(numbers.grad().isfinite().all().int64_value(&[]), 1, "{output:?}");
        }
    }
}
