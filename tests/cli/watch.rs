//! `couponctl watch`: after any edits, what it says is what `plan` says at that moment.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::signals::signal;
use crate::workspace::{Stock, Workspace};

/// Longest that anything is waited for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A watch that reports in JSON.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    fn start(workspace: &Workspace, more: &[&str]) -> Self {
        Self::spawn(workspace.command(&[&["watch", "--format", "json"], more].concat()))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Self { child, lines }
    }

    fn event_within(&self, patience: Duration) -> Option<Value> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap()),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the watch ended"),
        }
    }

    /// The next event that is right; those before it may tell of states in between.
    #[track_caller]
    fn until(&self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Some(event) = self.event_within(end.saturating_duration_since(Instant::now())) {
            if right(&event) {
                return event;
            }
            seen.push(event.to_string());
        }
        panic!("waited in vain for {what}; seen:\n{}", seen.join("\n"));
    }

    #[track_caller]
    fn until_actions(&self, wanted: &[(&str, &str)]) -> Value {
        self.until(&format!("{wanted:?}"), |event| actions(event) == owned(wanted))
    }
}

/// What `plan` says now; null when it finds errors.
fn planned(workspace: &Workspace, more: &[&str]) -> Value {
    let run = workspace.run(&[&["plan", "--format", "json"], more].concat());
    serde_json::from_str(&run.out).unwrap_or(Value::Null)
}

fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn actions(event: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let changes = event["plan"]["changes"].as_array();
    changes.map_or(Vec::new(), |changes| {
        changes.iter().map(|change| (text(&change["action"]), text(&change["name"]))).collect()
    })
}

fn rules(event: &Value) -> Vec<&str> {
    event["problems"].as_array().unwrap().iter().map(|p| p["rule"].as_str().unwrap()).collect()
}

/// Every way in which a workspace changes; it must follow each.
fn follows_everything(more: &[&str]) {
    let workspace = Workspace::with(&["a", "b"]);
    let write = |file: &str, name: &str, max_count| {
        workspace.write(file, Stock { max_count, ..Stock::default() }.yaml(name));
    };
    let watch = Watch::start(&workspace, more);
    let first = watch.until_actions(&[("create", "a"), ("create", "b")]);
    assert_eq!(first["changed"], serde_json::json!([]), "planned before any change");

    // Added, in folders that were not there; changed; removed.
    write("stocks/deep/er/c.yaml", "c", 1);
    let event = watch.until_actions(&[("create", "a"), ("create", "b"), ("create", "c")]);
    assert_eq!(event["changed"], serde_json::json!(["stocks/deep/er/c.yaml"]));
    write("stocks/a.yaml", "a", 7);
    let max_count = |event: &Value, index: usize| {
        event["plan"]["changes"][index]["after"]["stock_send_rule"]["max_count"].clone()
    };
    watch.until("a with 7 coupons", |event| max_count(event, 0) == 7);
    workspace.remove("stocks/b.yaml");
    watch.until_actions(&[("create", "a"), ("create", "c")]);

    // A folder moved, and a file changed where it is now.
    fs::rename(workspace.path("stocks/deep"), workspace.path("stocks/moved")).unwrap();
    watch.until("its new place", |event| {
        event["plan"]["changes"][1]["file"] == "stocks/moved/er/c.yaml"
    });
    write("stocks/moved/er/c.yaml", "c", 8);
    watch.until("c with 8 coupons", |event| max_count(event, 1) == 8);
    fs::remove_dir_all(workspace.path("stocks/moved")).unwrap();
    watch.until_actions(&[("create", "a")]);

    // Saved as editors do: another file in its place.
    write("stocks/a.yaml.tmp", "a", 9);
    fs::rename(workspace.path("stocks/a.yaml.tmp"), workspace.path("stocks/a.yaml")).unwrap();
    watch.until("a with 9 coupons", |event| max_count(event, 0) == 9);
    // And the old one out of its way first.
    fs::rename(workspace.path("stocks/a.yaml"), workspace.path("stocks/a.yaml~")).unwrap();
    write("stocks/a.yaml", "a", 10);
    watch.until("a with 10 coupons", |event| max_count(event, 0) == 10);

    // The settings, also when they lead elsewhere or are wrong for a while; what git ignores.
    workspace.write("couponctl.yaml", "brand_id: \"7\"\nstocks: [\"*/other/*.yaml\"]\n");
    watch.until("no stocks", |event| actions(event).is_empty() && event["plan"]["brand_id"] == "7");
    write("coupons/other/o.yaml", "o", 1);
    watch.until_actions(&[("create", "o")]);
    workspace.write("couponctl.yaml", "brand: \"120344\"\n");
    watch.until("an error", |event| event["error"].as_str().is_some_and(|e| e.contains("brand")));
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\n");
    watch.until_actions(&[("create", "a")]);
    workspace.write(".gitignore", "stocks/a.yaml\n");
    watch.until_actions(&[]);
    workspace.remove(".gitignore");
    watch.until_actions(&[("create", "a")]);

    // The lock.
    workspace.write("couponctl.lock", "<<<<<<< ours\n");
    watch
        .until("an error", |event| event["error"].as_str().is_some_and(|e| e.contains("conflict")));
    workspace.remove("couponctl.lock");
    watch.until_actions(&[("create", "a")]);
    // The whole folder gone, and another one in its place.
    fs::remove_dir_all(workspace.path("stocks")).unwrap();
    watch.until_actions(&[]);
    write("stocks/new/n.yaml", "n", 1);
    watch.until_actions(&[("create", "n")]);
    write("stocks/new/n.yaml", "n", 2);
    let event = watch.until("n with 2 coupons", |event| max_count(event, 0) == 2);
    assert_eq!(event["plan"], planned(&workspace, &[]));
}

