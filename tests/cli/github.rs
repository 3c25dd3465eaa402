//! The scripts of the GitHub action, run for real: a bare repository in place of GitHub, the sandbox
//! in place of the API.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::server::Server;
use crate::workspace::{Run, Stock, locked, run};

/// A repository that is pushed to, and an API.
struct Hub {
    folder: TempDir,
    server: Server,
}

/// A machine that runs one workflow: a clone, and the files of its steps.
struct Runner {
    clone: PathBuf,
    temp: PathBuf,
    environment: Vec<(String, String)>,
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    // As on a fresh machine, with nobody's settings.
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git.args(["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]);
    let run = run_in(git, folder, arguments);
    assert_eq!(run.status, 0, "git {arguments:?}: {}{}", run.out, run.err);
    run.out.trim().to_owned()
}

fn run_in(mut command: Command, folder: &Path, arguments: &[&str]) -> Run {
    command.args(arguments).current_dir(folder);
    run(command)
}

impl Hub {
    /// A repository whose branch `main` asks for stocks of these names.
    fn new(flags: &[&str], names: &[&str]) -> Self {
        let hub = Self { folder: TempDir::new().unwrap(), server: Server::start(flags) };
        fs::create_dir(hub.origin()).unwrap();
        git(&hub.origin(), &["init", "--quiet", "--bare", "--initial-branch=main"]);
        let seed = hub.clone("seed");
        git(&seed, &["checkout", "--quiet", "-b", "main"]);
        fs::write(seed.join("couponctl.yaml"), "brand_id: \"120344\"\napi: { max_attempts: 1 }\n")
            .unwrap();
        fs::write(seed.join(".gitignore"), "/.couponctl/\n/couponctl.lock.journal*\n").unwrap();
        Hub::commit_stocks(&seed, names);
        git(&seed, &["push", "--quiet", "origin", "main"]);
        hub
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("origin.git")
    }

    fn clone(&self, name: &str) -> PathBuf {
        git(self.folder.path(), &["clone", "--quiet", "origin.git", name]);
        self.folder.path().join(name)
    }

    fn commit_stocks(clone: &Path, names: &[&str]) {
        fs::create_dir_all(clone.join("stocks")).unwrap();
        for name in names {
            // One whose product coupon the API does not know.
            let coupon = if name.ends_with("404") { "200000404" } else { "200000001" };
            let stock = Stock { coupon, ..Stock::default() };
            fs::write(clone.join(format!("stocks/{name}.yaml")), stock.yaml(name)).unwrap();
        }
        git(clone, &["add", "--all"]);
        git(clone, &["commit", "--quiet", "--message", &format!("Ask for {}", names.join(", "))]);
    }

    /// Merges a change into `main`, as a person does.
    fn merge(&self, names: &[&str]) {
        let clone = self.clone(&format!("merge-{}", names.join("-")));
        Self::commit_stocks(&clone, names);
        git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    }

    /// A machine with a branch checked out.
    fn runner(&self, name: &str, branch: &str) -> Runner {
        let clone = self.clone(name);
        git(&clone, &["checkout", "--quiet", branch]);
        let temp = self.folder.path().join(format!("{name}-temp"));
        fs::create_dir(&temp).unwrap();
        Runner { clone, temp, environment: self.server.environment.clone() }
    }

    fn show(&self, what: &str) -> String {
        git(&self.origin(), &["show", what])
    }

    /// Stock ids by name, from the lock on `main`.
    fn locked(&self) -> BTreeMap<String, String> {
        locked(&self.show("main:couponctl.lock"))
    }

    /// Each stock was made once, and the lock on `main` knows it.
    fn assert_whole(&self, names: &[&str]) {
        let locked = self.locked();
        assert_eq!(locked.keys().map(String::as_str).collect::<Vec<_>>(), names);
        let mut known: Vec<_> = locked.into_values().collect();
        known.sort();
        assert_eq!(self.server.stocks().into_keys().collect::<Vec<_>>(), known);
    }
}

impl Runner {
    fn command(&self, script: &str, plan_file: &str) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/actions/couponctl");
        let mut bash = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUPONCTL_")) {
            bash.env_remove(name);
        }
        bash.arg(scripts.join(script)).current_dir(&self.clone).stdin(Stdio::null());
        bash.envs(self.environment.iter().cloned());
        bash.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        bash.env("COUPONCTL", env!("CARGO_BIN_EXE_couponctl"))
            .env("WORKSPACE", ".")
            .env("PLAN_FILE", plan_file)
            .env("BRANCH", "main")
            .env("PUSH_PAUSE", "0")
            .env("GITHUB_RUN_ID", "77")
            .env("RUNNER_TEMP", &self.temp)
            .env("GITHUB_OUTPUT", self.temp.join("output"))
            .env("GITHUB_STEP_SUMMARY", self.temp.join("summary"));
        bash
    }

