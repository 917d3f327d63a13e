//! Room: network.
