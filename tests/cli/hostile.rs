//! Input made to hurt: each case a clear error, soon, without a panic.

use std::time::{Duration, Instant};

use crate::workspace::{Stock, Workspace};

/// Validates a file, which must fail with these words, and soon. Debug builds are slow: the bound is
/// wide, and far below what unbounded work would take.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, says: &str) {
    let workspace = Workspace::new();
    workspace.write("stocks/hostile.yaml", content);
    let begin = Instant::now();
    let run = workspace.run(&["validate"]).ended(1);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(run.out.contains(says), "{}", run.out.chars().take(2000).collect::<String>());
    assert!(run.out.len() < 100_000, "{} bytes of output", run.out.len());
    assert!(!run.err.contains("panicked"), "{}", run.err);
}

fn with(line: &str, replacement: &str) -> String {
    let yaml = Stock::default().yaml("a");
    assert!(yaml.contains(line), "{line}");
    yaml.replace(line, replacement)
}

#[test]
fn alias_bombs() {
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{},", level - 1).repeat(9);
        bomb.push_str(&format!("k{level}: &a{level} [{alias}]\n"));
    }
    refused(bomb, "error[too-many-nodes]");
}

#[test]
fn deep_nesting_of_every_kind() {
    refused("[".repeat(10_000), "error[too-deep]");
    refused(format!("a: {}", "{a: ".repeat(10_000)), "error[too-deep]");
    refused("- ".repeat(10_000), "error[too-deep]");
    refused("? ".repeat(10_000), "error[");
    let indented: String = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    refused(indented, "error[too-deep]");
    refused("[".repeat(3_000_000), "error[too-deep]");
}

#[test]
fn huge_files() {
    let workspace = Workspace::new();
    workspace.write("stocks/hostile.yaml", "");
    let file =
        std::fs::File::options().write(true).open(workspace.path("stocks/hostile.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    let run = workspace.run(&["validate"]).ended(1);
    assert!(run.out.contains("error[file-too-large]: the file has more than 4 MiB"), "{}", run.out);
    refused("---\n".repeat(1_000_000), "error[too-many-documents]");
    refused("--- x\n".repeat(600_000), "error[too-many-documents]");
    refused("# only comments\n".repeat(250_000) + "a: 1\n", "error[unknown-key]");
}

#[test]
fn strange_bytes_and_keys() {
    refused("name: a\0b\n", "error[");
    refused(b"\xff\xfe\x00n".as_slice(), "error[not-utf8]");
    refused(format!("{}: 1\n", "k".repeat(1 << 20)), "error[");
    refused(format!("\"{}\": 1\n", "k".repeat(1 << 20)), "error[");
    refused(format!("? {}\n: 1\n", "k".repeat(1 << 20)), "error[unknown-key]");
    refused(
        with("remark: \"a\"", &format!("remark: {}", "长".repeat(1 << 20))),
        "error[remark-too-long]",
    );
    refused("[a]: 1\n", "error[yaml-syntax]: a key is a word");
    refused(
        "- 1\n",
        "error[wrong-type]: a stock document must be a mapping of fields, but this is a list",
    );
    refused("just words\n", "error[wrong-type]");
    refused("%YAML 9.9\n---\nname: a\n", "error[");
    refused("name: !evil a\n", "error[bad-tag]");
}

#[test]
fn merges_that_go_nowhere() {
    refused("a: &a\n  <<: *a\n", "error[bad-alias]");
    refused("<<: 3\n", "error[bad-merge]");
    refused("<<: [1]\n", "error[bad-merge]");
    refused("a: *nowhere\n", "error[yaml-syntax]");
    refused("<<: {a: 1}\n<<: {b: 1}\n", "error[duplicate-key]");
}

#[test]
fn numbers_that_programs_disagree_about() {
    for (number, help) in [
        ("1e999", ""),
        ("-0", "write 0"),
        ("0x10", "write 16"),
        ("1_000", "write 1000"),
        (".inf", ""),
        (".nan", ""),
        ("1e3", "write 1000"),
        ("0o17", ""),
        ("0123", "write 123"),
        ("99999999999999999999", ""),
        ("+0", "write 0"),
        ("1__0", ""),
        ("-.inf", ""),
    ] {
        let text = with("max_count: 1000", &format!("max_count: {number}"));
        refused(&text, "error[number-form]: `max_count` must be a whole number");
        refused(&text, help);
    }
    refused(with("max_count: 1000", "max_count: 1.5"), "error[wrong-type]");
    refused(with("\"200000001\"", "0200000001"), "quote it: \"0200000001\"");
    refused(with("\"200000001\"", "1e5"), "quote it: \"1e5\"");
}

#[test]
fn many_problems_do_not_take_quadratic_time() {
    let workspace = Workspace::new();
    for file in 0..300 {
        let text = Stock::default().yaml(&format!("s{file}")).replace("NONE", "NOWHERE");
        workspace.write(&format!("stocks/s{file}.yaml"), text);
    }
    let run = workspace.run(&["validate"]).ended(1);
    assert!(run.out.ends_with("300 errors; `couponctl explain RULE` says more about a rule\n"));
}

#[test]
fn names_and_texts_cannot_reach_the_terminal_raw() {
    let workspace = Workspace::new();
    let text = with("remark: \"a\"", "remark: \"\\e[31mred\\u202Eder\"");
    workspace.write("stocks/a.yaml", &text);
    let plan = workspace.run(&["plan"]).ended(0);
    assert!(!plan.out.contains('\u{1b}') && !plan.out.contains('\u{202e}'), "{}", plan.out);
    assert!(plan.out.contains("\\u{1b}[31mred\\u{202e}der"), "{}", plan.out);
    workspace.write("stocks/\u{1b}[31m.yaml", "x: \u{202e}1\n");
    let run = workspace.run(&["validate"]).ended(1);
    assert!(!run.out.contains('\u{1b}') && !run.out.contains('\u{202e}'), "{}", run.out);
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_circles_or_out_are_told() {
    let workspace = Workspace::with(&["a"]);
    std::os::unix::fs::symlink(workspace.path("stocks"), workspace.path("stocks/loop")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", workspace.path("stocks/out.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", workspace.path("stocks/dangling.yaml")).unwrap();
    let run = workspace.run(&["validate"]).ended(1);
    assert!(run.out.contains("this link leads out of the workspace"), "{}", run.out);
    assert!(run.out.contains("this cannot be read"), "{}", run.out);
    assert!(run.out.contains("a link to a folder"), "{}", run.out);
    assert!(run.out.contains("3 errors"), "{}", run.out);
}
