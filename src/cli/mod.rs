//! Command line.

pub mod synth;
