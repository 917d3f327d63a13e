//! MapNet+PGO: a short window of a network's absolute poses, made to agree with visual odometry (Brahmbhatt, Gu, Kim,
//! Hays and Kautz, "Geometry-Aware Learning of Maps for Camera Localization", CVPR 2018, section 3.4 and supplement).
//!
//! The least that a pose graph can do, kept to compare with; [`super::Estimator`] is what the node uses. Each frame's
//! window holds `T` poses, `skip` frames apart; every absolute pose pulls with one constant weight and every relative
//! pose with another; there are no robust kernels, no memory beyond the window and no covariance of the answer. The
//! paper answers with the *middle* pose of the window, so it looks into the future: here that is
//! [`PgoAnswer::Middle`], and [`PgoAnswer::Newest`] is the causal variant.
//!
//! Unlike the public code, which
//! - leaves out the derivative of a relative translation by its first pose's rotation: here all Jacobians are exact;
//! - takes differences of quaternions, with a sign: here residuals are logarithms on SE(3), the same to first order;
//! - gives weights as variances in translations normalised per scene: here they are standard deviations, metres and
//!   radians;
//! - makes ten undamped Gauss-Newton steps: here Levenberg-Marquardt goes to the minimum, or says that it did not;
//! - repeats the first and the last frame beyond the ends of a recording: here the window ends there.

use nalgebra::Vector6;

use crate::geometry::Se3;
use crate::graph::{BetweenFactor, FactorGraph, Gaussian, Key, Optimizer, PriorFactor, Settings, Values};
use crate::{Error, Result};

/// What is known of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PgoFrame {
    /// The network's pose; `None` where it has none.
    pub map_from_camera: Option<Se3>,
    /// Visual odometry: pose in its own frame, which nothing ties to the map.
    pub odom_from_camera: Se3,
}

/// Which pose of its window a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgoAnswer {
    /// The newest one: causal.
    Newest,
    /// The one in the middle (position `T / 2` from the oldest, counted from 0), as in the paper: not causal.
    Middle,
}

/// Which poses of a window the odometry ties to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgoLinks {
    /// Neighbours: as the public code does on 7-Scenes.
    Neighbours,
    /// All pairs, as if their errors were independent: as the public code does on RobotCar.
    AllPairs,
}

/// The parameters. See the module's text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapNetPgo {
    /// `T`: poses in a window, from 2 (the public code: 7).
    pub poses: usize,
    /// Frames from a pose of the window to the next, from 1 (the public code: 150 on 7-Scenes, 10 on RobotCar).
    pub skip: usize,
    /// Which pose of its window a frame is.
    pub answer: PgoAnswer,
    /// Which poses the odometry ties.
    pub links: PgoLinks,
    /// Standard deviations of an absolute pose, per axis: metres, radians.
    pub absolute_sigmas: (f64, f64),
    /// Standard deviations of a relative pose, per axis and whatever the distance: metres, radians.
    pub relative_sigmas: (f64, f64),
}

impl MapNetPgo {
    /// The pose of each frame, `map_from_camera`; `None` where no frame of its window has an absolute pose.
    ///
    /// # Errors
    /// [`Error::Config`] for a window of fewer than two poses or a skip of none; [`Error::Message`] for a standard
    /// deviation that is none or a pose that is not finite; [`Error::Compute`] when a window's minimum is not found.
    pub fn localize(&self, frames: &[PgoFrame]) -> Result<Vec<Option<Se3>>> {
        for (key, found, least) in [("pgo.poses", self.poses, 2), ("pgo.skip", self.skip, 1)] {
            if found < least {
                return Err(Error::config(key, format!("a count from {least}"), found.to_string()));
            }
        }
        let noises = (noise(self.absolute_sigmas)?, noise(self.relative_sigmas)?);
        // The factors determine a window: its first step needs no damping, which weak absolute poses would feel.
        let mut optimizer = Optimizer::new(Settings { initial_lambda: 0.0, ..Settings::default() });
        (0..frames.len()).map(|frame| self.localize_frame(frames, frame, noises, &mut optimizer)).collect()
    }

