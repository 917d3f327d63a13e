//! Room: middleware.
