//! Requests of which it is not known what came: none is forgotten before that is known.

use std::fs;

use crate::server::{self, Server};
use crate::workspace::{Stock, Workspace};

/// A workspace whose apply made the stocks of its files, though it heard of none.
fn unheard(stocks: &[(&str, &Stock)]) -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    workspace.write(
        "couponctl.yaml",
        "brand_id: \"120344\"\napi: { max_attempts: 1, timeout_seconds: 1, retry_seconds: 1 }\n",
    );
    for (name, stock) in stocks {
        workspace.stock(name, stock);
    }
    let mut server = Server::start(&["--fault", "error-after=1"]);
    workspace.environment(&server.environment);
    workspace.apply(&[]).ended(1);
    assert_eq!(server.stocks().len(), stocks.len());
    assert!(workspace.exists("couponctl.lock.journal"));
    server.restart(&[]);
    workspace.environment(&server.environment);
    (workspace, server)
}

/// The ids that a lock holds anywhere, in order.
fn recorded(workspace: &Workspace) -> Vec<String> {
    let lock: serde_json::Value = serde_json::from_str(&workspace.read("couponctl.lock")).unwrap();
    let mut ids: Vec<_> = lock["stocks"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|entry| {
            let old = entry["superseded"].as_array().cloned().unwrap_or_default();
            old.into_iter().chain([entry.clone()])
        })
        .map(|entry| entry["stock_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn made(server: &Server) -> Vec<String> {
    server.stocks().into_keys().collect()
}

#[test]
fn to_adopt_a_stock_does_not_forget_a_request_for_other_content() {
    let (workspace, server) = unheard(&[("a", &Stock::default())]);
    // The file asks for something else by now, and that was made elsewhere.
    workspace.stock("a", &Stock { max_count: 2002, ..Stock::default() });
    let mut elsewhere = Workspace::new();
    elsewhere.stock("z", &Stock { max_count: 2002, remark: "a".into(), ..Stock::default() });
    elsewhere.environment(&server.environment);
    elsewhere.apply(&[]).ended(0);
    let id = elsewhere.locked("couponctl.lock")["z"].clone();
    workspace.run(&["adopt", "a", &id]).ended(0);
    assert!(workspace.exists("couponctl.lock.journal"), "the other request is still open");
    workspace.apply(&[]).ended(0);
    assert_eq!(recorded(&workspace), made(&server));
    assert_eq!(workspace.locked("couponctl.lock")["a"], id);
}

#[test]
fn requests_alike_whose_files_are_gone_are_settled_together() {
    let twin = Stock { remark: "twin".into(), ..Stock::default() };
    let (workspace, server) = unheard(&[("a", &twin), ("b", &twin)]);
    workspace.remove("stocks/a.yaml");
    workspace.remove("stocks/b.yaml");
    workspace.apply(&[]).ended(0);
    assert_eq!(made(&server).len(), 2);
    assert_eq!(recorded(&workspace), made(&server));
}

#[test]
fn a_request_whose_file_is_gone_can_be_settled_by_a_person() {
    let twin = Stock { remark: "twin".into(), ..Stock::default() };
    let (workspace, server) = unheard(&[("a", &twin)]);
    // Somebody else made another one just like it.
    let mut elsewhere = Workspace::new();
    elsewhere.stock("z", &twin);
    elsewhere.environment(&server.environment);
    elsewhere.apply(&[]).ended(0);
    workspace.remove("stocks/a.yaml");
    let unclear = workspace.apply(&[]).ended(1);
    assert!(unclear.err.contains("`couponctl adopt a STOCK_ID`"), "{}", unclear.err);
    let theirs = elsewhere.locked("couponctl.lock")["z"].clone();
    let ours = made(&server).into_iter().find(|id| *id != theirs).unwrap();
    workspace.run(&["adopt", "a", &ours]).ended(0);
    assert_eq!(recorded(&workspace), [ours]);
    workspace.apply(&[]).ended(0);
    let unknown = workspace.run(&["adopt", "b", &theirs]).ended(1);
    assert!(unknown.err.contains("no file asks for a stock named `b`"), "{}", unknown.err);
}

#[test]
fn a_server_that_is_not_the_api_cannot_make_a_request_forgotten() {
    let (mut workspace, server) = unheard(&[("a", &Stock::default())]);
    workspace.stock("a", &Stock { max_count: 7, ..Stock::default() });
    let body = r#"{"code":"NOT_FOUND","message":"x"}"#;
    let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let wrong = server::that_answers(answer.leak());
    let environment = server.environment.iter().cloned().map(|(name, value)| {
        let value = if name.ends_with("_URL") { wrong.clone() } else { value };
        (name, value)
    });
    workspace.environment(&environment.collect::<Vec<_>>());
    let refused = workspace.apply(&[]).ended(1);
    assert!(refused.err.contains("does not bear WeChat Pay's signature"), "{}", refused.err);
    assert!(refused.err.contains("requests go to http://127.0.0.1:"), "{}", refused.err);
    assert!(
        fs::read_to_string(workspace.path("couponctl.lock.journal")).unwrap().contains("intent")
    );
    workspace.environment(&server.environment);
    workspace.apply(&["--allow-replace"]).ended(0);
    assert_eq!(made(&server).len(), 2);
    assert_eq!(recorded(&workspace), made(&server));
}
