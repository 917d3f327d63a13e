//! The sliding window at work: 40 keyframes of 15 degrees of freedom, joined by the readings of a 200 Hz IMU, by visual
//! odometry and by robust absolute poses. Each update adds a keyframe with its factors (readings integrated anew),
//! optimizes, asks for the covariance of the newest state and marginalizes the oldest one. Prints median and 99th
//! percentile of each part: `cargo bench --no-default-features --bench fixed_lag`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::time::{Duration, Instant};

use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::Stamp;
use vloc::geometry::{Se3, Vector6};
use vloc::graph::{
    BetweenFactor, FixedLag, Gaussian, ImuFactor, Key, PriorFactor, Report, RobustKernel, Settings, Variable,
    VectorPriorFactor,
};
use vloc::imu::{ImuBias, NavState, PreintegratedImu};
use vloc::sensor::ImuSample;
use vloc::synth::{GRAVITY_IN_MAP, ImuErrors, Pass, PassKind, PathKind, World, simulate_imu};

const LAG: u64 = 40;
const IMU_RATE: usize = 200;
const WARM_UP: u64 = 100;

/// What one update took.
struct Times {
    whole: Duration,
    /// Time that the thread had a core: what is left where other programs share the machine.
    on_core: Duration,
    factors: Duration,
    update: Duration,
    covariance: Duration,
    marginalize: Duration,
    report: Report,
}

fn main() {
    let variants = [(10, false, false), (10, true, false), (20, true, false), (10, true, true)];
    for (camera_rate, first_estimates, uneven) in variants {
        let times = run(camera_rate, 1000, first_estimates, uneven);
        let structure = if uneven { "changes with every update" } else { "slides evenly" };
        println!("{camera_rate} keyframes/s, first-estimate Jacobians {first_estimates}, structure {structure}");
        let part = |name: &str, part: &dyn Fn(&Times) -> Duration| {
            let mut sorted: Vec<f64> = times.iter().map(|times| part(times).as_secs_f64() * 1e3).collect();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64) as usize];
            println!("  {name:12} median {:.3} ms, 99 % {:.3} ms, most {:.3} ms", at(0.5), at(0.99), at(1.0));
        };
        part("whole", &|times| times.whole);
        part("  on core", &|times| times.on_core);
        part("factors", &|times| times.factors);
        part("update", &|times| times.update);
        part("  structure", &|times| times.report.structure_time);
        part("  linearize", &|times| times.report.linearize_time);
        part("  factorize", &|times| times.report.factorize_time);
        part("  solve", &|times| times.report.solve_time);
        part("  error", &|times| times.report.error_time);
        part("covariance", &|times| times.covariance);
        part("marginalize", &|times| times.marginalize);
        let iterations: usize = times.iter().map(|times| times.report.iterations).sum();
        println!(
            "  {:.2} iterations, last: {}",
            iterations as f64 / times.len() as f64,
            times[times.len() - 1].report.stop
        );
    }
}

