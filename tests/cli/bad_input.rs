use crate::workspace::{Run, Stock, Workspace};

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
fn patterns_that_mean_nothing_are_told() {
    let workspace = Workspace::with(&["a"]);
    let settings = |patterns: &str| {
        workspace.write("couponctl.yaml", format!("brand_id: \"120344\"\nstocks: {patterns}\n"));
    };
    settings("[\"stocks/*.yaml\", \"!stocks/a.yaml\"]");
    refused(&workspace, &["plan"], "`stocks: !stocks/a.yaml` leaves nothing out");
    for (patterns, says) in [
        ("[\"stocks/\"]", "for all files in a folder, write `stocks/**/*.yaml`"),
        ("[\"stock/*.yaml\"]", "no file matches `stocks` of couponctl.yaml (stock/*.yaml)"),
        ("[]", "so no stock is asked for"),
    ] {
        settings(patterns);
        for command in ["plan", "validate"] {
            let run = workspace.run(&[command]).ended(0);
            assert!(run.err.contains(says), "{command}: {}", run.err);
        }
    }
    settings(&"[".repeat(200_000));
    refused(&workspace, &["plan"], "couponctl.yaml: it has more than 1000 opening brackets");
}

#[test]
fn ignored_files_are_no_stocks() {
    let workspace = Workspace::with(&["a", "draft"]);
    workspace.write(".gitignore", "stocks/draft.yaml\n");
    let plan = workspace.run(&["plan"]).ended(0);
    assert!(plan.out.contains("Plan: 1 to create"), "{}", plan.out);
}

#[test]
fn git_repositories_end_what_gitignore_reaches_and_other_programs_ignore_files_count_for_nothing() {
    let workspace = Workspace::new();
    workspace.write(".gitignore", "*\n");
    workspace.write("inner/couponctl.yaml", "brand_id: \"120344\"\n");
    let planned = |says: &str| {
        let plan = workspace.run(&["-C", "inner", "plan"]).ended(0);
        assert!(plan.out.contains(says), "{says}: {}", plan.out);
    };
    for name in ["a", "b", "x/c"] {
        let last = name.rsplit('/').next().unwrap();
        workspace.write(&format!("inner/stocks/{name}.yaml"), Stock::default().yaml(last));
    }
    planned("Plan: 3 to create");
    workspace.write("inner/stocks/.ignore", "*.yaml\n");
    planned("Plan: 3 to create");
    for in_git in [false, true] {
        workspace.write("inner/.gitignore", "/stocks/b.yaml\n");
        planned("Plan: 2 to create");
        workspace.write("inner/.gitignore", "stocks/x/\n");
        planned("Plan: 2 to create");
        workspace.write("inner/stocks/.gitignore", "a.yaml\n");
        planned("Plan: 1 to create");
        workspace.remove("inner/stocks/.gitignore");
        workspace.remove("inner/.gitignore");
        if !in_git {
            std::fs::create_dir(workspace.path("inner/.git")).unwrap();
        }
    }
    // Of one repository, the folders above the workspace count.
    std::fs::remove_dir(workspace.path("inner/.git")).unwrap();
    std::fs::create_dir(workspace.path(".git")).unwrap();
    workspace.write(".gitignore", "b.yaml\n");
    planned("Plan: 2 to create");
}

#[test]
#[cfg(unix)]
fn what_leads_out_of_the_workspace_or_has_no_name_in_utf8_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;
    let workspace = Workspace::new();
    let elsewhere = Workspace::with(&["a"]);
    std::os::unix::fs::symlink(elsewhere.path("stocks"), workspace.path("stocks")).unwrap();
    let run = workspace.run(&["validate"]).ended(1);
    assert!(run.out.contains("this link leads out of the workspace"), "{}", run.out);
    assert!(run.out.contains("--> stocks"), "{}", run.out);
    workspace.remove("stocks");
    for (name, bytes) in [("a", b"n\xff\xfe.yaml"), ("b", b"n\xfe\xff.yaml")] {
        workspace.write("stocks/x", Stock::default().yaml(name));
        let odd = workspace.path("stocks").join(std::ffi::OsStr::from_bytes(bytes));
        std::fs::rename(workspace.path("stocks/x"), odd).unwrap();
    }
    let run = workspace.run(&["validate"]).ended(1);
    assert!(run.out.contains("its name is not UTF-8: rename it"), "{}", run.out);
}

/// A line of a key.
const DIGITS: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

#[track_caller]
fn told(run: &Run, says: &str) {
    let shown = format!("{}{}", run.out, run.err);
    assert!(shown.contains(says) && !shown.contains(&DIGITS[..12]), "{says}: {shown}");
}

#[test]
fn a_private_key_in_the_wrong_place_is_told_and_not_shown() {
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{DIGITS}\n{DIGITS}\n-----END PRIVATE KEY-----\n");
    let mut workspace = Workspace::with(&["a"]);
    for name in ["PRIVATE_KEY_FILE", "WECHATPAY_PUBLIC_KEY_FILE", "BRAND_ID", "BASE_URL"] {
        let name = format!("COUPONCTL_{name}");
        workspace.environment(&[(name.clone(), key.clone())]);
        let says = format!("{name} holds a private key; the key itself goes into");
        told(&workspace.apply(&[]).ended(1), &says);
    }
    workspace.environment(&[]);
    told(
        &workspace.run(&["plan", &format!("--brand-id={key}")]).ended(1),
        "--brand-id holds a private key",
    );
    told(&workspace.run(&["-C", &key, "plan"]).ended(1), "(a private key, not shown)");
    told(&workspace.run(&["plan", "--format", &key]).ended(1), "(a private key, not shown)");
    let indented = key.replace('\n', "\n    ");
    workspace.write(
        "couponctl.yaml",
        format!("brand_id: \"120344\"\ncredentials:\n  private_key_file: |\n    {indented}\n"),
    );
    told(&workspace.apply(&[]).ended(1), "couponctl.yaml holds a private key; it belongs in");
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\nstocks: [\"**/*.pem\"]\n");
    workspace.write("secrets/apiclient.pem", &key);
    told(&workspace.run(&["validate"]).ended(1), "this file holds a private key, so nothing");
    told(&workspace.run(&["plan", "--format", "markdown"]).ended(1), "this file holds a private");
}

#[test]
fn an_unknown_rule_is_told_with_the_nearest_one() {
    let workspace = Workspace::new();
    refused(&workspace, &["explain", "remark-to-long"], "did you mean `remark-too-long`?");
    let known = workspace.run(&["explain", "remark-too-long"]).ended(0);
    assert!(known.out.contains("A remark has at most 20 characters."));
}
