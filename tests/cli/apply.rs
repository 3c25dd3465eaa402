use serde_json::Value;

use crate::server::{self, Server};
use crate::workspace::{Stock, Workspace};

/// A workspace that talks to a sandbox in another process.
fn connected(names: &[&str], flags: &[&str]) -> (Workspace, Server) {
    let mut workspace = Workspace::with(names);
    let server = Server::start(flags);
    workspace.environment(&server.environment);
    (workspace, server)
}

/// Settings that let retries be quick.
fn hurry(workspace: &Workspace, attempts: u32, seconds: u32) {
    workspace.write(
        "couponctl.yaml",
        format!("brand_id: \"120344\"\napi: {{ max_attempts: {attempts}, retry_seconds: {seconds}, timeout_seconds: 2 }}\n"),
    );
}

#[test]
fn missing_stocks_are_made_and_recorded_and_a_second_apply_changes_nothing() {
    let (workspace, server) = connected(&["a", "b", "c"], &[]);
    let applied = workspace.apply(&[]).ended(0);
    assert_eq!(applied.last_line(), "Apply: 3 created, 0 replaced, 0 renamed, 0 failed.");
    let locked = workspace.locked("couponctl.lock");
    let made: Vec<_> = server.stocks().into_keys().collect();
    assert_eq!(locked.len(), 3);
    let mut ids: Vec<_> = locked.into_values().collect();
    ids.sort();
    assert_eq!(ids, made);
    assert!(!workspace.exists("couponctl.lock.journal"));
    let before = workspace.read("couponctl.lock");
    let again = workspace.apply(&[]).ended(0);
    assert!(again.err.contains("Nothing to do"));
    assert_eq!(workspace.read("couponctl.lock"), before);
    assert_eq!(server.stocks().len(), 3);
}

#[test]
fn the_lock_has_one_line_an_entry_in_the_order_of_the_contract() {
    let (workspace, _server) = connected(&["b", "a"], &[]);
    workspace.apply(&[]).ended(0);
    let lock = workspace.read("couponctl.lock");
    let lines: Vec<_> = lock.lines().collect();
    assert_eq!(lines[0], "{\"version\":1,\"brand_id\":\"120344\",\"stocks\":{");
    assert!(
        lines[1]
            .starts_with("\"a\":{\"product_coupon_id\":\"200000001\",\"stock_id\":\"10000000130")
    );
    assert!(lines[1].contains("\",\"out_request_no\":\"cc1-"));
    assert!(lines[1].ends_with("}},"), "{}", lines[1]);
    assert!(lines[2].starts_with("\"b\":{") && lines[2].ends_with("}}"));
    assert_eq!(&lines[3..], ["}}"]);
    assert!(lock.ends_with("}}\n"));
}

#[test]
fn one_stocks_failure_does_not_stop_the_others() {
    let (workspace, server) = connected(&["a", "c"], &[]);
    workspace.stock("b", &Stock { coupon: "999404", ..Stock::default() });
    let applied = workspace.apply(&[]).ended(1);
    insta::with_settings!({filters => vec![(r"08[0-9A-F]+-", "[ID]-"), (r"10000000130\d\d", "[STOCK]")]}, {
        insta::assert_snapshot!(applied.out.split_once("Plan: ").unwrap().1);
    });
    assert_eq!(workspace.locked("couponctl.lock").len(), 2);
    assert_eq!(server.stocks().len(), 2);
}

#[test]
fn a_replace_needs_to_be_allowed_and_keeps_the_old_id() {
    let (workspace, server) = connected(&["a"], &[]);
    workspace.apply(&[]).ended(0);
    let old = workspace.locked("couponctl.lock")["a"].clone();
    workspace.stock("a", &Stock { max_count: 5000, ..Stock::default() });
    let refused = workspace.apply(&[]).ended(1);
    assert!(refused.err.contains("--allow-replace"), "{}", refused.err);
    assert_eq!(server.stocks().len(), 1);
    let applied = workspace.apply(&["--allow-replace"]).ended(0);
    assert_eq!(applied.last_line(), "Apply: 0 created, 1 replaced, 0 renamed, 0 failed.");
    let lock: Value = serde_json::from_str(&workspace.read("couponctl.lock")).unwrap();
    let entry = &lock["stocks"]["a"];
    assert_ne!(entry["stock_id"], old.as_str());
    assert_eq!(entry["superseded"][0]["stock_id"], old.as_str());
    // Back to the first content: the API gives back the first stock, and none is forgotten.
    workspace.stock("a", &Stock::default());
    let plan = workspace.run(&["plan"]).ended(0);
    assert!(plan.out.contains(&format!("the API gives back stock {old}")), "{}", plan.out);
    workspace.apply(&["--allow-replace"]).ended(0);
    let back: Value = serde_json::from_str(&workspace.read("couponctl.lock")).unwrap();
    assert_eq!(back["stocks"]["a"]["stock_id"], old.as_str());
    assert_eq!(back["stocks"]["a"]["superseded"][0]["stock_id"], entry["stock_id"]);
    assert_eq!(back["stocks"]["a"]["superseded"].as_array().unwrap().len(), 1);
    assert_eq!(server.stocks().len(), 2);
}

