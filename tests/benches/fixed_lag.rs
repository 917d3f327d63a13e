#![allow(missing_docs, clippy::unwrap_used)]
use nalgebra::{DMatrix, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::sync::Arc;
use std::time::Instant;
use vloc::geometry::*;
use vloc::graph::*;

fn main() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let n = 300u64;
    let mut truth = vec![];
    let mut pose = Se3::identity();
    for _ in 0..n {
        truth.push(pose);
        pose = pose.retract(&Vector6::new(0.1, 0.0, 0.0, 0.01, 0.02, 0.05));
    }
    let noise = Gaussian::<6>::isotropic(0.01).unwrap();
    let fix = Gaussian::<6>::isotropic(0.1).unwrap();
    let noisy = |p: Se3, s: f64, normal: &mut dyn FnMut() -> f64| p.retract(&Vector6::from_fn(|_, _| s * normal()));
    let mut graph = FactorGraph::new();
    let mut values = Values::new();
    let mut optimizer = Optimizer::new(Settings { relative_error_decrease: 1e-5, ..Settings::default() });
    let lag = 40;
    let mut times = vec![];
    let mut last = None;
    for i in 0..n {
        let t = truth[i as usize];
        let vars = [
            (Key::pose(i), Variable::Pose(t)),
            (Key::velocity(i), Variable::Vector3(Vector3::zeros())),
            (Key::bias(i), Variable::Vector6(Vector6::zeros())),
        ];
        if i == 0 {
            graph.add(
                LinearPrior::new(
                    &vars,
                    vec![0.0; 15],
                    DMatrix::<f64>::identity(15, 15).scale(100.0).as_slice().to_vec(),
                )
                .unwrap(),
            );
        } else {
            let prev = [
                (Key::pose(i - 1), Variable::Pose(truth[i as usize - 1])),
                (Key::velocity(i - 1), Variable::Vector3(Vector3::zeros())),
                (Key::bias(i - 1), Variable::Vector6(Vector6::zeros())),
            ];
            let mut a = DMatrix::<f64>::zeros(15, 30);
            for r in 0..15 {
                for c in 0..15 {
                    let z = 20.0 * normal();
                    a[(r, c)] = -z + 3.0 * normal();
                    a[(r, c + 15)] = z;
                }
                a[(r, r)] -= 100.0;
                a[(r, r + 15)] += 100.0;
            }
            let points: Vec<_> = prev.into_iter().chain(vars).collect();
            graph.add(LinearPrior::new(&points, (0..15).map(|_| normal()).collect(), a.as_slice().to_vec()).unwrap());
            graph.add(
                BetweenFactor::new(
                    Key::pose(i - 1),
                    Key::pose(i),
                    noisy(truth[i as usize - 1].inverse() * t, 0.01, &mut normal),
                    noise,
                )
                .unwrap(),
            );
        }
        graph.add(
            PriorFactor::new(Key::pose(i), noisy(t, 0.1, &mut normal), fix)
                .unwrap()
                .with_robust(RobustKernel::huber(1.3).unwrap()),
        );
        for (k, v) in vars {
            values
                .insert(
                    k,
                    match v {
                        Variable::Pose(p) => Variable::Pose(noisy(p, 0.02, &mut normal)),
                        v => v,
                    },
                )
                .unwrap();
        }
        let begin = Instant::now();
        let report = optimizer.optimize(&graph, &mut values).unwrap();
        let time = begin.elapsed();
        if i > lag + 20 {
            times.push(time.as_secs_f64());
            last = Some(report);
        }
        // drop the oldest: crude
        if i >= lag {
            let o = i - lag;
            for k in [Key::pose(o), Key::velocity(o), Key::bias(o)] {
                values.remove(k);
            }
            graph.take_unless(|f| !f.keys().iter().any(|k| k.index() == o));
            let vars: Vec<_> = [Key::pose(o + 1), Key::velocity(o + 1), Key::bias(o + 1)]
                .iter()
                .map(|k| (*k, *values.get(*k).unwrap()))
                .collect();
            graph.add_shared(Arc::new(
                LinearPrior::new(
                    &vars,
                    vec![0.0; 15],
                    DMatrix::<f64>::identity(15, 15).scale(100.0).as_slice().to_vec(),
                )
                .unwrap(),
            ));
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "median {:.3} ms p99 {:.3} ms {:?}",
        times[times.len() / 2] * 1e3,
        times[times.len() * 99 / 100] * 1e3,
        last
    );
}
