//! `couponctl completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::terminal::Terminal;
use super::{Cli, Ended, Status};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bash        couponctl completions bash > ~/.local/share/bash-completion/completions/couponctl
  zsh         couponctl completions zsh > ~/.zfunc/_couponctl      with ~/.zfunc in fpath
  fish        couponctl completions fish > ~/.config/fish/completions/couponctl.fish
  PowerShell  couponctl completions powershell >> $PROFILE")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(terminal: &Terminal, args: &CompletionsArgs) -> Ended {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "couponctl", &mut text);
    terminal.result(&String::from_utf8_lossy(&text))?;
    Ok(Status::Done)
}