#[test]
fn every_kind_of_change_is_followed() {
    follows_everything(&[]);
}

#[test]
fn every_kind_of_change_is_followed_by_looking_too() {
    follows_everything(&["--poll", "0.2"]);
}

#[test]
fn after_any_edits_it_says_what_plan_says() {
    let workspace = Workspace::with(&["s0", "s1"]);
    let watch = Watch::start(&workspace, &["--sandbox", "--debounce", "30"]);
    // A generator of its own, so that a failure can be repeated.
    let mut state = 7_u32;
    let mut dice = |sides: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % sides
    };
    for _ in 0..25 {
        for _ in 0..=dice(3) {
            let file = format!("stocks/{}s{}.yaml", ["", "x/", "y/z/"][dice(3) as usize], dice(3));
            let names = [dice(4), dice(4)].map(|name| format!("s{name}"));
            let max_count = u64::from(dice(3)) + 1;
            let yaml = |name: &str| Stock { max_count, ..Stock::default() }.yaml(name);
            match dice(7) {
                0 if workspace.exists(&file) => workspace.remove(&file),
                1 if workspace.exists("stocks/x") => {
                    // Where there is one already, it stays.
                    let _ = fs::rename(workspace.path("stocks/x"), workspace.path("stocks/w"));
                }
                2 => workspace.write(&file, yaml(&names[0]).replace("store_scope", "scope")),
                3 => workspace.write(&file, names.map(|name| yaml(&name)).join("---\n")),
                4 => {
                    workspace.run(&["apply", "--sandbox", "--auto-approve", "--allow-replace"]);
                }
                _ => workspace.write(&file, yaml(&names[0])),
            }
        }
        let run = workspace.run(&["plan", "--sandbox", "--format", "json"]);
        let plan: Value = serde_json::from_str(&run.out).unwrap_or(Value::Null);
        // The edits may have come to what was shown before; a save of a file is always told.
        workspace.write("stocks/last.yaml", "");
        watch
            .until(&format!("what plan says:\n{plan}\n{}", run.err), |event| event["plan"] == plan);
    }
}

#[test]
fn a_half_written_file_flashes_no_error() {
    let workspace = Workspace::with(&["a", "b"]);
    let watch = Watch::start(&workspace, &[]);
    watch.until_actions(&[("create", "a"), ("create", "b")]);
    let whole = Stock { max_count: 5, ..Stock::default() }.yaml("a");
    let (first, _) = whole.split_at(whole.len() / 2);
    // Longer than the debounce apart.
    workspace.write("stocks/a.yaml", "");
    std::thread::sleep(Duration::from_millis(180));
    workspace.write("stocks/a.yaml", first);
    std::thread::sleep(Duration::from_millis(180));
    workspace.write("stocks/a.yaml", &whole);
    let event = watch.event_within(PATIENCE).unwrap();
    assert_eq!(actions(&event), owned(&[("create", "a"), ("create", "b")]));
    assert_eq!(event["plan"]["changes"][0]["after"]["stock_send_rule"]["max_count"], 5);
    // Left half written, it is told.
    workspace.write("stocks/a.yaml", first);
    let event = watch.event_within(PATIENCE).unwrap();
    assert!(!rules(&event).is_empty() && event["plan"].is_null(), "{event}");
}