#[test]
fn without_a_terminal_nothing_is_sent_unless_approved() {
    let (workspace, server) = connected(&["a"], &[]);
    let refused = workspace.run(&["apply"]).ended(1);
    assert!(refused.err.contains("--auto-approve"), "{}", refused.err);
    assert!(server.stocks().is_empty());
}

#[test]
fn a_bad_network_makes_each_stock_exactly_once() {
    for fault in ["drop-before", "drop-after", "error-before", "error-after", "rate-limit"] {
        let flags = ["--fault", &format!("{fault}=0.4"), "--seed", "3"];
        let (workspace, server) = connected(&["a", "b", "c", "d"], &flags);
        hurry(&workspace, 40, 100);
        workspace.write(
            "couponctl.yaml",
            "brand_id: \"120344\"\napi: { max_attempts: 40, retry_seconds: 2 }\n",
        );
        let mut runs = 0;
        while workspace.apply(&[]).status != 0 {
            runs += 1;
            assert!(runs < 40, "{fault}");
        }
        assert_eq!(server.stocks().len(), 4, "{fault}");
        assert_eq!(workspace.locked("couponctl.lock").len(), 4, "{fault}");
    }
}

#[test]
fn an_answer_that_does_not_verify_records_nothing_and_the_stock_is_made_once_in_the_end() {
    for (fault, says) in [
        ("bad-signature", "not proven to come from WeChat Pay"),
        ("tampered-body", "not proven to come from WeChat Pay"),
        ("stale-timestamp", "is 600 s ago; 300 s or more are refused"),
        ("wrong-serial", "is signed with the key"),
        ("truncated-body", "CUT_OFF"),
    ] {
        let (workspace, mut server) = connected(&["a"], &["--fault", &format!("{fault}=1")]);
        hurry(&workspace, 2, 5);
        let failed = workspace.apply(&[]).ended(1);
        assert!(failed.out.contains(says), "{fault}: {}", failed.out);
        assert_eq!(workspace.locked_or_none(), None, "{fault}: nothing is recorded");
        let plan = workspace.run(&["plan"]).ended(0);
        assert!(plan.out.contains("1 request of an interrupted apply"), "{}", plan.out);
        server.restart(&[]);
        let mut healed = workspace;
        healed.environment(&server.environment);
        healed.apply(&[]).ended(0);
        assert_eq!(server.stocks().len(), 1, "{fault}");
        let ids: Vec<_> = healed.locked("couponctl.lock").into_values().collect();
        assert_eq!(ids, server.stocks().into_keys().collect::<Vec<_>>(), "{fault}");
    }
}

#[test]
fn already_exists_is_settled_by_finding_the_stock() {
    let (workspace, mut server) = connected(&["a", "b"], &["--fault", "drop-after=1"]);
    hurry(&workspace, 1, 5);
    workspace.apply(&[]).ended(1);
    assert_eq!(server.stocks().len(), 2, "made, but never answered");
    server.restart(&["--fault", "already-exists=1"]);
    let mut workspace = workspace;
    workspace.environment(&server.environment);
    let adopted = workspace.apply(&[]).ended(0);
    assert!(adopted.err.contains("a: existed already, adopted"), "{}", adopted.err);
    assert_eq!(server.stocks().len(), 2);
    assert_eq!(workspace.locked("couponctl.lock").len(), 2);
}

