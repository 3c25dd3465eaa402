//! The real program, run as a user runs it: against the sandbox, over a real socket.

mod apply;
mod bad_input;
mod certificate;
mod crash;
mod doctor;
mod examples;
mod github;
mod guardrails;
mod hostile;
mod init;
mod lock;
mod markdown;
mod plan;
mod problems;
mod saved_plan;
mod screen;
mod server;
mod settle;
mod shell;
mod signals;
mod unusable;
mod watch;
mod workspace;
