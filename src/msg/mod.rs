//! Room: msg.
