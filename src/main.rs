//! The couponctl program: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    couponctl::cli::run(std::env::args_os())
}
