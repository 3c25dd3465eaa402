//! `couponctl man`: man pages, for who packages the program.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::terminal::Terminal;
use super::{Cli, Ended, Status};

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write them to; made when it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(terminal: &Terminal, args: &ManArgs) -> Ended {
    let folder = &args.folder;
    let wrong = || format!("{}: man pages cannot be written there", folder.display());
    std::fs::create_dir_all(folder).with_context(wrong)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(wrong)?;
    terminal.say(&format!("Man pages are in {}.", folder.display()));
    Ok(Status::Done)
}
