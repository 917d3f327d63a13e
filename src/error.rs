//! The crate's error type: every variant says what was expected, what was found and, where it can, what to do.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. [`Error::exit_code`] maps it to the exit codes of the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, ...
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder is there but does not hold what it should: a dataset, a bag, a calibration, a checkpoint.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there, and what to do about it.
        found: String,
    },
    /// A message from a sensor or a peer that cannot be used.
    #[error("{what}: expected {expected}, found {found}")]
    Message {
        /// Which message or field, with its topic where known.
        what: String,
        /// What a usable message has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// A parameter, a configuration key or a command-line value.
    #[error("parameter {key}: expected {expected}, found {found}")]
    Config {
        /// The key, dotted.
        key: String,
        /// What it takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A model that does not fit its description or this build.
    #[error("model {}: expected {expected}, found {found}", path.display())]
    Model {
        /// The model folder or file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found, and what to do about it.
        found: String,
    },
    /// The computation itself failed: libtorch, a decomposition, a thread.
    #[error("{what}: {reason}")]
    Compute {
        /// What was computed.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// An image of another scene than the one that is asked for: its pose would be in another map, so there is none.
    #[error("scene: expected an image of {expected}, found one of {found} (probability {probability:.2})")]
    OtherScene {
        /// The scene that is asked for.
        expected: String,
        /// The scene that it shows, as the network says.
        found: String,
        /// How sure the network is.
        probability: f64,
    },
    /// An image that a pose cannot be measured from: nothing that is known of the place agrees with it.
    #[error("the image shows too little of the place to measure a pose: {reason}")]
    NoAnswer {
        /// What is missing.
        reason: String,
    },
    /// The middleware could not be used.
    #[error("middleware: {what}: {reason}")]
    Middleware {
        /// What was tried.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// Stopped by the user (SIGINT or SIGTERM) before the work was done.
    #[error("stopped by a signal before the work was done{0}")]
    Interrupted(String),
}

impl Error {
    /// An [`Error::Io`] for use with `map_err`: `fs::read(path).map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// An [`Error::Format`].
    pub fn format(path: impl AsRef<Path>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Format { path: path.as_ref().to_owned(), expected: expected.into(), found: found.into() }
    }

    /// An [`Error::Message`]. What a peer wrote is cut after 1000 characters: errors are logged, kept and published.
    pub fn message(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Message { what: shortened(what.into()), expected: expected.into(), found: shortened(found.into()) }
    }

    /// An [`Error::Config`].
    pub fn config(key: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Config { key: key.into(), expected: expected.into(), found: found.into() }
    }

    /// An [`Error::Model`].
    pub fn model(path: impl AsRef<Path>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Model { path: path.as_ref().to_owned(), expected: expected.into(), found: found.into() }
    }

    /// An [`Error::Compute`].
    pub fn compute(what: impl Into<String>, reason: impl ToString) -> Error {
        Error::Compute { what: what.into(), reason: reason.to_string() }
    }

    /// An [`Error::Middleware`].
    pub fn middleware(what: impl Into<String>, reason: impl ToString) -> Error {
        Error::Middleware { what: what.into(), reason: reason.to_string() }
    }

    /// The exit code of a program that ends with this error. 0 is success, 2 is clap's code for wrong usage.
    ///
    /// | code | meaning |
    /// |---|---|
    /// | 1 | the computation or the middleware failed |
    /// | 3 | a file could not be read or written |
    /// | 4 | input data is not what it should be (dataset, bag, message) |
    /// | 5 | a parameter or configuration value is wrong |
    /// | 6 | the model is wrong or does not fit |
    /// | 130 | stopped by a signal |
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Compute { .. } | Error::OtherScene { .. } | Error::NoAnswer { .. } | Error::Middleware { .. } => 1,
            Error::Io { .. } => 3,
            Error::Format { .. } | Error::Message { .. } => 4,
            Error::Config { .. } => 5,
            Error::Model { .. } => 6,
            Error::Interrupted(_) => 130,
        }
    }
}

/// A text of at most 1000 characters.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(1000) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}