#[test]
fn already_exists_for_a_stock_that_the_lock_knows_gives_that_one_back() {
    let (workspace, mut server) = connected(&["a"], &[]);
    workspace.apply(&[]).ended(0);
    let first = workspace.locked("couponctl.lock")["a"].clone();
    workspace.stock("a", &Stock { max_count: 5000, ..Stock::default() });
    workspace.apply(&["--allow-replace"]).ended(0);
    workspace.stock("a", &Stock::default());
    server.restart(&["--fault", "already-exists=1"]);
    let mut workspace = workspace;
    workspace.environment(&server.environment);
    workspace.apply(&["--allow-replace"]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock")["a"], first);
    assert_eq!(server.stocks().len(), 2);
}

#[test]
fn several_stocks_alike_are_left_to_a_person_who_adopts_one() {
    let twin = Stock { remark: "twin".into(), ..Stock::default() };
    let (workspace, mut server) = connected(&[], &["--fault", "drop-after=1"]);
    hurry(&workspace, 1, 5);
    workspace.stock("a", &twin);
    workspace.stock("b", &twin);
    workspace.apply(&[]).ended(1);
    server.restart(&["--fault", "already-exists=1"]);
    let mut workspace = workspace;
    workspace.environment(&server.environment);
    let unclear = workspace.apply(&[]).ended(1);
    let ids: Vec<_> = server.stocks().into_keys().collect();
    assert_eq!(ids.len(), 2);
    for id in &ids {
        assert!(
            unclear.out.contains(&format!("{id}: twin, SENDING, 0 of 1000 handed out")),
            "{}",
            unclear.out
        );
    }
    assert!(unclear.out.contains("couponctl adopt a STOCK_ID"), "{}", unclear.out);
    workspace.run(&["adopt", "a", &ids[0]]).ended(0);
    let taken = workspace.run(&["adopt", "b", &ids[0]]).ended(1);
    assert!(taken.err.contains("is already recorded as `a`"), "{}", taken.err);
    // Now only one is left that can be b.
    workspace.apply(&[]).ended(0);
    let locked = workspace.locked("couponctl.lock");
    assert_eq!((&locked["a"], &locked["b"]), (&ids[0], &ids[1]));
    assert_eq!(server.stocks().len(), 2);
}

#[test]
fn adopt_compares_before_it_records() {
    let (workspace, server) = connected(&["a"], &[]);
    workspace.apply(&[]).ended(0);
    let id = server.stocks().into_keys().next().unwrap();
    workspace.remove("couponctl.lock");
    workspace.stock("a", &Stock { max_count: 7, ..Stock::default() });
    let refused = workspace.run(&["adopt", "a", &id]).ended(1);
    assert!(
        refused.err.contains("stock_send_rule.max_count: asked for 7, got 1000"),
        "{}",
        refused.err
    );
    assert!(!workspace.exists("couponctl.lock"));
    workspace.run(&["adopt", "a", &id, "--force"]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock")["a"], id);
    let missing = workspace.run(&["adopt", "a", "1"]).ended(1);
    assert!(missing.err.contains("404 NOT_FOUND"), "{}", missing.err);
    let unknown = workspace.run(&["adopt", "aa", &id]).ended(1);
    assert!(unknown.err.contains("no file asks for a stock named `aa`"), "{}", unknown.err);
}

#[test]
fn a_stock_that_is_dead_is_not_given_back() {
    let (workspace, server) = connected(&[], &[]);
    // Its end is in the past, so that the API answers with a stock that is STOPPED.
    let over = Stock { end: "2099-01-01T00:00:01+08:00", ..Stock::default() };
    workspace.stock("a", &over);
    let past = workspace.read("stocks/a.yaml").replace("2099", "2020");
    workspace.write("stocks/a.yaml", past);
    let refused = workspace.apply(&[]).ended(1);
    assert!(refused.out.contains("which is STOPPED; it is not recorded"), "{}", refused.out);
    assert!(refused.out.contains("raise `generation`"), "{}", refused.out);
    assert_eq!(workspace.locked_or_none(), None);
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn a_verified_answer_with_other_content_is_never_recorded_as_the_stock() {
    let (workspace, mut server) = connected(&["a"], &["--fault", "drop-after=1"]);
    hurry(&workspace, 1, 5);
    workspace.apply(&[]).ended(1);
    // As if the API had made something else of the request.
    let state = std::fs::read_to_string(server.state_file()).unwrap();
    let other = state.replace("\"max_count\":1000,", "\"max_count\":5000,");
    assert_ne!(other, state);
    server.restart_with(&other, &[]);
    let mut workspace = workspace;
    workspace.environment(&server.environment);
    let refused = workspace.apply(&[]).ended(1);
    for says in [
        "OTHER_CONTENT",
        "which is not what was asked; it is not recorded",
        "stock.stock_send_rule.max_count: asked for 1000, got 5000",
        "couponctl adopt a STOCK_ID",
    ] {
        assert!(refused.out.contains(says), "{says}: {}", refused.out);
    }
    assert_eq!(workspace.locked_or_none(), None);
    let id = server.stocks().into_keys().next().unwrap();
    workspace.run(&["adopt", "a", &id, "--force"]).ended(0);
    assert_eq!(workspace.locked("couponctl.lock")["a"], id);
    assert_eq!(server.stocks().len(), 1);
}

#[test]
fn credentials_that_are_wrong_are_told_apart() {
    let (workspace, server) = connected(&["a"], &[]);
    hurry(&workspace, 1, 5);
    let with = |name: &str, value: &str| {
        let mut command = workspace.command(&["apply", "--auto-approve"]);
        command.env(name, value);
        crate::workspace::run(command).ended(1)
    };
    let serial = with("COUPONCTL_CERTIFICATE_SERIAL_NO", "00FF");
    assert!(serial.out.contains("401 SIGN_ERROR: serial_no"), "{}", serial.out);
    assert!(serial.out.contains("this machine's clock agrees with the server's"), "{}", serial.out);
    let brand = workspace.path("couponctl.yaml");
    assert!(brand.exists());
    let other = with("COUPONCTL_BRAND_ID", "999");
    assert!(other.out.contains("401 SIGN_ERROR: brand_id"), "{}", other.out);
    let public = server.variable("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE").to_owned();
    let private = server.variable("COUPONCTL_PRIVATE_KEY_FILE").to_owned();
    let swapped = with("COUPONCTL_PRIVATE_KEY_FILE", &public);
    assert!(swapped.err.contains("this is a public key"), "{}", swapped.err);
    let swapped = with("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE", &private);
    assert!(swapped.err.contains("this is a private key"), "{}", swapped.err);
    let key_id = with("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", "PUB_KEY_ID_9");
    assert!(key_id.out.contains("401 SIGN_ERROR: Wechatpay-Serial"), "{}", key_id.out);
    assert!(server.stocks().is_empty());
}

#[test]
fn no_key_and_no_signature_reaches_any_output() {
    let (workspace, server) = connected(&["a"], &["--fault", "error-before=0.5"]);
    let run = workspace.apply(&["-vv", "--format", "json"]);
    let private = std::fs::read_to_string(server.variable("COUPONCTL_PRIVATE_KEY_FILE")).unwrap();
    let secret = private.lines().nth(3).unwrap();
    for text in [&run.out, &run.err] {
        assert!(!text.contains(secret) && !text.contains("PRIVATE KEY"));
        assert!(!text.contains("WECHATPAY-BRAND-SHA256") && !text.contains("signature="));
    }
    assert!(run.err.contains("method=POST"), "the request line is there: {}", run.err);
    assert!(run.err.contains("request_id"), "{}", run.err);
}

#[test]
fn servers_that_are_not_the_api_are_refused_with_a_reason() {
    let (mut workspace, server) = connected(&["a"], &[]);
    hurry(&workspace, 1, 5);
    let mut pointed_at = |url: &str| {
        let mut environment = server.environment.clone();
        for (name, value) in &mut environment {
            if name.ends_with("_URL") {
                url.clone_into(value);
            }
        }
        workspace.environment(&environment);
        workspace.apply(&[]).ended(1)
    };
    let refused = pointed_at("http://127.0.0.1:9");
    assert!(refused.out.contains("NO_CONNECTION"), "{}", refused.out);
    let html =
        pointed_at(&server::that_answers("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"));
    assert!(html.out.contains("is missing, doubled or not text"), "{}", html.out);
    let gateway = pointed_at(&server::that_answers(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\n<html>\u{1b}[31mno",
    ));
    assert!(gateway.out.contains("<html>\\u{1b}[31mno"), "{}", gateway.out);
    let redirect = pointed_at(&server::that_answers(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    ));
    assert!(
        redirect.out.contains("a redirect to `http://127.0.0.1:9/`, which is never followed"),
        "{}",
        redirect.out
    );
    let endless =
        pointed_at(&server::that_answers("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"));
    assert!(endless.out.contains("CUT_OFF"), "{}", endless.out);
    let plain = pointed_at("http://192.0.2.1");
    assert!(plain.err.contains("`http://192.0.2.1`"), "{}", plain.err);
}

#[test]
fn json_events_tell_the_story_of_a_run() {
    let (workspace, _server) = connected(&["a"], &[]);
    workspace.stock("b", &Stock { coupon: "404", ..Stock::default() });
    let run = workspace.apply(&["--format", "json"]).ended(1);
    let events: Vec<Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"plan"));
    assert!(names.contains(&"created") && names.contains(&"failed"));
    assert_eq!(events.last().unwrap()["failed"], 1);
    let failed = events.iter().find(|event| event["event"] == "failed").unwrap();
    assert_eq!(failed["code"], "NOT_FOUND");
    assert!(failed["request_id"].as_str().unwrap().ends_with("-268578608"));
}

impl Workspace {
    /// The entries of the lock, or nothing when there is no lock.
    fn locked_or_none(&self) -> Option<usize> {
        self.exists("couponctl.lock").then(|| self.locked("couponctl.lock").len())
    }
}
