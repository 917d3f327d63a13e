//! What each fuzz target does with its bytes. A target panics where the library breaks a promise: it refuses with an
//! error, it never panics, and what it lets through is finite and within its limits.

mod bytes;
pub mod cdr;
pub mod compressed;
pub mod image;
pub mod mcap;
pub mod node;
pub mod pose_text;
pub mod sqlite3;
pub mod transforms;
pub mod yaml;

/// A target and its name, which is that of its folder in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("cdr", cdr::run),
    ("compressed", compressed::run),
    ("image", image::run),
    ("mcap", mcap::run),
    ("node", node::run),
    ("pose_text", pose_text::run),
    ("sqlite3", sqlite3::run),
    ("transforms", transforms::run),
    ("yaml", yaml::run),
];
