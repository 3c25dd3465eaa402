use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::server::Server;
use crate::workspace::{Run, Stock, Workspace, git, locked};

const SANDBOX_LOCK: &str = ".couponctl/sandbox/couponctl.lock";

/// A workspace whose stocks are in the sandbox's lock.
fn applied(names: &[&str]) -> Workspace {
    let workspace = Workspace::with(names);
    workspace.apply(&["--sandbox"]).ended(0);
    workspace
}

/// A workspace whose stocks are in the real lock, by way of the sandbox's.
fn recorded(names: &[&str]) -> Workspace {
    let workspace = applied(names);
    workspace.write("couponctl.lock", workspace.read(SANDBOX_LOCK));
    workspace
}

fn lock(workspace: &Workspace, arguments: &[&str]) -> Run {
    workspace.run(&[&["lock"], arguments].concat())
}

/// What was said, without what differs from run to run.
#[track_caller]
fn snapshot(name: &str, text: &str) {
    insta::with_settings!({filters => vec![
        (r"10000000130\d\d", "[STOCK]"),
        (r"cc1-[0-9a-f]{36}", "[REQUEST]"),
        (r"[0-9a-f]{64}", "[HASH]"),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]"),
    ]}, { insta::assert_snapshot!(name, text) });
}

#[test]
fn show_lists_what_is_recorded_and_what_it_took_the_place_of() {
    let workspace = applied(&["a", "spring-100-minus-10"]);
    workspace.stock("a", &Stock { max_count: 2000, ..Stock::default() });
    workspace.apply(&["--sandbox", "--allow-replace"]).ended(0);
    snapshot("show_table", &lock(&workspace, &["show", "--sandbox"]).ended(0).out);
    snapshot("show_full", &lock(&workspace, &["show", "--sandbox", "a"]).ended(0).out);
    let none = lock(&workspace, &["show"]).ended(0);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "The lock holds no stock.\n"));
}

#[test]
fn show_takes_globs_suggests_names_and_gives_json() {
    let workspace = recorded(&["spring-1", "spring-2", "autumn"]);
    let json = lock(&workspace, &["show", "spring-*", "--format", "json"]).ended(0);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["format_version"], "1");
    assert_eq!(json["brand_id"], "120344");
    let names: Vec<_> = json["stocks"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["spring-1", "spring-2"]);
    let id = &workspace.locked("couponctl.lock")["spring-2"];
    assert_eq!(json["stocks"][1]["stock_id"], id.as_str());
    assert_eq!(json["stocks"][1]["stock"]["remark"], "spring-2");
    let near = lock(&workspace, &["show", "autum"]).ended(1);
    assert_eq!(near.err, "error: the lock has no stock named `autum`; did you mean `autumn`?\n");
}