    fn localize_frame(
        &self,
        frames: &[PgoFrame],
        frame: usize,
        (absolute, relative): (Gaussian<6>, Gaussian<6>),
        optimizer: &mut Optimizer,
    ) -> Result<Option<Se3>> {
        let window = self.window(frame, frames.len());
        let map_from_odom = |frame: &PgoFrame| Some(frame.map_from_camera? * frame.odom_from_camera.inverse());
        let Some(map_from_odom) = window.iter().find_map(|frame| map_from_odom(&frames[*frame])) else {
            return Ok(None);
        };
        let (mut graph, mut values) = (FactorGraph::new(), Values::new());
        for at in &window {
            let PgoFrame { map_from_camera, odom_from_camera } = frames[*at];
            let key = Key::pose(*at as u64);
            values.insert_pose(key, map_from_camera.unwrap_or(map_from_odom * odom_from_camera))?;
            if let Some(map_from_camera) = map_from_camera {
                graph.add(PriorFactor::new(key, map_from_camera, absolute)?);
            }
        }
        for (position, to) in window.iter().enumerate() {
            let first = if self.links == PgoLinks::AllPairs { 0 } else { position.saturating_sub(1) };
            for from in &window[first..position] {
                let motion = frames[*from].odom_from_camera.inverse() * frames[*to].odom_from_camera;
                graph.add(BetweenFactor::new(Key::pose(*from as u64), Key::pose(*to as u64), motion, relative)?);
            }
        }
        let report = optimizer.optimize(&graph, &mut values)?;
        if !report.stop.is_converged() {
            return Err(Error::compute(format!("MapNet+PGO at frame {frame}"), report.stop));
        }
        values.pose(Key::pose(frame as u64)).map(Some)
    }

    /// The frames in the window of a frame, ascending.
    fn window(&self, frame: usize, frames: usize) -> Vec<usize> {
        let older = match self.answer {
            PgoAnswer::Newest => self.poses - 1,
            PgoAnswer::Middle => self.poses / 2,
        };
        let newer = self.poses - 1 - older;
        let before = (1..=older).rev().filter_map(|steps| frame.checked_sub(steps * self.skip));
        let after = (0..=newer).map(|steps| frame + steps * self.skip).take_while(|frame| *frame < frames);
        before.chain(after).collect()
    }
}