    fn plan(&self) -> Run {
        run(self.command("plan.sh", "plan.json"))
    }

    fn apply(&self) -> Run {
        run(self.command("apply.sh", ""))
    }

    /// The outputs of the steps so far.
    fn outputs(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.temp.join("output")).unwrap();
        let mut outputs = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some((name, end)) = line.split_once("<<") {
                let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
                outputs.insert(name.to_owned(), value.join("\n"));
            } else {
                let (name, value) = line.split_once('=').unwrap();
                outputs.insert(name.to_owned(), value.to_owned());
            }
        }
        outputs
    }
}

#[test]
fn a_pull_request_is_planned_merged_applied_and_the_lock_pushed() {
    let hub = Hub::new(&[], &["a"]);
    // A branch, and its plan.
    let branch = hub.clone("branch");
    git(&branch, &["checkout", "--quiet", "-b", "spring"]);
    Hub::commit_stocks(&branch, &["b"]);
    git(&branch, &["push", "--quiet", "origin", "spring"]);
    let review = hub.runner("review", "spring");
    review.plan().ended(0);
    let outputs = review.outputs();
    assert_eq!((outputs["changes"].as_str(), outputs["exit-code"].as_str()), ("true", "2"));
    assert!(outputs["comment"].starts_with("<!-- couponctl plan -->\n### couponctl: 2 to create"));
    assert_eq!(
        fs::read_to_string(review.temp.join("summary")).unwrap().trim(),
        outputs["comment"].trim()
    );
    assert!(hub.server.stocks().is_empty(), "a plan makes nothing");

    // Merged, planned once more where it was merged, and exactly that applied.
    git(&branch, &["checkout", "--quiet", "main"]);
    git(&branch, &["merge", "--quiet", "--no-ff", "--message", "Merge spring", "spring"]);
    git(&branch, &["push", "--quiet", "origin", "main"]);
    let main = hub.runner("main", "main");
    main.plan().ended(0);
    assert_eq!(main.outputs()["plan-file"], "plan.json");
    let done = run(main.command("apply.sh", "plan.json")).ended(0);
    assert!(done.out.contains("Apply: 2 created"), "{}", done.out);
    hub.assert_whole(&["a", "b"]);
    assert_eq!(main.outputs()["lock-commit"], git(&hub.origin(), &["rev-parse", "main"]));
    assert_eq!(
        git(&hub.origin(), &["show", "--name-only", "--format=%s", "main"]),
        "Record what couponctl applied [skip ci]\n\ncouponctl.lock"
    );

    // The next run has nothing to do, and commits nothing.
    let next = hub.runner("next", "main");
    next.plan().ended(0);
    assert_eq!(next.outputs()["changes"], "false");
    next.apply().ended(0);
    assert!(!next.outputs().contains_key("lock-commit"));
    hub.assert_whole(&["a", "b"]);
}

