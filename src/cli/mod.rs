//! The command line: one file per subcommand.

pub mod node;
pub mod replay;