#[test]
fn many_files_at_once_are_one_change() {
    let workspace = Workspace::new();
    let watch = Watch::start(&workspace, &[]);
    watch.until_actions(&[]);
    for name in 0..200 {
        let yaml = Stock::default().yaml(&format!("s{name}"));
        workspace.write(&format!("elsewhere/s{name}.yaml"), yaml);
    }
    fs::rename(workspace.path("elsewhere"), workspace.path("stocks")).unwrap();
    let event = watch.event_within(PATIENCE).unwrap();
    assert_eq!(actions(&event).len(), 200);
    assert_eq!(event["changed"].as_array().unwrap().len(), 200);
    // A tool's files are none of its business.
    workspace.write(".git/index", "x");
    workspace.write("stocks/.a.yaml.swp", "x");
    workspace.write("notes.txt", "x");
    assert_eq!(watch.event_within(Duration::from_millis(700)), None);
}

#[test]
fn it_applies_each_valid_plan_and_nothing_else() {
    let workspace = Workspace::with(&["a"]);
    let options = ["--sandbox", "--apply", "--auto-approve"];
    let watch = Watch::start(&workspace, &options);
    let lock = ".couponctl/sandbox/couponctl.lock";
    let nothing_left =
        |event: &Value| event["event"] == "plan" && event["plan"]["summary"]["create"] == 0;
    watch.until("a made", |event| event["event"] == "created" && event["name"] == "a");
    watch.until("nothing left", nothing_left);
    let first = workspace.locked(lock);
    assert_eq!(first.len(), 1);

    // A problem in one file stops all.
    workspace.write("stocks/wrong.yaml", Stock::default().yaml("wrong").replace("NONE", "SOME"));
    workspace.stock("b", &Stock::default());
    watch.until("the problem", |event| event["event"] == "plan" && event["plan"].is_null());
    // So does a stock that would be replaced.
    workspace.remove("stocks/wrong.yaml");
    workspace.stock("a", &Stock { max_count: 3, ..Stock::default() });
    watch.until_actions(&[("replace", "a"), ("create", "b")]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(workspace.locked(lock), first, "nothing was applied");
    // Mended, the rest is applied.
    workspace.stock("a", &Stock::default());
    watch.until("b made", |event| event["event"] == "created" && event["name"] == "b");
    watch.until("nothing left", nothing_left);
    assert_eq!(workspace.locked(lock).len(), 2);
    assert!(!workspace.exists("couponctl.lock"), "the sandbox's stocks are not the brand's");
    drop(watch);

    // The sandbox lives on: what it made is there for the next watch.
    let watch = Watch::start(&workspace, &options);
    watch.until("nothing to do", |event| event["plan"]["summary"]["unchanged"] == 2);
    assert_eq!(watch.event_within(Duration::from_millis(500)), None);
}

#[test]
fn a_lock_that_goes_is_not_taken_for_one_that_holds_nothing() {
    let workspace = Workspace::with(&["a"]);
    let watch = Watch::start(&workspace, &["--sandbox", "--apply", "--auto-approve"]);
    let lock = ".couponctl/sandbox/couponctl.lock";
    let settled = |event: &Value| event["plan"]["summary"]["unchanged"] == 1;
    watch.until("nothing left", settled);
    let kept = workspace.read(lock);
    workspace.remove(lock);
    // By now under another name: from here, it would be another stock.
    workspace.write("stocks/a.yaml", Stock { remark: "a".into(), ..Stock::default() }.yaml("b"));
    let gone = watch.until("the lock missed", |event| {
        event["error"].as_str().is_some_and(|error| error.contains("couponctl.lock is gone"))
    });
    assert!(gone["plan"].is_null());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!workspace.exists(lock), "nothing was applied");
    workspace.write(lock, &kept);
    watch.until("the rename", |event| actions(event) == owned(&[("rename", "b")]));
    watch.until("nothing left", settled);
    assert_eq!(
        workspace.locked(lock).into_values().collect::<Vec<_>>(),
        crate::workspace::locked(&kept).into_values().collect::<Vec<_>>()
    );
}

