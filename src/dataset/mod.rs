//! Room: dataset.
