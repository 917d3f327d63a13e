//! The command line: one file per subcommand, each with its arguments and a `run`.

pub mod train;
