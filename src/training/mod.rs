//! Room: training.
