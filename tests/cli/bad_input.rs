use crate::workspace::Workspace;

#[track_caller]
fn refused(workspace: &Workspace, arguments: &[&str], says: &str) {
    let run = workspace.run(arguments).ended(1);
    assert!(run.err.contains(says), "{}", run.err);
    assert!(!run.err.contains("panicked"), "{}", run.err);
}

#[test]
fn no_workspace_is_told_with_the_way_to_make_one() {
    let workspace = Workspace::new();
    workspace.remove("couponctl.yaml");
    refused(&workspace, &["plan"], "run `couponctl init`");
    refused(&workspace, &["-C", "elsewhere", "plan"], "elsewhere has no couponctl.yaml");
}

#[test]
fn wrong_usage_ends_with_status_1() {
    let workspace = Workspace::new();
    refused(&workspace, &["paln"], "similar subcommands exist: 'man', 'plan'");
    refused(&workspace, &["plan", "--fromat"], "--format");
    workspace.run(&["--version"]).ended(0);
    workspace.run(&["plan", "--help"]).ended(0);
}

#[test]
fn settings_with_an_unknown_key_or_a_wrong_type_are_refused_with_their_place() {
    let workspace = Workspace::new();
    for (settings, says) in [
        (
            "brand_id: 120344\n",
            "couponctl.yaml:1:11: brand_id: invalid type: integer `120344`, expected a string; put the value in quotes",
        ),
        ("brand_id: \"1\"\nap: 3\n", "couponctl.yaml:2:1: unknown field `ap`"),
        (
            "brand_id: \"1\"\napi: {timeout_seconds: 0}\n",
            "api.timeout_seconds: 0 is not in 1 to 300",
        ),
        ("brand_id: \"1 2\"\n", "is not a brand id"),
        ("", "brand_id: it is not set"),
        ("a: [", "couponctl.yaml:"),
        ("brand_id: \"1\"\nstocks: [\"../x/*.yaml\"]\n", "leads out of the workspace"),
        ("brand_id: \"1\"\nstocks: [\"[\"]\n", "is not a pattern of files"),
    ] {
        workspace.write("couponctl.yaml", settings);
        refused(&workspace, &["plan"], says);
    }
}

#[test]
fn a_lock_that_is_not_whole_is_refused_and_left_as_it_is() {
    let workspace = Workspace::with(&["a"]);
    workspace.apply(&["--sandbox"]).ended(0);
    let good = workspace.read(".couponctl/sandbox/couponctl.lock");
    let line = good.lines().nth(1).unwrap();
    for (lock, says) in [
        (String::new(), "it is empty"),
        (good[..good.len() / 2].to_owned(), "it is cut off at line 2"),
        (
            good.replace("120344", "999"),
            "it belongs to brand 999, but the settings say brand 120344",
        ),
        (good.replace("\"version\":1", "\"version\":2"), "it has version 2"),
        ("{\"version\":7,\"stocks\":[]}".to_owned(), "it has version 7"),
        (
            good.replace(line, &format!("<<<<<<< HEAD\n{line}\n=======\n{line}\n>>>>>>> main")),
            "line 2 is a git conflict marker",
        ),
        (good.replace(line, &format!("{line},\n{line}")), "stock `a` stands there twice"),
        (good.replace("\"generation\":1", "\"generation\":\"1\""), "line 2, column"),
        (good.replace("cc1-", "cc1 "), "is not a request number"),
        (good.replace("{\"version\"", "[\"version\""), "line 1, column"),
        (format!("{good}x"), "trailing characters"),
    ] {
        workspace.write("couponctl.lock", &lock);
        refused(&workspace, &["plan"], says);
        refused(&workspace, &["apply", "--auto-approve"], says);
        assert_eq!(workspace.read("couponctl.lock"), lock, "left as it is");
    }
    workspace.write("couponctl.lock", b"{\"version\":1,\xff");
    refused(&workspace, &["plan"], "byte 13 is not UTF-8");
}

#[test]
fn missing_credentials_are_all_named_with_the_ways_to_set_them() {
    let workspace = Workspace::with(&["a"]);
    let run = workspace.apply(&[]).ended(1);
    insta::assert_snapshot!(run.err);
    assert!(!workspace.exists("couponctl.lock"));
    assert!(!workspace.exists("couponctl.lock.journal"), "nothing is left behind");
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_the_others_are_checked_all_the_same() {
    let workspace = Workspace::with(&["good"]);
    workspace.write("stocks/latin.yaml", b"name: caf\xe9\n");
    std::fs::create_dir_all(workspace.path("stocks/folder.yaml")).unwrap();
    workspace.write("stocks/syntax.yaml", "name: [\n");
    let run = workspace.run(&["validate"]).ended(1);
    assert!(
        run.out.contains("error[not-utf8]: the file is not UTF-8 text: byte 10 (line 1) is wrong"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("error[unreadable-file]: this is a folder, not a file"),
        "{}",
        run.out
    );
    assert!(run.out.contains("error[yaml-syntax]"), "{}", run.out);
    assert!(run.out.contains("3 errors"), "{}", run.out);
    refused(&workspace, &["plan"], "nothing was planned");
}

#[test]
fn ignored_files_are_no_stocks() {
    let workspace = Workspace::with(&["a", "draft"]);
    workspace.write(".gitignore", "stocks/draft.yaml\n");
    let plan = workspace.run(&["plan"]).ended(0);
    assert!(plan.out.contains("Plan: 1 to create"), "{}", plan.out);
}

#[test]
fn an_unknown_rule_is_told_with_the_nearest_one() {
    let workspace = Workspace::new();
    refused(&workspace, &["explain", "remark-to-long"], "did you mean `remark-too-long`?");
    let known = workspace.run(&["explain", "remark-too-long"]).ended(0);
    assert!(known.out.contains("A remark has at most 20 characters."));
}
