//! `vloc compare`: several finished runs in one report.

use std::path::PathBuf;

use clap::Args;

use crate::Result;
use crate::evaluation::report::{Run, compared};

/// Arguments of `vloc compare`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  vloc compare out/small-eval out/squeezenet-eval --out out/compared")]
pub struct CompareArgs {
    /// Folders that `vloc eval --out` or `vloc replay --truth --out` wrote, on the same test frames.
    #[arg(required = true, num_args = 2.., value_name = "FOLDER")]
    pub runs: Vec<PathBuf>,
    /// Where to write report.html, and its pictures and tables as SVG and CSV.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

/// Runs `vloc compare`.
///
/// # Errors
/// A folder without a finished run, runs on different test frames, or an output folder that cannot be written.
pub fn run(args: &CompareArgs) -> Result<()> {
    let runs = args.runs.iter().map(|folder| Run::read(folder)).collect::<Result<_>>()?;
    let report = compared(runs)?;
    report.write(&args.out)?;
    report.lead.iter().for_each(|sentence| println!("{sentence}"));
    println!("written to {}", args.out.join("report.html").display());
    Ok(())
}
