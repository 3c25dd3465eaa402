use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

use crate::workspace::{Stock, Workspace};

fn json(workspace: &Workspace) -> Value {
    let run = workspace.run(&["plan", "--sandbox", "--format", "json"]).ended(0);
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn every_action_is_shown_and_counted() {
    let workspace = Workspace::with(&["stays", "changes", "moves", "goes"]);
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.stock("changes", &Stock { max_count: 2000, ..Stock::default() });
    workspace.remove("stocks/moves.yaml");
    workspace.stock("moved", &Stock { remark: "moves".into(), ..Stock::default() });
    workspace.remove("stocks/goes.yaml");
    workspace.stock("comes", &Stock::default());
    let plan = workspace.run(&["plan", "--sandbox"]).ended(0);
    insta::with_settings!({filters => vec![(r"10000000130\d\d", "[STOCK]")]}, {
        insta::assert_snapshot!(plan.out);
    });
}

#[test]
fn nothing_is_planned_for_an_empty_workspace() {
    let workspace = Workspace::new();
    let plan = workspace.run(&["plan", "--detailed-exitcode"]).ended(0);
    assert_eq!(
        plan.out,
        "Plan: 0 to create, 0 to update, 0 to replace, 0 to rename, 0 orphaned, 0 unchanged.\n"
    );
}

#[test]
fn the_detailed_exit_status_tells_changes_from_none() {
    let workspace = Workspace::with(&["a"]);
    workspace.run(&["plan", "--sandbox"]).ended(0);
    workspace.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(2);
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(0);
    workspace.remove("stocks/a.yaml");
    let orphan = workspace.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(0);
    assert!(
        orphan.out.contains("! orphan a"),
        "an orphan is reported, and no change: {}",
        orphan.out
    );
}

#[test]
fn the_json_form_has_the_fields_of_the_contract() {
    let workspace = Workspace::with(&["a"]);
    let plan = json(&workspace);
    assert_eq!(plan["format_version"], "1");
    assert_eq!(plan["brand_id"], "120344");
    assert_eq!(
        plan["summary"],
        serde_json::json!({"create":1,"update":0,"replace":0,"rename":0,"orphan":0,"unchanged":0})
    );
    let change = &plan["changes"][0];
    assert_eq!(change["action"], "create");
    assert_eq!(change["file"], "stocks/a.yaml");
    assert_eq!(change["stock_id"], Value::Null);
    assert_eq!(change["before"], Value::Null);
    assert_eq!(change["after"]["remark"], "a");
    assert!(change["out_request_no"].as_str().unwrap().starts_with("cc1-"));
    assert_eq!(plan["commitment"]["coupons"], 1000);
    assert_eq!(plan["commitment"]["largest_discount_fen"], 1_000_000);
}

#[test]
fn a_rename_changes_the_lock_alone_and_keeps_the_request_number() {
    let workspace = Workspace::with(&["old"]);
    workspace.apply(&["--sandbox"]).ended(0);
    let lock = ".couponctl/sandbox/couponctl.lock";
    let before: Value = serde_json::from_str(&workspace.read(lock)).unwrap();
    workspace.remove("stocks/old.yaml");
    workspace.stock("new", &Stock { remark: "old".into(), ..Stock::default() });
    let applied = workspace.apply(&["--sandbox"]).ended(0);
    assert_eq!(applied.last_line(), "Apply: 0 created, 0 replaced, 1 renamed, 0 failed.");
    let after: Value = serde_json::from_str(&workspace.read(lock)).unwrap();
    let (old, new) = (&before["stocks"]["old"], &after["stocks"]["new"]);
    assert_eq!(old["stock_id"], new["stock_id"]);
    assert_eq!(old["out_request_no"], new["out_request_no"]);
    assert_eq!(new["requested_as"], "old");
    assert_eq!(after["stocks"]["old"], Value::Null);
    workspace.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(0);
}

#[test]
fn a_request_that_made_the_stock_of_another_name_is_a_conflict() {
    let workspace = Workspace::with(&["old"]);
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.remove("stocks/old.yaml");
    workspace.stock("new", &Stock { remark: "old".into(), ..Stock::default() });
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.stock("old", &Stock::default());
    let plan = workspace.run(&["plan", "--sandbox"]).ended(1);
    assert!(plan.err.contains("which now stands for `new`"), "{}", plan.err);
    let applied = workspace.apply(&["--sandbox"]).ended(1);
    assert!(applied.err.contains("nothing was sent"), "{}", applied.err);
    workspace.stock("old", &Stock { generation: 2, ..Stock::default() });
    workspace.apply(&["--sandbox"]).ended(0);
}

#[test]
fn a_cache_is_kept_used_and_never_needed() {
    let workspace = Workspace::with(&["a", "b"]);
    workspace.apply(&["--sandbox"]).ended(0);
    // Files and a lock that were written this moment are not kept: they could change unseen.
    thread::sleep(Duration::from_millis(2100));
    let plan = |more: &[&str]| {
        let arguments = [&["plan", "--sandbox", "--format", "json"], more].concat();
        workspace.run(&arguments).ended(0).out
    };
    let first = plan(&["--no-cache"]);
    assert!(!workspace.exists(".couponctl/cache"), "--no-cache writes none");
    assert_eq!(plan(&[]), first);
    assert!(workspace.exists(".couponctl/cache"));
    assert_eq!(plan(&[]), first);
    let path = workspace.path(".couponctl/cache");
    let whole = fs::read(&path).unwrap();
    for harmed in [&b""[..], b"couponctl cache 9\n", &whole[..whole.len() / 2], &[0xff; 300]] {
        fs::write(&path, harmed).unwrap();
        assert_eq!(plan(&["--no-cache"]), first);
        assert_eq!(fs::read(&path).unwrap(), harmed, "--no-cache leaves it as it is");
        assert_eq!(plan(&[]), first);
        assert_eq!(fs::read(&path).unwrap(), whole, "it is made anew");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    assert_eq!(plan(&[]), first);
}

#[test]
fn plan_needs_neither_credentials_nor_network_and_writes_nothing() {
    let workspace = Workspace::with(&["a"]);
    workspace.run(&["plan"]).ended(0);
    assert!(!workspace.exists("couponctl.lock"));
    assert!(!workspace.exists("couponctl.lock.journal"));
    assert!(!workspace.exists(".couponctl"));
}