#[test]
fn a_pull_request_with_a_problem_fails_with_annotations_and_a_comment_that_says_why() {
    let hub = Hub::new(&[], &["a"]);
    let branch = hub.clone("branch");
    let wrong = Stock::default().yaml("b").replace("NONE", "SOME");
    fs::write(branch.join("stocks/b.yaml"), wrong).unwrap();
    git(&branch, &["add", "--all"]);
    git(&branch, &["commit", "--quiet", "--message", "Wrong"]);
    git(&branch, &["push", "--quiet", "origin", "HEAD:wrong"]);
    let review = hub.runner("review", "wrong");
    let failed = review.plan().ended(1);
    assert!(failed.out.contains("::error file=stocks/b.yaml,line=18,"), "{}", failed.out);
    let outputs = review.outputs();
    assert!(outputs["comment"].contains("❌ couponctl: there is no plan"), "{outputs:?}");
    assert_eq!((outputs["plan-file"].as_str(), outputs["changes"].as_str()), ("", "false"));
}

#[test]
fn two_merges_that_are_applied_at_once_end_in_one_lock_with_each_stock_once() {
    for round in 0..3 {
        let hub = Hub::new(&["--latency", "50ms"], &["a"]);
        hub.merge(&["b"]);
        let first = hub.runner("first", "main");
        hub.merge(&["c", "d"]);
        let second = hub.runner("second", "main");
        let start = |runner: &Runner| -> Child {
            let mut bash = runner.command("apply.sh", "");
            bash.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [start(&first), start(&second)];
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {said}");
        }
        hub.assert_whole(&["a", "b", "c", "d"]);
        let clone = hub.clone("check");
        let mut check = Command::new(env!("CARGO_BIN_EXE_couponctl"));
        check.args(["lock", "check"]);
        run_in(check, &clone, &[]).ended(0);
    }
}

#[test]
fn what_was_made_is_pushed_though_another_stock_failed() {
    let hub = Hub::new(&[], &["a", "b404", "c"]);
    let main = hub.runner("main", "main");
    let failed = main.apply().ended(1);
    assert!(
        failed.out.contains("Apply: 2 created, 0 replaced, 0 renamed, 1 failed."),
        "{}",
        failed.out
    );
    assert_eq!(main.outputs()["exit-code"], "1");
    hub.assert_whole(&["a", "c"]);
}

#[test]
fn a_lock_that_may_not_be_pushed_to_the_branch_is_rescued_on_another() {
    let hub = Hub::new(&[], &["a"]);
    let hook = hub.origin().join("hooks/update");
    fs::write(&hook, "#!/bin/sh\n[ \"$1\" != refs/heads/main ]\n").unwrap();
    let mut chmod = Command::new("chmod");
    chmod.arg("+x").arg(&hook);
    run(chmod).ended(0);
    let main = hub.runner("main", "main");
    let failed = main.apply().ended(1);
    assert!(
        failed
            .out
            .contains("It is on the branch couponctl-lock-77-1: merge that before the next apply."),
        "{}",
        failed.out
    );
    let lock = hub.show("couponctl-lock-77-1:couponctl.lock");
    assert_eq!(
        locked(&lock).into_values().collect::<Vec<_>>(),
        hub.server.stocks().into_keys().collect::<Vec<_>>()
    );
}

#[test]
fn what_else_changed_in_the_checkout_does_not_keep_the_lock_from_being_pushed() {
    let hub = Hub::new(&[], &["a"]);
    let main = hub.runner("main", "main");
    hub.merge(&["b"]);
    // As a step before this one may have left them.
    fs::write(main.clone.join("couponctl.yaml"), "brand_id: \"120344\"\n").unwrap();
    fs::write(main.clone.join(".gitignore"), "*.lock\n").unwrap();
    main.apply().ended(0);
    hub.assert_whole(&["a"]);
    assert_eq!(fs::read_to_string(main.clone.join(".gitignore")).unwrap(), "*.lock\n");
}

#[test]
fn a_lock_that_cannot_be_committed_or_pushed_at_all_is_printed() {
    let hub = Hub::new(&[], &["a"]);
    let main = hub.runner("main", "main");
    fs::write(main.clone.join(".git/index.lock"), "").unwrap();
    let failed = main.apply().ended(1);
    assert!(failed.out.contains("::error::The lock could not be staged."), "{}", failed.out);
    let id = hub.server.stocks().into_keys().next().unwrap();
    assert!(failed.out.contains(&format!("\"stock_id\":\"{id}\"")), "{}", failed.out);
}

