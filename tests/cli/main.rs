//! The real program, run as a user runs it: against the sandbox, over a real socket.

mod apply;
mod bad_input;
mod crash;
mod examples;
mod hostile;
mod init;
mod lock;
mod plan;
mod problems;
mod server;
mod signals;
mod workspace;
