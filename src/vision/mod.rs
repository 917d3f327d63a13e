//! Room: vision.
