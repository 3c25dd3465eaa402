use std::path::Path;

use crate::workspace::{Workspace, copy};

#[test]
fn every_example_is_valid_and_a_second_apply_changes_nothing() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let workspace = Workspace::new();
        copy(&example.unwrap().path(), &workspace.path(""));
        workspace.run(&["validate"]).ended(0);
        let applied = workspace.apply(&["--sandbox"]).ended(0);
        assert!(applied.last_line().ends_with(" 0 replaced, 0 renamed, 0 failed."));
        let again = workspace.apply(&["--sandbox"]).ended(0);
        assert!(again.err.contains("Nothing to do"), "{}", again.err);
        workspace.run(&["plan", "--sandbox", "--detailed-exitcode"]).ended(0);
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn the_readme_lists_the_rules_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- rules: begin -->\n", "<!-- rules: end -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let current = format!("{before}{begin}{}{end}{after}", couponctl::render::explain::table());
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    assert!(readme == current, "the table is old; run the tests once with UPDATE_README=1");
}
