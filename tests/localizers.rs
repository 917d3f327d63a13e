//! The estimator on the recorded answers of real localizers: hloc, DSAC*, Active Search (7-Scenes *redkitchen*) and
//! PoseNet (King's College). What the estimator knows of a localizer is fitted on the sequences beside the one it runs on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/localizer.rs"]
mod localizer;

use localizer::{Answer, Localizer};

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Share of the answers within their own 90 % ellipsoid.
fn coverage<'a>(answers: impl Iterator<Item = &'a Option<Answer>>) -> f64 {
    let nees: Vec<f64> = answers.flatten().map(Answer::nees).collect();
    nees.iter().filter(|nees| **nees <= 10.645).count() as f64 / nees.len() as f64
}

/// What the fused answers have to reach, as shares of the raw errors.
struct Bounds {
    median: f64,
    p99: f64,
    /// Answers that may claim Tracking and be wrong; no bound where 1 m is less than the localizer's usual error.
    wrong: Option<usize>,
    /// Simulated noises of the relative motion whose answers are taken together for the coverage.
    noises: u64,
}

fn assert_fused(name: &str, localizer: &Localizer, bounds: &Bounds) {
    let raw = localizer.raw_errors();
    let mut all = Vec::new();
    for seed in 0..seeds(bounds.noises) {
        let fused = localizer.leave_one_out(seed);
        let answers = || fused.iter().flat_map(|fused| &fused.answers);
        let errors: Vec<f64> = answers().map(|answer| answer.as_ref().map_or(f64::INFINITY, Answer::error)).collect();
        let ratio = |share| quantile(&errors, share) / quantile(&raw, share);
        let (median, p99, covered) = (ratio(0.5), ratio(0.99), coverage(answers()));
        let wrong = answers().flatten().filter(|answer| answer.is_wrong()).count();
        println!(
            "{name}, noise {seed}: median {median:.3}, p99 {p99:.3} of the raw one, {wrong} wrong, \
             {covered:.3} within 90 %"
        );
        for fused in &fused {
            let (name, time, covered) = (&fused.sequence, fused.correlation_time, coverage(fused.answers.iter()));
            println!("  {name}: {covered:.3} within 90 %, correlation time {time:.2} s");
        }
        assert!(median <= bounds.median, "{name}, noise {seed}: median {median} of the raw one");
        assert!(p99 <= bounds.p99, "{name}, noise {seed}: 99th percentile {p99} of the raw one");
        assert!(bounds.wrong.is_none_or(|most| wrong <= most), "{name}, noise {seed}: {wrong} answers wrong");
        all.extend(fused.into_iter().flat_map(|fused| fused.answers));
    }
    let pooled = coverage(all.iter());
    println!("{name}: {pooled:.3} within 90 % altogether");
    assert!((0.85..=0.95).contains(&pooled), "{name}: {pooled} of the answers within 90 %");
}

/// How many simulated noises of the relative motion are tried: `VLOC_SEEDS`, else as many as the test says.
fn seeds(usual: u64) -> u64 {
    std::env::var("VLOC_SEEDS").map_or(usual, |seeds| seeds.parse().unwrap())
}

fn assert_kitchen(name: &str, median: f64, p99: f64) {
    let Some(data) = common::real_data_for("the estimator on real localizers") else { return };
    assert_fused(name, &Localizer::kitchen(&data, name), &Bounds { median, p99, wrong: Some(5), noises: 1 });
}

#[test]
fn hloc_fused_is_better_than_hloc_and_honest() {
    assert_kitchen("hloc", 0.95, 0.65);
}

#[test]
fn dsac_star_fused_is_better_than_dsac_star_and_honest() {
    assert_kitchen("dsac_rgb", 0.95, 0.80);
}

#[test]
fn active_search_fused_is_better_than_active_search_and_honest() {
    assert_kitchen("as", 0.85, 0.55);
}

/// With few frames: single noises cover from 80 to 88 %, so five are taken together.
#[test]
fn posenet_fused_is_better_than_posenet_and_honest() {
    let Some(data) = common::real_data_for("the estimator on PoseNet") else { return };
    assert_fused("PoseNet", &Localizer::posenet(&data), &Bounds { median: 0.60, p99: 0.30, wrong: None, noises: 5 });
}
