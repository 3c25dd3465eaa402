//! `plan --out` and `apply PLANFILE`: exactly that, or a refusal that says what moved.

use crate::server::Server;
use crate::workspace::{Run, Stock, Workspace};

const SANDBOX: &str = ".couponctl/sandbox/couponctl.lock";

/// Changes a workspace, and what the refusal says then.
type Move = (fn(&Workspace), &'static str);

fn changed(max_count: u64) -> Stock {
    Stock { max_count, ..Stock::default() }
}

fn saved(names: &[&str]) -> Workspace {
    let workspace = Workspace::with(names);
    workspace.run(&["plan", "--sandbox", "--out", "plan.json"]).ended(0);
    workspace
}

fn apply(workspace: &Workspace) -> Run {
    workspace.run(&["apply", "plan.json", "--sandbox"])
}

#[test]
fn a_saved_plan_is_carried_out_without_a_question_and_only_once() {
    let workspace = saved(&["a", "b"]);
    let run = apply(&workspace).ended(0);
    assert!(run.last_line().contains("2 created"), "{}", run.out);
    assert_eq!(workspace.locked(SANDBOX).len(), 2);
    let run = apply(&workspace).ended(1);
    assert!(run.err.contains("- the lock holds other entries"), "{}", run.err);
    assert!(run.err.contains("- stocks/a.yaml: `a` is not to be created any more"), "{}", run.err);
    assert_eq!(workspace.locked(SANDBOX).len(), 2);
}

#[test]
fn what_moved_since_is_told_and_nothing_is_sent() {
    let moves: [Move; 8] = [
        (|w| w.stock("a", &changed(7)), "stocks/a.yaml: `a` has another content now"),
        (
            |w| w.stock("c", &changed(7)),
            "stocks/c.yaml: `c` is to be created now, which the plan does not say",
        ),
        (|w| w.remove("stocks/b.yaml"), "stocks/b.yaml: `b` is not to be created any more"),
        (
            |w| w.stock("a", &Stock { generation: 2, ..Stock::default() }),
            "stocks/a.yaml: `a` is another request now",
        ),
        (
            |w| {
                w.write("stocks/new.yaml", w.read("stocks/a.yaml"));
                w.remove("stocks/a.yaml");
            },
            "stocks/new.yaml: `a` was in stocks/a.yaml then",
        ),
        (
            |w| {
                w.run(&["apply", "--sandbox", "--auto-approve", "--target", "b"]).ended(0);
            },
            "- the lock holds other entries",
        ),
        (
            |w| w.write("couponctl.yaml", "brand_id: \"7\"\n"),
            "plan.json: it was made for brand 120344, and this workspace is of brand 7",
        ),
        (
            |w| w.write("couponctl.yaml", "brand_id: \"120344\"\nguardrails: { max_count: 5 }\n"),
            "the plan passes guardrails of couponctl.yaml: max_count",
        ),
    ];
    for (change, says) in moves {
        let workspace = saved(&["a", "b"]);
        change(&workspace);
        let lock = workspace.exists(SANDBOX).then(|| workspace.read(SANDBOX));
        let run = apply(&workspace).ended(1);
        assert!(run.err.contains(says), "{says}:\n{}", run.err);
        assert_eq!(workspace.exists(SANDBOX).then(|| workspace.read(SANDBOX)), lock, "{says}");
    }
}

#[test]
fn a_plan_for_the_sandbox_is_not_carried_out_on_the_api_nor_the_other_way_round() {
    let mut workspace = saved(&["a"]);
    let server = Server::start(&[]);
    workspace.environment(&server.environment);
    let run = workspace.run(&["apply", "plan.json"]).ended(1);
    assert!(run.err.contains("plan.json: it was made for the sandbox"), "{}", run.err);
    workspace.run(&["plan", "--out", "plan.json"]).ended(0);
    let run = apply(&workspace).ended(1);
    assert!(run.err.contains("it was made for the API"), "{}", run.err);
    assert_eq!(server.stocks().len(), 0);
    workspace.run(&["apply", "plan.json"]).ended(0);
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn a_file_that_was_edited_or_cut_off_anywhere_is_refused() {
    let workspace = saved(&["a"]);
    let whole = workspace.read("plan.json");
    for cut in [0, 1, 20, whole.len() / 2, whole.len() - 70, whole.len() - 4] {
        workspace.write("plan.json", &whole[..cut]);
        let run = apply(&workspace).ended(1);
        assert!(
            run.err.contains("this is not a saved plan as couponctl wrote it"),
            "{cut}: {}",
            run.err
        );
    }
    for (old, new) in [("\"a\"", "\"b\""), ("1000", "9000"), ("120344", "120345")] {
        assert!(whole.contains(old));
        workspace.write("plan.json", whole.replacen(old, new, 1));
        let run = apply(&workspace).ended(1);
        assert!(run.err.contains("its hash is another one"), "{old}: {}", run.err);
    }
    workspace.write("plan.json", b"\xff\xfe");
    apply(&workspace).ended(1);
    workspace.remove("plan.json");
    let run = apply(&workspace).ended(1);
    assert!(run.err.contains("plan.json cannot be read"), "{}", run.err);
    // One sealed by a later version, whatever it holds.
    let later = "{\"couponctl_plan\":2,\"news\":true";
    let hash = hash(later);
    workspace.write("plan.json", format!("{later},\n\"sha256\":\"{hash}\"}}\n"));
    let run = apply(&workspace).ended(1);
    assert!(run.err.contains("a later couponctl made it (plan version 2)"), "{}", run.err);
    assert!(!workspace.exists(SANDBOX));
}

fn hash(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn only_a_plan_that_may_be_carried_out_is_saved_and_never_over_the_workspaces_own_files() {
    let workspace = Workspace::with(&["a"]);
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\nguardrails: { creates: 0 }\n");
    workspace.run(&["plan", "--sandbox", "--out", "plan.json"]).ended(1);
    assert!(!workspace.exists("plan.json"));
    let before = workspace.read("stocks/a.yaml");
    let override_it = ["plan", "--sandbox", "--override-guardrail", "creates", "--out"];
    let journals = ["couponctl.lock.journal", "stocks/../couponctl.lock.journal"];
    for own in ["couponctl.lock", "couponctl.yaml"].into_iter().chain(journals) {
        let run = workspace.run(&[&override_it[..], &[own]].concat()).ended(1);
        assert!(run.err.contains("this is a file of the workspace"), "{}", run.err);
    }
    workspace.write("key.pem", "all there is of it");
    for other in ["stocks/a.yaml", "key.pem"] {
        let run = workspace.run(&[&override_it[..], &[other]].concat()).ended(1);
        assert!(run.err.contains("this file is no saved plan, so it stays"), "{}", run.err);
    }
    assert_eq!(workspace.read("stocks/a.yaml"), before);
    assert_eq!(workspace.read("key.pem"), "all there is of it");
    let dash = workspace.run(&[&override_it[..], &["-"]].concat()).ended(1);
    assert!(dash.err.contains("use `--format json`"), "{}", dash.err);
    // An empty file, as mktemp makes, and an older plan are replaced.
    workspace.write("plan.json", "");
    workspace.run(&[&override_it[..], &["plan.json"]].concat()).ended(0);
    workspace.run(&[&override_it[..], &["plan.json"]].concat()).ended(0);
    // What may be passed is said anew, by who applies.
    apply(&workspace).ended(1);
    workspace.run(&["apply", "plan.json", "--sandbox", "--override-guardrail", "creates"]).ended(0);
}

#[test]
fn a_plan_that_was_made_to_look_harmless_is_refused() {
    let workspace = Workspace::with(&["a"]);
    workspace.run(&["plan", "--sandbox", "--out", "plan.json"]).ended(0);
    let text = workspace.read("plan.json");
    let body = text.rsplit_once(",\n\"sha256\"").unwrap().0;
    for (from, to) in [
        ("\"largest_discount_fen\":1000000", "\"largest_discount_fen\":7"),
        ("\"create\":1", "\"create\":0"),
        ("\"max_count\":1000,", "\"max_count\":1,"),
        ("\"couponctl_plan\":1", "\"couponctl_plan\":0"),
    ] {
        let body = body.replacen(from, to, 1);
        assert!(body.contains(to) && !text.contains(to), "{from}");
        workspace.write("plan.json", format!("{body},\n\"sha256\":\"{}\"}}\n", hash(&body)));
        let run = apply(&workspace).ended(1);
        let says = ["it says something else of what it does", "it has no version"];
        assert!(says.iter().any(|says| run.err.contains(says)), "{}", run.err);
    }
    workspace.write("plan.json", &text);
    apply(&workspace).ended(0);
}

#[test]
#[cfg(unix)]
fn a_plan_saved_to_a_pipe_or_a_device_is_written_to_it_and_replaces_nothing() {
    let workspace = Workspace::with(&["a"]);
    let (pipe, copy) = (workspace.path("pipe"), workspace.path("copy.json"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    workspace.run(&["plan", "--sandbox", "--out", "pipe"]).ended(0);
    std::fs::write(copy, reader.join().unwrap()).unwrap();
    assert!(!pipe.is_file(), "still a pipe");
    workspace.run(&["apply", "--sandbox", "copy.json"]).ended(0);
}

#[test]
fn a_saved_plan_keeps_its_targets() {
    let workspace = Workspace::with(&["a", "b"]);
    workspace.run(&["plan", "--sandbox", "--target", "a", "--out", "plan.json"]).ended(0);
    apply(&workspace).ended(0);
    assert_eq!(workspace.locked(SANDBOX).into_keys().collect::<Vec<_>>(), ["a"]);
}