#[test]
fn texts_of_a_pull_request_are_no_commands_to_the_runner() {
    let hub = Hub::new(&[], &[]);
    let clone = hub.clone("evil");
    let stock = Stock { remark: "##[error]x".into(), ..Stock::default() };
    let yaml = stock.yaml("a").replace("全场可用", "\"x\\n::error::pwn\\n::stop-commands::pwn\"");
    fs::create_dir_all(clone.join("stocks")).unwrap();
    fs::write(clone.join("stocks/a.yaml"), &yaml).unwrap();
    fs::write(
        clone.join("stocks/b.yaml"),
        yaml.replace("store_scope: NONE", "store_scope: '::add-mask::x'"),
    )
    .unwrap();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "--quiet", "--message", "Evil"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    let main = hub.runner("main", "main");
    let obeyed = |run: &Run| -> Vec<String> {
        // As the runner reads the two streams: between a stop and its own word, nothing is obeyed.
        let mut stop: Option<String> = None;
        let mut obeyed = Vec::new();
        for line in run.out.lines().map(str::trim) {
            if let Some(word) = line.strip_prefix("::stop-commands::").filter(|_| stop.is_none()) {
                stop = Some(format!("::{word}::"));
            } else if stop.as_deref() == Some(line) {
                stop = None;
            } else if stop.is_none() && (line.starts_with("::") || line.contains("##[")) {
                obeyed.push(line.to_owned());
            }
        }
        assert_eq!(stop, None, "what follows is obeyed again");
        obeyed
    };
    let plan = main.plan().ended(1);
    let obeyed_in_plan = obeyed(&plan);
    assert!(obeyed_in_plan.iter().all(|line| line.starts_with("::error file=stocks/b.yaml,")));
    assert_eq!(obeyed_in_plan.len(), 1, "{}", plan.out);
    fs::remove_file(main.clone.join("stocks/b.yaml")).unwrap();
    let apply = main.apply().ended(0);
    assert!(apply.out.contains("##[error]x"), "{}", apply.out);
    assert_eq!(obeyed(&apply), Vec::<String>::new());
}

#[test]
fn a_request_of_which_nothing_is_known_is_handed_to_the_next_machine_and_settled_there() {
    let mut hub = Hub::new(&["--fault", "drop-after=1"], &["a"]);
    hub.runner("first", "main").apply().ended(1);
    assert_eq!(hub.server.stocks().len(), 1, "made, though no answer came");
    assert!(hub.show("main:couponctl.lock.journal").contains("intent"));
    // By then, the file asks for something else.
    hub.server.restart(&[]);
    let clone = hub.clone("edit");
    fs::write(clone.join("stocks/a.yaml"), Stock { max_count: 9, ..Stock::default() }.yaml("a"))
        .unwrap();
    git(&clone, &["commit", "--quiet", "--all", "--message", "Other"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    let second = hub.runner("second", "main");
    let refused = second.apply().ended(1);
    assert!(refused.err.contains("--allow-replace"), "the stock is known now: {}", refused.err);
    hub.assert_whole(&["a"]);
    let files = git(&hub.origin(), &["ls-tree", "--name-only", "main"]);
    assert!(!files.contains("journal"), "{files}");
}

#[test]
fn a_run_that_is_cancelled_pushes_what_it_made() {
    let names: Vec<_> = (0..12).map(|index| format!("s{index:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let hub = Hub::new(&["--latency", "600ms"], &names);
    let main = hub.runner("main", "main");
    let mut bash = main.command("apply.sh", "");
    let mut child = bash.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while hub.server.stocks().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    crate::signals::signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let made = hub.server.stocks();
    assert!(!made.is_empty());
    let mut known: Vec<_> = hub.locked().into_values().collect();
    known.sort();
    assert_eq!(made.into_keys().collect::<Vec<_>>(), known);
}