/// Feeds a window with `keyframes` keyframes and times all updates after the warm-up.
fn run(camera_rate: usize, keyframes: u64, first_estimates: bool, uneven: bool) -> Vec<Times> {
    let pass = Pass::new(&World::new(7), PassKind::Training(0), PathKind::Handheld);
    let readings = IMU_RATE / camera_rate;
    let samples = simulate_imu(
        &pass,
        Stamp::from_nanos(0),
        IMU_RATE as f64,
        readings * keyframes as usize + 1,
        &ImuErrors::EUROC,
    );
    let truth =
        |keyframe: u64| pass.motion(keyframe as f64 / camera_rate as f64).map_from_base * pass.rig.base_from_imu;
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut noisy =
        |pose: Se3, sigma: f64| pose.retract(&Vector6::from_fn(|_, _| sigma * random.sample::<f64, _>(StandardNormal)));

    let mut window = FixedLag::new(settings()).with_first_estimates(first_estimates);
    let mut times = Vec::new();
    for keyframe in 0..keyframes {
        let interval = &samples[readings * keyframe.saturating_sub(1) as usize..=readings * keyframe as usize];
        let fix = noisy(truth(keyframe), 0.05);
        let relative = noisy(truth(keyframe.saturating_sub(1)).inverse() * truth(keyframe), 0.005);
        let (begin, on_core) = (Instant::now(), core_time());
        add_keyframe(&mut window, keyframe, interval, fix, relative);
        if let (true, Some(earlier)) = (uneven && keyframe % 3 == 0, keyframe.checked_sub(2)) {
            add_relative(&mut window, earlier, keyframe, truth(earlier).inverse() * truth(keyframe));
        }
        let added = begin.elapsed();
        let report = window.update(5).unwrap();
        let updated = begin.elapsed();
        let covariance = window.marginal_covariance(&state(keyframe)).unwrap();
        let known = begin.elapsed();
        if let Some(oldest) = keyframe.checked_sub(LAG - 1) {
            window.marginalize(&state(oldest)).unwrap();
        }
        let (whole, on_core) = (begin.elapsed(), core_time() - on_core);
        assert!(covariance.cholesky().is_some());
        if keyframe >= WARM_UP {
            let (update, marginalize) = (updated - added, whole - known);
            let covariance = known - updated;
            times.push(Times { whole, on_core, factors: added, update, covariance, marginalize, report });
        }
    }
    times
}

/// How long this thread has had a core.
fn core_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn settings() -> Settings {
    Settings { relative_error_decrease: 1e-4, ..Settings::default() }
}

/// The variables of a keyframe.
fn state(keyframe: u64) -> [Key; 3] {
    [Key::pose(keyframe), Key::velocity(keyframe), Key::bias(keyframe)]
}

fn add_keyframe(window: &mut FixedLag, keyframe: u64, interval: &[ImuSample], fix: Se3, relative: Se3) {
    let [pose, velocity, bias] = state(keyframe);
    let noise = Gaussian::isotropic(0.05).unwrap();
    let absolute = PriorFactor::new(pose, fix, noise).unwrap().with_robust(RobustKernel::huber(2.5).unwrap());
    let Some(last) = keyframe.checked_sub(1) else {
        window.insert(pose, Variable::Pose(fix)).unwrap();
        window.insert(velocity, Variable::Vector3(Vector3::zeros())).unwrap();
        window.insert(bias, Variable::Vector6(Vector6::zeros())).unwrap();
        window.add(Box::new(absolute)).unwrap();
        let wide = VectorPriorFactor::new(velocity, Vector3::zeros(), Gaussian::isotropic(1.0).unwrap()).unwrap();
        window.add(Box::new(wide)).unwrap();
        let wide = VectorPriorFactor::new(bias, Vector6::zeros(), Gaussian::isotropic(0.1).unwrap()).unwrap();
        window.add(Box::new(wide)).unwrap();
        return;
    };
    let values = window.values();
    let [last_pose, last_velocity, last_bias] = state(last);
    let earlier =
        NavState { map_from_imu: values.pose(last_pose).unwrap(), velocity: values.vector3(last_velocity).unwrap() };
    let biases = values.vector6(last_bias).unwrap();
    let start = ImuBias::from_vector(&biases);
    let preintegrated = PreintegratedImu::integrate(interval, start, ImuErrors::EUROC.noise).unwrap();
    let predicted = preintegrated.predict(&earlier, start, GRAVITY_IN_MAP);
    window.insert(pose, Variable::Pose(predicted.map_from_imu)).unwrap();
    window.insert(velocity, Variable::Vector3(predicted.velocity)).unwrap();
    window.insert(bias, Variable::Vector6(biases)).unwrap();
    let readings = ImuFactor::new(state(last), state(keyframe), preintegrated, GRAVITY_IN_MAP).unwrap();
    window.add(Box::new(readings)).unwrap();
    window.add(Box::new(absolute)).unwrap();
    add_relative(window, last, keyframe, relative);
}

fn add_relative(window: &mut FixedLag, from: u64, to: u64, relative: Se3) {
    let noise = Gaussian::isotropic(0.005).unwrap();
    window.add(Box::new(BetweenFactor::new(Key::pose(from), Key::pose(to), relative, noise).unwrap())).unwrap();
}
