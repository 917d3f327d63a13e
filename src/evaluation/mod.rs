//! Room: evaluation.