#[test]
fn check_finds_every_problem_in_one_run_with_its_line() {
    let workspace = recorded(&["a", "b", "c"]);
    let good = lock(&workspace, &["check"]).ended(0);
    assert_eq!((good.out.as_str(), good.err.as_str()), ("", "couponctl.lock: no problems.\n"));
    let text = workspace.read("couponctl.lock");
    let ids = workspace.locked("couponctl.lock");
    let edited = text
        .replace("\"remark\":\"a\"", "\"remark\":\"x\"")
        .replacen("\"generation\":1", "\"generation\":7", 2)
        .replacen("\"generation\":7", "\"generation\":1", 1)
        .replace(&ids["c"], &ids["a"]);
    workspace.write("couponctl.lock", &edited);
    let bad = lock(&workspace, &["check"]).ended(1);
    snapshot("check_problems", &format!("{}{}", bad.out, bad.err));
    let json = lock(&workspace, &["check", "--format", "json"]).ended(1);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let kinds: Vec<_> = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["line"].as_u64().unwrap(), problem["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [(2, "content-hash"), (3, "request-number"), (4, "duplicate-stock")]);
}

#[test]
fn check_fixes_order_and_form_and_nothing_else() {
    let workspace = recorded(&["a", "b"]);
    let good = workspace.read("couponctl.lock");
    let lines: Vec<_> = good.lines().collect();
    let swapped = [lines[0], &format!("{},", lines[2]), lines[1].trim_end_matches(','), lines[3]];
    workspace.write("couponctl.lock", swapped.join("\r\n"));
    let bad = lock(&workspace, &["check"]).ended(1);
    assert!(bad.out.contains("couponctl.lock:3: error: `a` belongs above `b`"), "{}", bad.out);
    lock(&workspace, &["check", "--fix"]).ended(0);
    assert_eq!(workspace.read("couponctl.lock"), good);
    assert!(!workspace.exists("couponctl.lock.journal"));
    let broken = good.replace("\"generation\"", "\"generatio\"");
    workspace.write("couponctl.lock", &broken);
    lock(&workspace, &["check", "--fix"]).ended(1);
    assert_eq!(workspace.read("couponctl.lock"), broken, "what does not read is left alone");
}

#[test]
fn mv_does_what_a_planned_rename_does() {
    let (by_hand, by_plan) = (applied(&["old", "other"]), applied(&["old", "other"]));
    by_plan.write(SANDBOX_LOCK, by_hand.read(SANDBOX_LOCK));
    let moved = lock(&by_hand, &["mv", "--sandbox", "old", "new"]).ended(0);
    snapshot("mv", &format!("{}{}", moved.out, moved.err));
    for workspace in [&by_hand, &by_plan] {
        workspace.remove("stocks/old.yaml");
        workspace.stock("new", &Stock { remark: "old".into(), ..Stock::default() });
    }
    by_plan.apply(&["--sandbox"]).ended(0);
    assert_eq!(by_hand.read(SANDBOX_LOCK), by_plan.read(SANDBOX_LOCK));
    by_hand.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(0);
    lock(&by_hand, &["check", "--sandbox"]).ended(0);
}

#[test]
fn mv_and_rm_refuse_what_is_not_there_or_in_the_way() {
    let workspace = recorded(&["autumn", "spring"]);
    let before = workspace.read("couponctl.lock");
    for (arguments, says) in [
        (&["mv", "sprin", "x"][..], "the lock has no stock named `sprin`; did you mean `spring`?"),
        (&["mv", "spring", "autumn"], "`autumn` is there already: it stands for stock"),
        (&["mv", "spring", "Autumn!"], "`Autumn!` cannot be a name"),
        (&["rm", "--auto-approve", "spring", "autum"], "did you mean `autumn`?"),
        (&["rm", "spring"], "give `--auto-approve`"),
    ] {
        let refused = lock(&workspace, arguments).ended(1);
        assert!(refused.err.contains(says), "{arguments:?}: {}", refused.err);
        assert_eq!(workspace.read("couponctl.lock"), before, "{arguments:?}");
        assert!(!workspace.exists("couponctl.lock.journal"), "{arguments:?}");
    }
}

#[test]
fn what_rm_forgets_can_be_adopted_again() {
    let mut workspace = Workspace::with(&["a", "b"]);
    let server = Server::start(&[]);
    workspace.environment(&server.environment);
    workspace.apply(&[]).ended(0);
    let before = workspace.read("couponctl.lock");
    let id = locked(&before)["a"].clone();
    let removed = lock(&workspace, &["rm", "a", "--auto-approve"]).ended(0);
    assert!(removed.err.contains("goes on handing out coupons"), "{}", removed.err);
    let says = format!("a: stock {id} forgotten; `couponctl adopt a {id}` records it again\n");
    assert_eq!(removed.out, says);
    assert_eq!(workspace.locked("couponctl.lock").into_keys().collect::<Vec<_>>(), ["b"]);
    workspace.run(&["adopt", "a", &id]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock"), locked(&before));
    lock(&workspace, &["check"]).ended(0);
    assert_eq!(server.stocks().len(), 2);
}

/// A workspace in which an apply died at this point.
fn interrupted(point: &str) -> (Workspace, Server) {
    let mut workspace = Workspace::with(&["a", "b"]);
    let server = Server::start(&[]);
    workspace.environment(&server.environment);
    let mut command = workspace.command(&["apply", "--auto-approve"]);
    let run = crate::workspace::run({
        command.env("COUPONCTL_CRASH_AT", point);
        command
    });
    assert_eq!(run.status, -1, "it died: {}", run.err);
    (workspace, server)
}

#[test]
fn what_an_interrupted_apply_learned_is_folded_in_before_an_entry_moves() {
    let (workspace, server) = interrupted("before-fold");
    assert!(!workspace.exists("couponctl.lock"));
    let shown = lock(&workspace, &["show"]).ended(0);
    assert_eq!(shown.out.lines().count(), 3, "{}", shown.out);
    assert!(shown.err.contains("2 results of an interrupted apply"), "{}", shown.err);
    let checked = lock(&workspace, &["check"]).ended(0);
    assert!(checked.err.contains("left 2 results in the journal"), "{}", checked.err);
    let moved = lock(&workspace, &["mv", "a", "c"]).ended(0);
    assert!(moved.err.contains("Recorded 2 results of an interrupted apply."), "{}", moved.err);
    let names: Vec<_> = workspace.locked("couponctl.lock").into_keys().collect();
    assert_eq!(names, ["b", "c"]);
    assert!(!workspace.exists("couponctl.lock.journal"));
    assert_eq!(server.stocks().len(), 2);
}

#[test]
fn a_name_with_an_open_request_is_left_alone() {
    let (workspace, server) = interrupted("after-intent");
    workspace.write("couponctl.lock", recorded(&["a", "b", "c"]).read("couponctl.lock"));
    let before = workspace.read("couponctl.lock");
    let checked = lock(&workspace, &["check", "--format", "json"]).ended(0);
    let json: Value = serde_json::from_str(&checked.out).unwrap();
    let open = json["journal"]["open_requests"].as_u64().unwrap();
    assert!(open >= 1, "{json}");
    let mut refused = 0;
    for name in ["a", "b"] {
        for arguments in
            [&["mv", name, "d"][..], &["mv", "c", name], &["rm", name, "--auto-approve"]]
        {
            let run = lock(&workspace, arguments);
            refused +=
                u64::from(run.status == 1 && run.err.contains("run `couponctl apply` first"));
            workspace.write("couponctl.lock", &before);
        }
    }
    // Two for each: `c` cannot move where an entry stands anyway.
    assert_eq!(refused, open * 2);
    assert!(workspace.exists("couponctl.lock.journal"), "the open request is kept");
    drop(server);
}

#[test]
fn mv_and_rm_wait_for_nobody_unless_told_and_never_race_an_apply() {
    let mut workspace = Workspace::with(&["a"]);
    let server = Server::start(&["--latency", "1500ms"]);
    workspace.environment(&server.environment);
    let other = recorded(&["z"]);
    let id = &other.locked("couponctl.lock")["z"];
    workspace.write("couponctl.lock", other.read("couponctl.lock").replace(id, "77"));
    let mut command = workspace.command(&["apply", "--auto-approve"]);
    let mut apply = command.stdout(Stdio::null()).spawn().unwrap();
    while !workspace.exists("couponctl.lock.journal") {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    for arguments in [&["mv", "z", "y"][..], &["rm", "z", "--auto-approve"]] {
        let refused = lock(&workspace, arguments).ended(1);
        assert!(
            refused.err.contains("another couponctl works on this workspace"),
            "{}",
            refused.err
        );
    }
    lock(&workspace, &["mv", "z", "y", "--lock-timeout", "60"]).ended(0);
    assert!(apply.wait().unwrap().success());
    let names: Vec<_> = workspace.locked("couponctl.lock").into_keys().collect();
    assert_eq!(names, ["a", "y"]);
}

/// A git repository that merges the lock with the program under test.
fn repository(names: &[&str]) -> Workspace {
    let workspace = recorded(names);
    git(&workspace, &["init", "-q"]);
    workspace.run(&["init", "."]).ended(0);
    workspace.remove("stocks/sample.yaml");
    let driver = format!("'{}' lock merge-driver %O %A %B", env!("CARGO_BIN_EXE_couponctl"));
    git(&workspace, &["config", "merge.couponctl.driver", &driver]);
    commit(&workspace, "base");
    workspace
}

fn commit(workspace: &Workspace, message: &str) {
    git(workspace, &["add", "."]);
    let (status, said) = git(workspace, &["commit", "-qm", message]);
    assert_eq!(status, 0, "{said}");
}

/// Applies stocks on a branch of their own. The sandbox's ids go on from a number of the branch's own,
/// as those of a real API would.
fn branch(workspace: &Workspace, name: &str, first_id: u32, stocks: &[(&str, Stock)]) {
    git(workspace, &["checkout", "-q", "main"]);
    git(workspace, &["checkout", "-qb", name]);
    let before: Vec<_> = workspace.locked("couponctl.lock").into_values().collect();
    workspace.write(SANDBOX_LOCK, workspace.read("couponctl.lock"));
    for (name, stock) in stocks {
        workspace.stock(name, stock);
    }
    workspace.apply(&["--sandbox", "--allow-replace"]).ended(0);
    let mut text = workspace.read(SANDBOX_LOCK);
    let made = workspace.locked(SANDBOX_LOCK).into_values().filter(|id| !before.contains(id));
    for (index, id) in made.enumerate() {
        text = text.replace(&id, &format!("{}", first_id as usize + index));
    }
    workspace.write("couponctl.lock", text);
    commit(workspace, name);
}

#[test]
fn git_merges_two_branches_that_each_added_a_stock() {
    let workspace = repository(&["m"]);
    branch(&workspace, "one", 5001, &[("a", Stock::default()), ("n", Stock::default())]);
    let one = workspace.locked("couponctl.lock");
    branch(&workspace, "two", 6001, &[("b", Stock::default()), ("o", Stock::default())]);
    let two = workspace.locked("couponctl.lock");
    let (status, said) = git(&workspace, &["merge", "-q", "--no-edit", "one"]);
    assert_eq!(status, 0, "{said}");
    let mut both = one;
    both.extend(two);
    assert_eq!(both.len(), 5);
    assert_eq!(workspace.locked("couponctl.lock"), both);
    lock(&workspace, &["check"]).ended(0);
    // Without the driver git cannot: the test would otherwise prove nothing.
    git(&workspace, &["reset", "-q", "--hard", "HEAD~1"]);
    git(&workspace, &["config", "--unset", "merge.couponctl.driver"]);
    assert_ne!(git(&workspace, &["merge", "-q", "--no-edit", "one"]).0, 0);
    git(&workspace, &["merge", "--abort"]);
}

#[test]
fn git_stops_where_each_branch_made_a_stock_and_the_markers_stand_around_its_line_alone() {
    let workspace = repository(&["m", "z"]);
    let replaced = |max_count| [("m", Stock { max_count, ..Stock::default() })];
    branch(&workspace, "one", 5001, &[&replaced(2000)[..], &[("a", Stock::default())]].concat());
    branch(&workspace, "two", 6001, &[&replaced(3000)[..], &[("b", Stock::default())]].concat());
    let old = recorded_id(&workspace, "main", "m");
    let (status, said) = git(&workspace, &["merge", "-q", "--no-edit", "one"]);
    assert_ne!(status, 0);
    // What the driver says, behind what git says itself.
    let said = &said[said.find("error: `").unwrap()..];
    snapshot("merge_conflict", said);
    let text = workspace.read("couponctl.lock");
    let lines: Vec<_> = text.lines().map(|line| line.get(..12).unwrap_or(line)).collect();
    assert_eq!(
        lines,
        [
            "{\"version\":1",
            "\"a\":{\"produc",
            "\"b\":{\"produc",
            "<<<<<<< ours",
            "\"m\":{\"produc",
            "=======",
            "\"m\":{\"produc",
            ">>>>>>> thei",
            "\"z\":{\"produc",
            "}}"
        ]
    );
    workspace.run(&["plan"]).ended(1);
    let checked = lock(&workspace, &["check"]).ended(1);
    assert!(
        checked.out.contains("couponctl.lock:4: error: git's conflict marker"),
        "{}",
        checked.out
    );
    // As the README says, it can be merged once more.
    workspace.write("couponctl.lock", "spoilt");
    git(&workspace, &["checkout", "--merge", "couponctl.lock"]);
    assert_eq!(workspace.read("couponctl.lock"), text);
    // Their side is kept: nothing is lost.
    let kept: Vec<_> =
        text.lines().enumerate().filter(|(at, _)| ![3, 4, 5, 7].contains(at)).collect();
    let kept: String = kept.iter().map(|(_, line)| format!("{line}\n")).collect();
    workspace.write("couponctl.lock", &kept);
    lock(&workspace, &["check"]).ended(0);
    let lock: Value = serde_json::from_str(&kept).unwrap();
    let superseded = lock["stocks"]["m"]["superseded"].as_array().unwrap();
    let mut ids: Vec<_> = superseded.iter().map(|old| old["stock_id"].as_str().unwrap()).collect();
    ids.push(lock["stocks"]["m"]["stock_id"].as_str().unwrap());
    ids.sort_unstable();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&old.as_str()), "{ids:?}");
}

/// The id that a branch's lock has for a name.
fn recorded_id(workspace: &Workspace, branch: &str, name: &str) -> String {
    let (_, text) = git(workspace, &["show", &format!("{branch}:couponctl.lock")]);
    locked(&text)[name].clone()
}

/// Runs the driver on three files, as git does.
fn merged(base: &str, ours: &str, theirs: &str) -> (Run, String) {
    let workspace = Workspace::new();
    for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        workspace.write(name, text);
    }
    let run = lock(&workspace, &["merge-driver", "base", "ours", "theirs"]);
    (run, workspace.read("ours"))
}

