//! Keys, one at a time and without Enter where the system can (Unix); lines for an answer.

use std::io::{self, IsTerminal as _, Read as _};

use tokio::sync::mpsc::{self, UnboundedReceiver};

/// A person's keyboard.
#[derive(Debug)]
pub struct Keyboard {
    bytes: UnboundedReceiver<u8>,
    raw: Option<raw::Mode>,
}

impl Keyboard {
    /// The keyboard behind standard input; none where that is no terminal.
    pub fn open() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let (send, bytes) = mpsc::unbounded_channel();
        // Reading blocks; the thread ends with the program, or at the end of input.
        std::thread::spawn(move || {
            let mut byte = [0];
            while let Ok(1) = io::stdin().read(&mut byte) {
                if send.send(byte[0]).is_err() {
                    return;
                }
            }
        });
        Some(Self { bytes, raw: raw::Mode::enter() })
    }

    /// The next key.
    pub async fn key(&mut self) -> char {
        match self.bytes.recv().await {
            Some(byte) => char::from(byte),
            None => std::future::pending().await,
        }
    }

    /// Gives the terminal back as it was, for what reads lines or prints; [`Keyboard::resume`] takes
    /// it again.
    pub fn pause(&mut self) {
        self.raw = None;
    }

    /// Takes keys again; what was typed meanwhile does not count.
    pub fn resume(&mut self) {
        while self.bytes.try_recv().is_ok() {}
        self.raw = raw::Mode::enter();
    }

    /// A line, while paused. What was typed before does not count.
    pub async fn line(&mut self) -> String {
        while self.bytes.try_recv().is_ok() {}
        let mut line = Vec::new();
        loop {
            match self.bytes.recv().await {
                None | Some(b'\n') => return String::from_utf8_lossy(&line).into_owned(),
                Some(byte) => line.push(byte),
            }
        }
    }
}

#[cfg(unix)]
mod raw {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal gives each key at once and does not show it. Signals and output stay as they are.
    #[derive(Debug)]
    pub struct Mode {
        before: Termios,
    }

    impl Mode {
        pub fn enter() -> Option<Self> {
            let stdin = std::io::stdin();
            let before = tcgetattr(&stdin).ok()?;
            let mut keys = before.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
            Some(Self { before })
        }
    }

    impl Drop for Mode {
        fn drop(&mut self) {
            // A terminal that is gone needs no mending.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

#[cfg(not(unix))]
mod raw {
    /// Keys are followed by Enter here.
    #[derive(Debug)]
    pub struct Mode;

    impl Mode {
        pub fn enter() -> Option<Self> {
            None
        }
    }
}
