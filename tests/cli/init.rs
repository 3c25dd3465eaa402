use crate::workspace::{Workspace, git};

#[test]
fn a_new_workspace_is_valid_and_can_be_applied_at_once() {
    let workspace = Workspace::new();
    let made = workspace.run(&["init", "new"]).ended(0);
    assert_eq!(
        made.out,
        "made couponctl.yaml\nmade stocks/sample.yaml\nmade .gitignore\nmade .gitattributes\nmade .couponctl/stock.schema.json\n"
    );
    workspace.run(&["-C", "new", "validate", "--deny-warnings"]).ended(0);
    let applied = workspace.run(&["-C", "new", "apply", "--sandbox", "--auto-approve"]).ended(0);
    assert_eq!(applied.last_line(), "Apply: 1 created, 0 replaced, 0 renamed, 0 failed.");
    assert!(!workspace.exists("new/couponctl.lock"), "the sandbox keeps out of the real lock");
}

#[test]
fn a_second_init_overwrites_nothing() {
    let workspace = Workspace::new();
    workspace.run(&["init", "new", "--brand-id", "777"]).ended(0);
    workspace.write("new/stocks/sample.yaml", "mine");
    workspace.write("new/.gitignore", "mine");
    let again = workspace.run(&["init", "new"]).ended(0);
    assert!(
        again.out.starts_with("kept couponctl.yaml\nkept stocks/sample.yaml\nkept .gitignore\n")
    );
    assert_eq!(workspace.read("new/stocks/sample.yaml"), "mine");
    assert!(workspace.read("new/couponctl.yaml").contains("brand_id: \"777\""));
}

#[test]
fn the_sample_points_editors_at_the_schema_that_init_writes() {
    let workspace = Workspace::new();
    workspace.run(&["init", "new"]).ended(0);
    let sample = workspace.read("new/stocks/sample.yaml");
    let line = sample.lines().next().unwrap();
    let schema = line.strip_prefix("# yaml-language-server: $schema=").unwrap();
    let schema = workspace.read(&format!("new/stocks/{schema}"));
    assert_eq!(schema, workspace.run(&["schema"]).ended(0).out);
}

#[test]
fn in_a_git_repository_init_sets_the_merge_driver_up_and_keeps_what_is_there() {
    let workspace = Workspace::new();
    let config = |key: &str| git(&workspace, &["config", "--get", key]).1;
    git(&workspace, &["init", "-q"]);
    workspace.write("new/.gitattributes", "*.yaml text");
    let made = workspace.run(&["init", "new"]).ended(0);
    assert!(made.out.contains("added a line to .gitattributes\n"), "{}", made.out);
    assert!(made.err.contains("Set up git in this clone to merge couponctl.lock"), "{}", made.err);
    let attributes = "*.yaml text\ncouponctl.lock merge=couponctl\n";
    assert_eq!(workspace.read("new/.gitattributes"), attributes);
    assert_eq!(config("merge.couponctl.driver"), "couponctl lock merge-driver %O %A %B\n");
    assert!(!config("merge.couponctl.name").is_empty());
    let (_, merge) = git(&workspace, &["check-attr", "merge", "new/couponctl.lock"]);
    assert_eq!(merge, "new/couponctl.lock: merge: couponctl\n");
    git(&workspace, &["config", "merge.couponctl.driver", "mine"]);
    let again = workspace.run(&["init", "new"]).ended(0);
    assert!(again.out.contains("kept .gitattributes\n"), "{}", again.out);
    assert!(again.err.contains("git has `mine`"), "{}", again.err);
    assert_eq!(workspace.read("new/.gitattributes"), attributes);
    assert_eq!(config("merge.couponctl.driver"), "mine\n");
}

#[test]
fn outside_of_git_init_prints_how_to_set_the_merge_driver_up() {
    let mut workspace = Workspace::new();
    let ceiling = workspace.path("").parent().unwrap().display().to_string();
    workspace.environment(&[("GIT_CEILING_DIRECTORIES".into(), ceiling)]);
    let command = "git config merge.couponctl.driver 'couponctl lock merge-driver %O %A %B'";
    let made = workspace.run(&["init", "new"]).ended(0);
    assert!(made.err.contains(command), "{}", made.err);
    assert_eq!(workspace.read("new/.gitattributes"), "couponctl.lock merge=couponctl\n");
    // And where there is no git at all.
    git(&workspace, &["init", "-q"]);
    workspace.environment(&[("PATH".into(), String::new())]);
    let made = workspace.run(&["init", "new"]).ended(0);
    assert!(made.err.contains(command), "{}", made.err);
}