fn noise((translation, rotation): (f64, f64)) -> Result<Gaussian<6>> {
    let (t, r) = (translation, rotation);
    Gaussian::from_sigmas(&Vector6::new(t, t, t, r, r, r))
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::So3;

    const PGO: MapNetPgo = MapNetPgo {
        poses: 5,
        skip: 2,
        answer: PgoAnswer::Newest,
        links: PgoLinks::Neighbours,
        absolute_sigmas: (0.1, 0.05),
        relative_sigmas: (1e-5, 1e-5),
    };
    const MIDDLE: MapNetPgo = MapNetPgo { answer: PgoAnswer::Middle, ..PGO };

    fn shift(vector: Vector3<f64>) -> Se3 {
        Se3::new(So3::identity(), vector)
    }

    fn vectors(length: usize) -> impl Strategy<Value = Vec<Vector3<f64>>> {
        prop::collection::vec((-1.0..1.0, -1.0..1.0, -1.0..1.0), length)
            .prop_map(|vectors| vectors.into_iter().map(|(x, y, z)| Vector3::new(x, y, z)).collect())
    }

    /// A path that turns, and absolute poses that are off by the errors.
    fn frames(errors: &[Vector3<f64>], turns: &[Vector3<f64>]) -> Vec<PgoFrame> {
        let mut path = Se3::identity();
        let mut frames = Vec::new();
        for (error, turn) in errors.iter().zip(turns) {
            path = path * Se3::new(So3::exp(&(0.3 * turn)), Vector3::new(0.2, 0.0, 0.1));
            let error = Vector6::new(error.x, error.y, error.z, turn.y, turn.z, turn.x) * 0.1;
            frames.push(PgoFrame { map_from_camera: Some(path.retract(&error)), odom_from_camera: path });
        }
        frames
    }

    #[test]
    fn a_window_steps_by_the_skip_and_ends_with_the_recording() {
        assert_eq!(PGO.window(20, 30), [12, 14, 16, 18, 20]);
        assert_eq!(PGO.window(3, 30), [1, 3]);
        assert_eq!(MIDDLE.window(20, 30), [16, 18, 20, 22, 24]);
        assert_eq!(MIDDLE.window(27, 30), [23, 25, 27, 29]);
        assert_eq!(MapNetPgo { poses: 4, ..MIDDLE }.window(20, 30), [16, 18, 20, 22]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Perfect odometry and rotations: the mean of the window's absolute positions, carried to the frame. (With
        /// rotations of some doubt the window also turns to fit its positions.)
        #[test]
        fn perfect_odometry_makes_the_mean_of_the_window(errors in vectors(12), steps in vectors(12)) {
            let place = |frame: usize| steps[..=frame].iter().sum::<Vector3<f64>>();
            let frames: Vec<PgoFrame> = (0..12)
                .map(|frame| PgoFrame {
                    map_from_camera: Some(shift(place(frame) + errors[frame])),
                    odom_from_camera: shift(place(frame) - Vector3::x()),
                })
                .collect();
            for pgo in [PGO, MIDDLE, MapNetPgo { links: PgoLinks::AllPairs, ..PGO }] {
                let pgo = MapNetPgo { absolute_sigmas: (0.1, 1e-5), ..pgo };
                for (frame, found) in pgo.localize(&frames).unwrap().into_iter().enumerate() {
                    let window = pgo.window(frame, 12);
                    let mean = window.iter().map(|at| errors[*at]).sum::<Vector3<f64>>() / window.len() as f64;
                    let off = (found.unwrap().translation - place(frame) - mean).norm();
                    prop_assert!(off < 1e-6, "{off} at frame {frame} of {pgo:?}");
                }
            }
        }

        /// Perfect odometry with rotations: no pose near the answer has a lower weighted distance from the window's
        /// absolute poses.
        #[test]
        fn perfect_odometry_makes_the_weighted_mean_on_the_manifold(errors in vectors(6), turns in vectors(6)) {
            let frames = frames(&errors, &turns);
            let pgo = MapNetPgo { skip: 1, poses: 6, ..PGO };
            let found = pgo.localize(&frames).unwrap()[5].unwrap();
            let cost = |newest: Se3| -> f64 {
                let distance = |frame: &PgoFrame| {
                    let motion = frames[5].odom_from_camera.inverse() * frame.odom_from_camera;
                    let off = frame.map_from_camera.unwrap().local(newest * motion);
                    off.fixed_rows::<3>(0).norm_squared() / 0.01 + off.fixed_rows::<3>(3).norm_squared() / 0.0025
                };
                frames.iter().map(distance).sum()
            };
            for axis in 0..6 {
                let step = Vector6::ith(axis, 1e-4);
                let (ahead, here, behind) = (cost(found.retract(&step)), cost(found), cost(found.retract(&-step)));
                // Newton's step to the lowest point along the axis, metres or radians.
                let (slope, curvature) = ((ahead - behind) / 2e-4, (ahead - 2.0 * here + behind) / 1e-8);
                let off = slope / curvature;
                prop_assert!(curvature > 0.0 && off.abs() < 5e-6, "{off} off along axis {axis}, cost {here}");
            }
        }

        /// The newest pose of a window knows nothing of what comes after it; the middle one does.
        #[test]
        fn only_the_middle_looks_ahead(errors in vectors(12), turns in vectors(12)) {
            let all = frames(&errors, &turns);
            let causal = PGO.localize(&all).unwrap();
            prop_assert_eq!(&causal[..8], &PGO.localize(&all[..8]).unwrap()[..]);
            let middle = MIDDLE.localize(&all).unwrap();
            let cut = MIDDLE.localize(&all[..8]).unwrap();
            prop_assert_eq!(&middle[..4], &cut[..4]);
            prop_assert!(middle[7] != cut[7]);
        }
    }

    #[test]
    fn the_weights_decide_whom_to_believe() {
        let errors: Vec<Vector3<f64>> = (0..8).map(|i| Vector3::new((i * i % 5) as f64 - 2.0, 0.3, 0.0)).collect();
        let frames = frames(&errors, &errors);
        let network = MapNetPgo { absolute_sigmas: (1e-6, 1e-6), relative_sigmas: (1.0, 1.0), ..PGO };
        for (found, frame) in network.localize(&frames).unwrap().iter().zip(&frames) {
            assert!(found.unwrap().local(frame.map_from_camera.unwrap()).norm() < 1e-9);
        }
    }

    #[test]
    fn frames_without_an_absolute_pose_are_carried_by_the_odometry() {
        let zero = vec![Vector3::zeros(); 9];
        let mut frames = frames(&zero, &zero);
        frames.iter_mut().skip(1).for_each(|frame| frame.map_from_camera = None);
        let pgo = MapNetPgo { skip: 1, ..PGO };
        let found = pgo.localize(&frames).unwrap();
        for (frame, found) in frames.iter().zip(&found).take(5) {
            assert!(found.unwrap().local(frame.odom_from_camera).norm() < 1e-9);
        }
        assert!(found[5..].iter().all(Option::is_none), "no absolute pose in these windows: {found:?}");
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let text = |pgo: MapNetPgo| pgo.localize(&[]).unwrap_err().to_string();
        let poses = text(MapNetPgo { poses: 1, ..PGO });
        assert_eq!(poses, "parameter pgo.poses: expected a count from 2, found 1");
        assert_eq!(text(MapNetPgo { skip: 0, ..PGO }), "parameter pgo.skip: expected a count from 1, found 0");
        let sigma = text(MapNetPgo { relative_sigmas: (0.1, f64::NAN), ..PGO });
        assert!(sigma.contains("expected a positive, finite number, found NaN"), "{sigma}");
        assert!(PGO.localize(&[]).unwrap().is_empty());
    }
}
