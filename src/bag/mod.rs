//! Room: bag.
