//! Room: synth.
