//! One second of IMU readings at 200 Hz, integrated: from a slice, one reading more, and cut out of a buffer.
#![allow(missing_docs, clippy::expect_used, reason = "criterion's macros are undocumented; a benchmark may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::Vector3;
use vloc::Stamp;
use vloc::imu::{ImuBias, ImuBuffer, ImuLimits, NavState, PreintegratedImu, ReadingError};
use vloc::sensor::ImuSample;
use vloc::synth::{GRAVITY_IN_MAP, ImuErrors};

fn reading(index: i64) -> ImuSample {
    let t = 0.005 * index as f64;
    ImuSample {
        stamp: Stamp::from_nanos(5_000_000 * index),
        angular_velocity: Vector3::new((2.0 * t).sin(), 0.5 * (3.0 * t).cos(), -0.3),
        linear_acceleration: Vector3::new((5.0 * t).cos(), 0.2, 9.81),
    }
}

fn preintegration(criterion: &mut Criterion) {
    let samples: Vec<ImuSample> = (0..=200).map(reading).collect();
    let (bias, noise) = (ImuBias::zero(), ImuErrors::EUROC.noise);
    let mut buffer = ImuBuffer::new(Duration::from_secs(60), ImuLimits::default());
    (0..12_000).for_each(|index| buffer.push(reading(index)).expect("a sound reading"));
    let second = (Stamp::from_nanos(30_002_000_000), Stamp::from_nanos(31_002_000_000));
    let whole = PreintegratedImu::integrate(&samples, bias, noise).expect("sound readings");
    let (i, j) = (NavState::identity(), whole.predict(&NavState::identity(), bias, GRAVITY_IN_MAP));

    let mut group = criterion.benchmark_group("preintegration");
    group.throughput(Throughput::Elements(200));
    group.bench_function("200 steps, slice", |bencher| {
        bencher.iter(|| PreintegratedImu::integrate(black_box(&samples), bias, noise));
    });
    group.bench_function("200 steps, buffer with 12000 readings", |bencher| {
        bencher.iter(|| buffer.interval(second.0, second.1).map(|interval| interval.preintegrate(bias, noise)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one step", |bencher| {
        bencher.iter_batched_ref(
            || PreintegratedImu::new(samples[0].stamp, bias, noise),
            |growing| growing.extend(&samples[0], &samples[1], ReadingError::default()),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("residual and derivatives", |bencher| {
        bencher.iter(|| whole.linearize(black_box(&i), bias, black_box(&j), GRAVITY_IN_MAP));
    });
    group.finish();
}

criterion_group!(benches, preintegration);
criterion_main!(benches);
