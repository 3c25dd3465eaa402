//! Applies that are killed, started twice, or robbed of their files: never two stocks for one, never
//! an id lost. `COUPONCTL_CRASH_KILLS=1000 cargo test --test cli crash -- --nocapture` runs long.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::server::Server;
use crate::workspace::{Stock, Workspace};

const FAULTS: [&str; 11] = [
    "drop-before=0.04",
    "drop-after=0.08",
    "error-before=0.04",
    "error-after=0.08",
    "rate-limit=0.04",
    "bad-signature=0.04",
    "tampered-body=0.04",
    "stale-timestamp=0.04",
    "wrong-serial=0.04",
    "truncated-body=0.04",
    "already-exists=0.3",
];
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Quick retries, and a pace at which kills hit every moment of a run.
const SETTINGS: &str = "brand_id: \"120344\"\napi: { requests_per_second: 60, timeout_seconds: 1, max_attempts: 3, retry_seconds: 1 }\n";

/// How many kills are asked for, and how many there are otherwise.
fn kills(default: u32) -> u32 {
    std::env::var("COUPONCTL_CRASH_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn connected(names: &[&str], flags: &[&str]) -> (Workspace, Server) {
    let mut workspace = Workspace::with(names);
    workspace.write("couponctl.yaml", SETTINGS);
    let server = Server::start(&[&["--requests-per-second", "10000"], flags].concat());
    workspace.environment(&server.environment);
    (workspace, server)
}

/// Every id in the lock with the name that it stands for, those that were replaced too.
fn ids(workspace: &Workspace) -> BTreeMap<String, String> {
    let lock: Value = serde_json::from_str(&workspace.read("couponctl.lock")).unwrap();
    let mut ids = BTreeMap::new();
    for (name, entry) in lock["stocks"].as_object().unwrap() {
        let old = entry["superseded"].as_array().into_iter().flatten();
        for entry in old.chain([entry]) {
            let id = entry["stock_id"].as_str().unwrap().to_owned();
            assert_eq!(ids.insert(id, name.clone()), None, "an id stands there twice");
        }
    }
    ids
}

/// What the server has and what the lock has must be the same, one to one.
#[track_caller]
fn nothing_twice_and_nothing_lost(workspace: &Workspace, server: &Server, context: &str) {
    let made: BTreeSet<_> = server.stocks().into_keys().collect();
    let locked: BTreeSet<_> = ids(workspace).into_keys().collect();
    assert_eq!(locked, made, "{context}: the lock and the server");
    assert!(!workspace.exists("couponctl.lock.journal"), "{context}: all is settled");
}

fn start(workspace: &Workspace, more: &[&str]) -> Child {
    let mut command = workspace.command(&[&["apply", "--auto-approve"], more].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Applies until it succeeds, killing each run after a random while, up to so many kills.
fn apply_and_kill(workspace: &Workspace, dice: &mut StdRng, most: u32, longest_ms: u64) -> u32 {
    let mut killed = 0;
    for _ in 0..400 {
        let mut child = start(workspace, &["--allow-replace"]);
        if killed < most {
            std::thread::sleep(Duration::from_millis(dice.random_range(0..longest_ms)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                killed += 1;
            }
        }
        if child.wait().unwrap().success() {
            return killed;
        }
    }
    panic!(
        "it never came to its end: {:?}",
        workspace.run(&["apply", "--auto-approve", "--allow-replace"])
    );
}

#[test]
fn kills_at_random_moments_with_faults_make_each_stock_exactly_once() {
    let (mut done, mut seed, wanted) = (0, 0, kills(16));
    while done < wanted {
        let seeds = seed.to_string();
        let mut flags: Vec<&str> = FAULTS.iter().flat_map(|fault| ["--fault", fault]).collect();
        flags.extend(["--seed", &seeds]);
        let (workspace, server) = connected(&NAMES, &flags);
        let mut dice = StdRng::seed_from_u64(seed);
        done += apply_and_kill(&workspace, &mut dice, 8, 250);
        let context = format!("seed {seed}");
        nothing_twice_and_nothing_lost(&workspace, &server, &context);
        let mut remarks: Vec<_> = server.stocks().into_values().collect();
        remarks.sort();
        assert_eq!(remarks, NAMES, "{context}");
        seed += 1;
    }
    eprintln!("{done} kills with faults over {seed} seeds: no stock twice, no id lost");
}

#[test]
fn files_that_change_between_kills_leave_no_id_behind() {
    let (mut done, mut seed, wanted) = (0, 1000, kills(8) / 4);
    while done < wanted {
        let (workspace, server) = connected(&NAMES, &["--fault", "drop-after=0.2"]);
        let mut dice = StdRng::seed_from_u64(seed);
        for _ in 0..3 {
            let mut child = start(&workspace, &["--allow-replace"]);
            std::thread::sleep(Duration::from_millis(dice.random_range(10..200)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                done += 1;
            }
            child.wait().unwrap();
            let name = NAMES[dice.random_range(0..NAMES.len())];
            let file = format!("stocks/{name}.yaml");
            match dice.random_range(0..3) {
                0 => workspace.stock(
                    name,
                    &Stock { max_count: dice.random_range(1..50), ..Stock::default() },
                ),
                1 if workspace.exists(&file) => workspace.remove(&file),
                _ => {
                    let new = format!("{name}-{}", dice.random_range(0..1000));
                    let text = Stock { remark: name.to_owned(), ..Stock::default() }.yaml(&new);
                    if workspace.exists(&file) {
                        workspace.remove(&file);
                    }
                    workspace.write(&format!("stocks/{new}.yaml"), text);
                }
            }
        }
        done += apply_and_kill(&workspace, &mut dice, 2, 250);
        nothing_twice_and_nothing_lost(&workspace, &server, &format!("seed {seed}"));
        workspace.run(&["plan", "--detailed-exitcode"]).ended(0);
        seed += 1;
    }
    eprintln!("{done} kills with edits in between: no id lost");
}

#[test]
fn death_at_every_step_between_the_first_byte_and_the_fold_is_survived() {
    for point in
        ["begun", "after-intent", "after-answer", "after-result", "before-fold", "after-fold"]
    {
        for time in 1..=3 {
            let (workspace, server) = connected(&["a", "b", "c"], &[]);
            let mut command = workspace.command(&["apply", "--auto-approve"]);
            command.env("COUPONCTL_CRASH_AT", format!("{point}:{time}"));
            let run = crate::workspace::run(command);
            let once = matches!(point, "begun" | "before-fold" | "after-fold");
            assert_eq!(run.status == -1, !once || time == 1, "{point}:{time}: {run:?}");
            let context = format!("{point}:{time}");
            workspace.apply(&[]).ended(0);
            nothing_twice_and_nothing_lost(&workspace, &server, &context);
            assert_eq!(server.stocks().len(), 3, "{context}");
            workspace.run(&["plan", "--detailed-exitcode"]).ended(0);
        }
    }
}

#[test]
fn death_while_an_earlier_death_is_settled_is_survived() {
    for point in ["folded-at-start", "begun"] {
        let (workspace, server) = connected(&["a", "b", "c"], &[]);
        for at in ["after-result:2", point] {
            let mut command = workspace.command(&["apply", "--auto-approve"]);
            command.env("COUPONCTL_CRASH_AT", at);
            assert_eq!(crate::workspace::run(command).status, -1, "{at}");
        }
        workspace.apply(&[]).ended(0);
        nothing_twice_and_nothing_lost(&workspace, &server, point);
        assert_eq!(server.stocks().len(), 3);
    }
}

/// A workspace whose apply died when one stock was made and not recorded.
fn died_unrecorded() -> (Workspace, Server) {
    let (workspace, server) = connected(&["a"], &[]);
    let mut command = workspace.command(&["apply", "--auto-approve"]);
    command.env("COUPONCTL_CRASH_AT", "after-answer");
    assert_eq!(crate::workspace::run(command).status, -1);
    assert_eq!(server.stocks().len(), 1);
    assert!(!workspace.exists("couponctl.lock"));
    (workspace, server)
}

#[test]
fn an_open_request_is_sent_again_when_the_file_still_asks_for_it() {
    let (workspace, server) = died_unrecorded();
    let plan = workspace.run(&["plan"]).ended(0);
    assert!(
        plan.out.contains("1 request of an interrupted apply may or may not have made a stock")
    );
    workspace.apply(&[]).ended(0);
    nothing_twice_and_nothing_lost(&workspace, &server, "sent again");
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn an_open_request_whose_file_is_gone_is_found_and_recorded_as_an_orphan() {
    let (workspace, server) = died_unrecorded();
    workspace.remove("stocks/a.yaml");
    let applied = workspace.apply(&[]).ended(0);
    assert!(
        applied.err.contains("which no file asks for any more; it is recorded"),
        "{}",
        applied.err
    );
    nothing_twice_and_nothing_lost(&workspace, &server, "gone");
    assert!(workspace.run(&["plan"]).ended(0).out.contains("! orphan a"));
}

#[test]
fn an_open_request_whose_file_was_renamed_is_found_and_renamed() {
    let (workspace, server) = died_unrecorded();
    workspace.remove("stocks/a.yaml");
    workspace.stock("b", &Stock { remark: "a".into(), ..Stock::default() });
    let applied = workspace.apply(&[]).ended(0);
    assert_eq!(applied.last_line(), "Apply: 0 created, 0 replaced, 1 renamed, 0 failed.");
    assert_eq!(workspace.locked("couponctl.lock").into_keys().collect::<Vec<_>>(), ["b"]);
    nothing_twice_and_nothing_lost(&workspace, &server, "renamed");
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn an_open_request_whose_file_was_edited_is_found_before_anything_is_made() {
    let (workspace, server) = died_unrecorded();
    workspace.stock("a", &Stock { max_count: 7, ..Stock::default() });
    let refused = workspace.apply(&[]).ended(1);
    assert!(refused.err.contains("--allow-replace"), "{}", refused.err);
    assert_eq!(server.stocks().len(), 1);
    nothing_twice_and_nothing_lost(&workspace, &server, "edited");
    workspace.apply(&["--allow-replace"]).ended(0);
    assert_eq!(server.stocks().len(), 2);
    nothing_twice_and_nothing_lost(&workspace, &server, "replaced");
}

#[test]
fn an_open_request_that_made_nothing_is_dropped() {
    let (workspace, server) = connected(&["a"], &[]);
    let mut command = workspace.command(&["apply", "--auto-approve"]);
    command.env("COUPONCTL_CRASH_AT", "after-intent");
    assert_eq!(crate::workspace::run(command).status, -1);
    workspace.remove("stocks/a.yaml");
    let applied = workspace.apply(&[]).ended(0);
    assert!(applied.err.contains("a was not made."), "{}", applied.err);
    assert!(server.stocks().is_empty());
    assert!(!workspace.exists("couponctl.lock.journal"));
}

#[test]
fn the_stock_of_a_twin_that_is_sent_again_is_not_taken_for_that_of_a_file_that_is_gone() {
    let (workspace, server) = connected(&[], &[]);
    let twin = Stock { remark: "twin".into(), ..Stock::default() };
    workspace.stock("b", &twin);
    let die = |point: &str| {
        let mut command = workspace.command(&["apply", "--auto-approve"]);
        command.env("COUPONCTL_CRASH_AT", point);
        assert_eq!(crate::workspace::run(command).status, -1);
    };
    // The stock of b is made and not recorded; that of a is only meant to be made.
    die("after-answer");
    workspace.stock("a", &twin);
    die("after-intent");
    workspace.remove("stocks/a.yaml");
    workspace.apply(&[]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock").into_keys().collect::<Vec<_>>(), ["b"]);
    let settled = workspace.apply(&[]).ended(0);
    assert!(settled.err.contains("a was not made."), "{}", settled.err);
    nothing_twice_and_nothing_lost(&workspace, &server, "twins");
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn a_damaged_journal_is_told_and_kept_aside() {
    let (workspace, server) = died_unrecorded();
    let journal = workspace.read("couponctl.lock.journal");
    workspace.write("couponctl.lock.journal", journal.replace("\"intent\"", "\"intend\""));
    let applied = workspace.apply(&[]).ended(0);
    assert!(applied.err.contains("has damaged lines"), "{}", applied.err);
    assert!(workspace.read("couponctl.lock.journal.damaged").contains("intend"));
    nothing_twice_and_nothing_lost(&workspace, &server, "damaged");
    assert_eq!(server.stocks().len(), 1, "asked for again by the file");
    // Another one does not take the place of the first.
    workspace.write("couponctl.lock.journal", "another\n");
    workspace.apply(&[]).ended(0);
    assert!(workspace.read("couponctl.lock.journal.damaged").contains("intend"));
    assert_eq!(workspace.read("couponctl.lock.journal.damaged-2"), "another\n");
}

#[test]
fn two_applies_at_once_make_each_stock_once() {
    for round in 0..kills(16) / 4 {
        let (workspace, server) = connected(&["a", "b"], &[]);
        let both = [0, 1].map(|_| start(&workspace, &["--lock-timeout", "30"]));
        for mut child in both {
            assert!(child.wait().unwrap().success(), "round {round}");
        }
        assert_eq!(server.stocks().len(), 2, "round {round}");
        nothing_twice_and_nothing_lost(&workspace, &server, "two at once");
    }
}

#[test]
fn a_second_apply_is_told_who_holds_the_workspace_and_plan_does_not_wait() {
    let (workspace, _server) = connected(&["a"], &["--latency", "1500ms"]);
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\n");
    let mut first = start(&workspace, &[]);
    while !workspace.exists("couponctl.lock.journal")
        || workspace.read("couponctl.lock.journal").is_empty()
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = workspace.apply(&[]).ended(1);
    let holder =
        format!("another couponctl works on this workspace: process {}, since 20", first.id());
    assert!(second.err.contains(&holder), "{}", second.err);
    workspace.run(&["plan"]).ended(0);
    workspace.run(&["validate"]).ended(0);
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_lock_restored_from_an_older_commit_gets_its_stocks_back() {
    let (workspace, server) = connected(&["a"], &[]);
    workspace.apply(&[]).ended(0);
    let old = workspace.read("couponctl.lock");
    workspace.stock("b", &Stock::default());
    workspace.apply(&[]).ended(0);
    let new = workspace.locked("couponctl.lock");
    workspace.write("couponctl.lock", old);
    workspace.apply(&[]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock"), new);
    assert_eq!(server.stocks().len(), 2);
}

/// Starts an apply that takes a while, and does something as soon as its first request is out.
fn meanwhile(workspace: &Workspace, act: impl FnOnce()) -> crate::workspace::Run {
    let mut command = workspace.command(&["apply", "--auto-approve"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let sent = || workspace.read("couponctl.lock.journal").contains("\"intent\"");
    while !workspace.exists("couponctl.lock.journal") || !sent() {
        std::thread::sleep(Duration::from_millis(5));
    }
    act();
    let output = child.wait_with_output().unwrap();
    crate::workspace::Run {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_lock_that_somebody_adds_to_meanwhile_is_merged() {
    let (workspace, _server) = connected(&["a"], &["--latency", "300ms"]);
    workspace.apply(&[]).ended(0);
    let entry = workspace.read("couponctl.lock").lines().nth(1).unwrap().to_owned();
    workspace.stock("b", &Stock::default());
    meanwhile(&workspace, || {
        let other = entry
            .replace("\"a\":", "\"zz\":")
            .replace("\"stock_id\":\"1", "\"stock_id\":\"2")
            .replace("cc1-", "cc2-");
        let lock = workspace.read("couponctl.lock");
        let lock = lock.replace(&entry, &format!("{entry},\n{other}"));
        workspace.write("couponctl.lock", lock);
    })
    .ended(0);
    let names: Vec<_> = workspace.locked("couponctl.lock").into_keys().collect();
    assert_eq!(names, ["a", "b", "zz"]);
}

#[test]
fn a_lock_that_somebody_changes_or_deletes_meanwhile_is_left_alone_and_nothing_is_lost() {
    for delete in [true, false] {
        let (workspace, server) = connected(&["a"], &["--latency", "300ms"]);
        workspace.apply(&[]).ended(0);
        let before = workspace.read("couponctl.lock");
        workspace.stock("b", &Stock::default());
        let changed = before.replace("\"generation\":1", "\"generation\":3");
        let run = meanwhile(&workspace, || {
            if delete {
                workspace.remove("couponctl.lock");
            } else {
                workspace.write("couponctl.lock", &changed);
            }
        })
        .ended(1);
        assert!(run.err.contains("nothing is lost"), "{}", run.err);
        assert_eq!(workspace.exists("couponctl.lock"), !delete, "left as it is");
        workspace.write("couponctl.lock", before);
        workspace.apply(&[]).ended(0);
        nothing_twice_and_nothing_lost(&workspace, &server, "changed meanwhile");
        assert_eq!(server.stocks().len(), 2);
    }
}

#[test]
fn a_journal_that_is_deleted_meanwhile_is_not_missed() {
    let (workspace, server) = connected(&["a", "b"], &["--latency", "300ms"]);
    meanwhile(&workspace, || workspace.remove("couponctl.lock.journal")).ended(0);
    nothing_twice_and_nothing_lost(&workspace, &server, "journal deleted");
}

#[test]
fn a_workspace_that_cannot_be_written_sends_nothing() {
    let (workspace, server) = connected(&["a"], &[]);
    std::fs::create_dir(workspace.path("couponctl.lock.journal")).unwrap();
    let refused = workspace.apply(&[]).ended(1);
    assert!(refused.err.contains("nothing was sent"), "{}", refused.err);
    assert!(server.stocks().is_empty());
}
