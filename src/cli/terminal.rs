//! The two streams: results on standard output, everything else on standard error, coloured where
//! asked, and a closed pipe taken as "enough".

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{ColorWhen, Ended, Status};
use crate::plain::without_keys;
use crate::render::{BAD, CARE, paint};

/// The program's terminal, or what stands in its place.
#[derive(Debug)]
pub struct Terminal {
    out: ColorChoice,
    err: ColorChoice,
    quiet: bool,
}

/// Standard output was closed by who read it.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct Closed;

impl Terminal {
    /// Decides about colours, once.
    pub fn new(when: ColorWhen, quiet: bool) -> Self {
        let choice = |stream: &dyn anstream::stream::RawStream, auto: ColorChoice| match when {
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
            ColorWhen::Auto if stream.is_terminal() => auto,
            ColorWhen::Auto => ColorChoice::Never,
        };
        let (stdout, stderr) = (io::stdout(), io::stderr());
        Self {
            out: choice(&stdout, AutoStream::choice(&stdout)),
            err: choice(&stderr, AutoStream::choice(&stderr)),
            quiet,
        }
    }

    /// Starts the log on standard error.
    pub fn log(&self, verbose: u8) {
        if self.quiet || verbose == 0 {
            return;
        }
        let (ours, others) = match verbose {
            1 => (LevelFilter::DEBUG, LevelFilter::WARN),
            _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
        };
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(self.colours_errors())
            .with_writer(io::stderr)
            .with_target(verbose > 1)
            .with_filter(Targets::new().with_default(others).with_target("couponctl", ours));
        tracing_subscriber::registry().with(lines).init();
    }

    /// Whether a person can answer a question.
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether only results and errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error is a terminal that can be redrawn.
    pub fn is_live(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether standard error is coloured.
    pub fn colours_errors(&self) -> bool {
        self.err != ColorChoice::Never
    }

    /// Whether standard output is coloured.
    pub fn colours_results(&self) -> bool {
        self.out != ColorChoice::Never
    }

    /// Prints a result.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn result(&self, text: &str) -> anyhow::Result<()> {
        written(AutoStream::new(io::stdout().lock(), self.out), &without_keys(text))
    }

    /// Prints a result that a machine reads: it has no colours, and what is written goes out as it
    /// comes, so that it is never in memory as a whole.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn data(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> anyhow::Result<()> {
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        done(write(&mut out).and_then(|()| out.flush()))
    }

    /// Draws lines from the top of the window, over what was there; with `clear`, on a blank one.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn screen(&self, lines: &[String], clear: bool) -> anyhow::Result<()> {
        let lines = lines.join("\n");
        let lines = if self.colours_results() {
            lines
        } else {
            anstream::adapter::strip_str(&lines).to_string()
        };
        let begin = if clear { "\x1b[H\x1b[2J\x1b[3J" } else { "\x1b[H\x1b[J" };
        written(io::stdout().lock(), &format!("{begin}{lines}"))
    }

    /// Says something that is neither result nor problem; not with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something on standard error, always.
    pub fn complain(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.err);
        // There is nowhere left to say that standard error is gone.
        let _ = writeln!(err, "{}", without_keys(text));
    }

    /// A warning; not with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{}: {text}", paint(CARE.bold(), "warning")));
    }

    /// An error.
    pub fn error(&self, text: &str) {
        self.complain(&format!("{}: {text}", paint(BAD.bold(), "error")));
    }

    /// Asks on the terminal; only `yes` is a yes.
    pub fn asks(&self, question: &str) -> bool {
        let mut err = AutoStream::new(io::stderr().lock(), self.err);
        let _ = write!(err, "{question} ");
        let _ = err.flush();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes"
    }

    /// Says what went wrong, if anything, and gives the exit status.
    pub fn finish(&self, ended: Ended) -> ExitCode {
        match ended {
            Ok(status) => status.into(),
            Err(error) if error.is::<Closed>() => Status::Done.into(),
            Err(error) => {
                self.error(&format!("{error:#}"));
                Status::Failed.into()
            }
        }
    }
}

fn written(mut out: impl io::Write, text: &str) -> anyhow::Result<()> {
    done(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn done(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        Err(error) => Err(anyhow::anyhow!("standard output cannot be written: {error}")),
    }
}
