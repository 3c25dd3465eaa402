use serde_json::Value;

use crate::workspace::Workspace;

/// A stock file with a mistake in nearly every line, Chinese text, emoji and a tab among them.
const MISTAKES: &str = "\u{feff}name: Spring_Sale\r
product_coupon_id: 200000001\r
genration: 1\r
stock:\r
  remark: 一二三四五六七八九十🎉一二三四五六七八九十一 # too long\r
  coupon_code_mode: WECHATPY\r
  stock_send_rule: { max_count:\t１００００, max_count_per_user: \"1\" }\r
  single_usage_rule:\r
    coupon_available_period:\r
      available_begin_time: 2099-12-01 00:00\r
      available_end_time: \"2027-02-28T23:59:59+08:00\"\r
      wait_days_after_receive: 3\r
      available_day: 3\r
    normal_coupon: { threshold: 100元, discount_amount: 9.9 }\r
    discount_coupon: { threshold: 0, percent_off: 30% }\r
  usage_rule_display_info:\r
    coupon_usage_method_list: [OFFLINE, MINI_PROGRAM, OFFLINE]\r
    usage_description:\r
  coupon_display_info: { code_display_mode: “QRCODE”, background_color: Color200 }\r
  notify_config: { notify_appid: on }\r
  store_scope: SPECIFIC\r
";

fn mistaken() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("stocks/mistakes.yaml", MISTAKES);
    workspace.write("stocks/half.yaml", "name: half\nstock: {\n");
    workspace
}

#[test]
fn every_problem_is_drawn_with_its_source_line_and_the_edit_to_make() {
    insta::assert_snapshot!(mistaken().run(&["validate"]).ended(1).out);
}

#[test]
fn problems_become_github_annotations() {
    insta::assert_snapshot!(mistaken().run(&["validate", "--format", "github"]).ended(1).out);
}

#[test]
fn problems_as_json_have_the_fields_of_the_contract_and_exact_places() {
    let run = mistaken().run(&["validate", "--format", "json"]).ended(1);
    let problems: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    let remark = problems.iter().find(|problem| problem["rule"] == "remark-too-long").unwrap();
    assert_eq!(
        *remark,
        serde_json::json!({
            "severity": "error", "rule": "remark-too-long",
            "message": "the text has 22 characters; at most 20 fit",
            "file": "stocks/mistakes.yaml", "line": 5, "column": 11, "end_line": 5, "end_column": 33,
            "path": "stock.remark", "help": "shorten it by 2",
        })
    );
}

#[test]
fn what_is_missing_is_told_where_it_is_missing_from_with_an_example() {
    let workspace = Workspace::with(&["a"]);
    let text = workspace.read("stocks/a.yaml");
    workspace
        .write("stocks/a.yaml", text.replace("max_count: 1000, ", "").replace("name: a\n", ""));
    let run = workspace.run(&["validate"]).ended(1);
    for says in [
        "error[missing-key]: the document has no `name`",
        "add `name:",
        "error[missing-key]: `stock.stock_send_rule` has no `max_count`",
        "add `max_count: 10000`, with your own value",
        "2 errors",
    ] {
        assert!(run.out.contains(says), "{says}: {}", run.out);
    }
}

#[test]
fn warnings_fail_only_when_they_are_denied() {
    let workspace = Workspace::with(&["a"]);
    let twin = workspace.read("stocks/a.yaml").replace("name: a", "name: b");
    workspace.write("stocks/b.yaml", twin);
    let run = workspace.run(&["validate"]).ended(0);
    assert!(
        run.out.contains("warning[same-content]: `b` asks for the same content as `a`"),
        "{}",
        run.out
    );
    workspace.run(&["validate", "--deny-warnings"]).ended(1);
    assert!(workspace.run(&["plan"]).err.contains("warning[same-content]"));
    assert_eq!(workspace.run(&["plan", "--quiet"]).err, "");
    workspace.run(&["plan"]).ended(0);
}

#[test]
fn two_stocks_of_one_name_are_shown_in_both_places() {
    let workspace = Workspace::with(&["a"]);
    workspace.write("stocks/b.yaml", workspace.read("stocks/a.yaml"));
    let run = workspace.run(&["validate"]).ended(1);
    assert!(
        run.out.contains("error[duplicate-name]: the name `a` stands there twice"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("stocks/a.yaml:1:7") && run.out.contains("stocks/b.yaml:1:7"),
        "{}",
        run.out
    );
}

#[test]
fn more_stocks_than_a_product_coupon_takes_are_refused_with_those_in_the_lock_counted() {
    let names: Vec<String> = (0..200).map(|number| format!("s{number}")).collect();
    let workspace = Workspace::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    workspace.run(&["plan"]).ended(0);
    let first = Workspace::with(&["locked"]);
    first.apply(&["--sandbox"]).ended(0);
    workspace.write("couponctl.lock", first.read(".couponctl/sandbox/couponctl.lock"));
    let run = workspace.run(&["plan"]).ended(1);
    assert!(run.err.contains("product coupon 200000001 has 201 stocks"), "{}", run.err);
    // What is over does not count.
    let over = workspace.read("couponctl.lock").replace("2099-12-31", "2020-12-31");
    workspace.write("couponctl.lock", over);
    workspace.run(&["plan"]).ended(0);
}

#[test]
fn anchors_aliases_and_merges_mean_what_they_say() {
    let workspace = Workspace::with(&["a"]);
    let plain = workspace.run(&["plan", "--format", "json"]).ended(0).out;
    let merged = workspace.read("stocks/a.yaml").replace(
        "{ max_count: 1000, max_count_per_user: 1 }",
        "{ <<: [{ max_count: 1000 }, { max_count: 3 }], max_count_per_user: &one 1 }",
    );
    workspace.write("stocks/a.yaml", merged);
    assert_eq!(workspace.run(&["plan", "--format", "json"]).ended(0).out, plain);
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let workspace = mistaken();
    assert!(!workspace.run(&["validate"]).out.contains('\u{1b}'));
    assert!(workspace.run(&["validate", "--color", "always"]).out.contains('\u{1b}'));
    let plan = Workspace::with(&["a"]);
    assert!(plan.run(&["plan", "--color", "always"]).out.contains('\u{1b}'));
}