#[test]
fn a_lock_that_only_one_side_has_kept_whole_is_never_half_merged() {
    let good = recorded(&["a"]).read("couponctl.lock");
    for (bad, says) in [
        (good.replace("\"version\":1", "\"version\":2"), "of their side, it has version 2"),
        (
            good.replace("120344", "777"),
            "our side belongs to brand 120344, their side to brand 777",
        ),
        (good[..good.len() / 2].to_owned(), "of their side, it is cut off at line 2"),
        (String::new(), "of their side, it is empty"),
    ] {
        let (run, left) = merged("", &good, &bad);
        assert_eq!(run.status, 1);
        assert!(run.err.contains(says), "{}", run.err);
        // Both sides whole, and nothing that reads as a lock.
        assert!(left.starts_with("<<<<<<< ours\n") && left.contains(&good) && left.contains(&bad));
    }
    let (run, left) = merged("", "half a lock", "{");
    assert!(run.err.contains("of our side") && run.err.contains("of their side"), "{}", run.err);
    assert!(left.contains("half a lock\n=======\n{\n"), "{left}");
}

#[test]
fn without_a_common_ancestor_both_sides_are_kept_and_unknown_fields_survive() {
    let both = recorded(&["a", "b"]).read("couponctl.lock");
    let lines: Vec<_> = both.lines().collect();
    let only = |line: &str| [lines[0], line.trim_end_matches(','), "}}\n"].join("\n");
    let later = lines[2].replace(",\"stock\":{", ",\"later\":{\"x\":[1]},\"stock\":{");
    let (run, result) = merged("", &only(lines[1]), &only(&later));
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    assert_eq!(result, both.replace(lines[2], &later));
    let (run, result) = merged("not a lock", &only(lines[1]), &only(lines[2]));
    assert_eq!(run.status, 0);
    assert!(run.err.contains("merged as if there was none"), "{}", run.err);
    assert_eq!(result, both);
}

#[test]
fn every_subcommand_teaches_in_its_help() {
    let workspace = Workspace::new();
    for command in ["show", "check", "mv", "rm", "merge-driver"] {
        let help = lock(&workspace, &[command, "--help"]).ended(0);
        let example = help.out.contains("Example") || help.out.contains("Set up once");
        assert!(example && help.out.contains("couponctl lock"), "{}", help.out);
    }
}
