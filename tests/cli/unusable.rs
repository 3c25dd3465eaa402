//! Locks, journals and caches that are not what they should be: told at once, and left as they are.

use crate::workspace::Workspace;

#[track_caller]
fn refused(workspace: &Workspace, says: &str) {
    for arguments in [&["plan"][..], &["apply", "--auto-approve"]] {
        let run = workspace.run(arguments).ended(1);
        let told = format!("{}{}", run.out, run.err);
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}

#[test]
fn a_journal_that_cannot_be_used_stops_a_plan_too() {
    let workspace = Workspace::with(&["a"]);
    let journal = "couponctl.lock.journal";
    std::fs::create_dir(workspace.path(journal)).unwrap();
    refused(&workspace, "couponctl.lock.journal: this is not a file");
    std::fs::remove_dir(workspace.path(journal)).unwrap();
    // Of a later version, with a right sum.
    let json = r#"{"run":{"version":2,"brand_id":"120344","pid":1,"started_at":"x"}}"#;
    let sum = {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(json.as_bytes());
        hash[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    workspace.write(journal, format!("{sum} {json}\n"));
    refused(&workspace, "written by a later couponctl (journal version 2)");
    workspace.write(journal, "00000000 {}\n");
    let damaged = workspace.run(&["plan"]).ended(0);
    assert!(damaged.err.contains("has 1 damaged line; what can be read of it counts"));
}

#[test]
#[cfg(unix)]
fn a_lock_that_is_a_link_to_nothing_is_not_nothing() {
    let workspace = Workspace::with(&["a"]);
    let lock = workspace.path("couponctl.lock");
    std::os::unix::fs::symlink("nowhere/couponctl.lock", &lock).unwrap();
    refused(&workspace, "this is a link to nowhere/couponctl.lock, which is not there");
    assert!(lock.is_symlink());
}

#[test]
#[cfg(unix)]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    for (name, says) in [
        ("couponctl.lock", Some("couponctl.lock: it cannot be read: this is not a file")),
        ("couponctl.lock.journal", Some("couponctl.lock.journal: this is not a file")),
        ("stocks/b.yaml", Some("this is a device, a pipe or a socket, not a file")),
        (".couponctl/cache", None),
    ] {
        let workspace = Workspace::with(&["a"]);
        std::fs::create_dir_all(workspace.path(".couponctl")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(workspace.path(name)).status();
        assert!(made.unwrap().success());
        match says {
            Some(says) => refused(&workspace, says),
            None => _ = workspace.run(&["plan"]).ended(0),
        }
    }
}

#[test]
fn the_longest_of_waits_is_a_wait() {
    let workspace = Workspace::with(&["a"]);
    let longest = u64::MAX.to_string();
    let run = workspace.run(&["apply", "--sandbox", "--auto-approve", "--lock-timeout", &longest]);
    assert!(run.ended(0).out.contains("1 created"));
    let ignored = workspace.read(".couponctl/.gitignore");
    assert_eq!(ignored, "*\n", "git is not to take the sandbox's keys");
}
