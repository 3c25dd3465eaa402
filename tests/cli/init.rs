use crate::workspace::Workspace;

#[test]
fn a_new_workspace_is_valid_and_can_be_applied_at_once() {
    let workspace = Workspace::new();
    let made = workspace.run(&["init", "new"]).ended(0);
    assert_eq!(
        made.out,
        "made couponctl.yaml\nmade stocks/sample.yaml\nmade .gitignore\nmade .couponctl/stock.schema.json\n"
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
