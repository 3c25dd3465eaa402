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
