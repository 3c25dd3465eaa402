//! Signals, on systems that have them.
#![cfg(unix)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::server::Server;
use crate::workspace::Workspace;

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn the_first_signal_lets_requests_in_flight_finish_and_records_them() {
    for (name, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut workspace = Workspace::with(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let server = Server::start(&["--latency", "700ms"]);
        workspace.environment(&server.environment);
        let mut command = workspace.command(&["apply", "--auto-approve"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // At 20 a second, some are in flight now and some have not gone out.
        while !std::fs::read_to_string(workspace.path("couponctl.lock.journal"))
            .is_ok_and(|journal| journal.contains("intent"))
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(150));
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(status));
        let locked = workspace.locked("couponctl.lock");
        assert!((1..8).contains(&locked.len()), "{}", locked.len());
        assert_eq!(server.stocks().len(), locked.len(), "everything that was made is recorded");
        workspace.apply(&[]).ended(0);
        assert_eq!(server.stocks().len(), 8);
    }
}