#[test]
fn an_apply_that_fails_is_tried_again_when_something_changes_and_not_in_a_hurry() {
    let workspace = Workspace::with(&["a"]);
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\napi: { max_attempts: 1 }\n");
    let options = ["--sandbox", "--apply", "--auto-approve", "--fault", "error-before=1"];
    let watch = Watch::start(&workspace, &options);
    let failed = |event: &Value| event["event"] == "failed";
    watch.until("a failure", failed);
    watch.until("the plan after it", |event| event["event"] == "plan");
    assert_eq!(watch.event_within(Duration::from_secs(2)), None, "no second try by itself yet");
    workspace.stock("b", &Stock::default());
    watch.until("another failure", failed);
    drop(watch);
    // What the failures left open is settled: one stock each.
    let run = workspace.apply(&["--sandbox"]).ended(0);
    assert!(run.last_line().contains("2 created"), "{}", run.out);
    assert_eq!(workspace.locked(".couponctl/sandbox/couponctl.lock").len(), 2);
}

#[test]
fn applying_by_itself_is_asked_for_in_full() {
    let workspace = Workspace::with(&["a"]);
    let run = workspace.run(&["watch", "--sandbox", "--apply"]).ended(1);
    assert!(run.err.contains("--auto-approve"), "{}", run.err);
    let run = workspace.run(&["watch", "--poll=0"]).ended(1);
    assert!(run.err.contains("0.1 to 86400 seconds"), "{}", run.err);
}

#[test]
fn signals_end_it_and_an_apply_in_flight_is_recorded() {
    for (name, status) in [("-INT", 130), ("-TERM", 143)] {
        let workspace = Workspace::with(&["a"]);
        let mut watch = Watch::start(&workspace, &[]);
        watch.until_actions(&[("create", "a")]);
        signal(&watch.child, name);
        assert_eq!(watch.child.wait().unwrap().code(), Some(status));
    }
    let workspace = Workspace::with(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let options = ["--sandbox", "--apply", "--auto-approve", "--fault", "slow=1"];
    let mut watch = Watch::start(&workspace, &options);
    while !fs::read_to_string(workspace.path(".couponctl/sandbox/couponctl.lock.journal"))
        .is_ok_and(|journal| journal.contains("intent"))
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&watch.child, "-INT");
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
    let made = fs::read_to_string(workspace.path(".couponctl/sandbox/state.jsonl")).unwrap();
    for id in workspace.locked(".couponctl/sandbox/couponctl.lock").values() {
        assert!(made.contains(id.as_str()), "{id}");
    }
    workspace.apply(&["--sandbox"]).ended(0);
    assert_eq!(workspace.locked(".couponctl/sandbox/couponctl.lock").len(), 8);
}

#[test]
fn without_a_terminal_it_is_a_stream_of_lines() {
    let workspace = Workspace::with(&["a"]);
    let mut child = workspace.command(&["watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |end: &str| -> Vec<String> {
        let mut lines = Vec::new();
        for line in out.by_ref() {
            lines.push(line.unwrap());
            if lines.last().is_some_and(|line| line.contains(end)) {
                break;
            }
        }
        lines
    };
    let first = until("Plan:");
    assert!(first[0].ends_with(" 1 file"), "{first:?}");
    assert_eq!(first[1], "  + create a (stocks/a.yaml)");
    assert_eq!(
        first.last().unwrap(),
        "Plan: 1 to create, 0 to update, 0 to replace, 0 to rename, 0 orphaned, 0 unchanged."
    );
    workspace.stock("a", &Stock { end: "2098-01-01", ..Stock::default() });
    let second = until("nothing is planned");
    assert!(second[0].ends_with(" changed: stocks/a.yaml"), "{second:?}");
    assert!(second[1].starts_with("error[time-invalid]"), "{second:?}");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
