//! Guardrails and targets: what a plan may pass, and which stocks it is about.

use serde_json::Value;

use crate::workspace::{Stock, Workspace};

/// A stock of which one line is another.
fn with(workspace: &Workspace, old: &str, new: &str) {
    let yaml = Stock::default().yaml("a");
    assert!(yaml.contains(old), "{old}");
    workspace.write("stocks/a.yaml", yaml.replace(old, new));
}

#[test]
fn each_guardrail_holds_at_its_limit_and_stops_plan_and_apply_beyond_it() {
    let percent = "normal_coupon: { threshold: 10000, discount_amount: 1000 }";
    let cases = [
        ("max_count", "max_count: 1000", "max_count: 999", "", ""),
        ("max_count_per_user", "max_count_per_user: 1", "max_count_per_user: 0", "", ""),
        ("discount_amount", "discount_amount: 1000", "discount_amount: 999", "", ""),
        (
            "percent_off",
            "percent_off: 30",
            "percent_off: 29",
            percent,
            "discount_coupon: { threshold: 0, percent_off: 30 }",
        ),
        ("total_discount", "total_discount: 1000000", "total_discount: 999999", "", ""),
        ("creates", "creates: 1", "creates: 0", "", ""),
        (
            "product_coupons",
            "product_coupons: [\"200000001\"]",
            "product_coupons: [\"200000002\"]",
            "",
            "",
        ),
        ("store_scopes", "store_scopes: [ALL, NONE]", "store_scopes: [ALL]", "", ""),
        (
            "max_count_per_day_required",
            "max_count_per_day_required: false",
            "max_count_per_day_required: true",
            "",
            "",
        ),
        (
            "bounded_discount_required",
            "bounded_discount_required: false",
            "bounded_discount_required: true",
            percent,
            "exchange_coupon: { threshold: 0, exchange_price: 1 }",
        ),
        ("period_days", "period_days: 365", "period_days: 364", "", ""),
    ];
    for (name, within, beyond, old, new) in cases {
        let workspace = Workspace::new();
        with(&workspace, old, new);
        let settings = |guardrail| format!("brand_id: \"120344\"\nguardrails: {{ {guardrail} }}\n");
        workspace.write("couponctl.yaml", settings(within));
        workspace.run(&["plan"]).ended(0);
        workspace.write("couponctl.yaml", settings(beyond));
        let run = workspace.run(&["plan", "--sandbox", "--format", "json"]).ended(1);
        assert!(
            run.err.contains(&format!("the plan passes guardrails of couponctl.yaml: {name}")),
            "{}",
            run.err
        );
        let plan: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(plan["guardrail_breaches"].as_array().unwrap().len(), 1, "{name}: {plan}");
        assert_eq!(plan["guardrail_breaches"][0]["guardrail"], name);
        let run = workspace.apply(&["--sandbox"]).ended(1);
        assert!(run.err.contains("nothing was sent"), "{name}: {}", run.err);
        let other = if name == "creates" { "max_count" } else { "creates" };
        workspace.apply(&["--sandbox", "--override-guardrail", other]).ended(1);
        assert!(!workspace.exists(".couponctl/sandbox/state.jsonl"), "{name}");
        workspace.apply(&["--sandbox", "--override-guardrail", name]).ended(0);
    }
}

#[test]
fn what_exists_already_is_not_held_against_guardrails() {
    let workspace = Workspace::with(&["a", "b"]);
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.write("couponctl.yaml", "brand_id: \"120344\"\nguardrails: { max_count: 1 }\n");
    workspace.run(&["plan", "--sandbox"]).ended(0);
    workspace.stock("a", &Stock { max_count: 2, ..Stock::default() });
    let run = workspace.run(&["plan", "--sandbox"]).ended(1);
    assert!(
        run.out.contains("guardrail max_count: a (stocks/a.yaml) `max_count` is 2; at most 1"),
        "{}",
        run.out
    );
    assert!(
        run.last_line().starts_with("Plan: 0 to create, 0 to update, 1 to replace"),
        "{}",
        run.out
    );
}

#[test]
fn a_misspelt_guardrail_is_an_error_never_a_limit_less() {
    let workspace = Workspace::with(&["a"]);
    for (guardrails, says) in [
        ("{ max_cuont: 1 }", "guardrails: unknown field `max_cuont`"),
        ("{ max_count: -1 }", "guardrails.max_count: invalid type: integer `-1`"),
        ("{ max_count: lots }", "guardrails.max_count: invalid type"),
        ("{ store_scopes: [SOME] }", "unknown variant `SOME`"),
        ("{ product_coupons: [200000001] }", "put the value in quotes"),
    ] {
        workspace.write("couponctl.yaml", format!("brand_id: \"1\"\nguardrails: {guardrails}\n"));
        let run = workspace.run(&["plan"]).ended(1);
        assert!(
            run.err.contains(says) && run.err.contains("couponctl.yaml:2:"),
            "{says}: {}",
            run.err
        );
    }
    workspace.write("couponctl.yaml", "brand_id: \"1\"\n");
    let run = workspace.run(&["plan", "--override-guardrail", "create"]).ended(1);
    assert!(
        run.err.contains("there is no guardrail `create`; did you mean `creates`?"),
        "{}",
        run.err
    );
}

#[test]
fn targets_narrow_a_plan_and_it_says_so() {
    let workspace = Workspace::with(&["spring-1", "spring-2", "summer-1"]);
    let run = workspace.run(&["plan", "--target", "spring-*"]).ended(0);
    assert!(
        run.out.contains("Only stocks that match spring-*: this is not the whole plan."),
        "{}",
        run.out
    );
    assert!(run.last_line().starts_with("Plan: 2 to create"), "{}", run.out);
    assert!(run.out.contains("2,000 coupons"), "only theirs: {}", run.out);
    let run = workspace.apply(&["--sandbox", "--target", "spring-1", "--target", "su*"]).ended(0);
    assert!(run.last_line().contains("2 created"), "{}", run.out);
    let run = workspace.run(&["plan", "--sandbox", "--target", "spring-*"]).ended(0);
    assert!(run.last_line().ends_with("0 orphaned, 1 unchanged."), "{}", run.out);
    for (target, says) in [
        ("sprung-1", "matches no stock of the files or the lock; did you mean `spring-1`?"),
        ("[", "is not a pattern of names"),
    ] {
        let run = workspace.run(&["plan", "--target", target]).ended(1);
        assert!(run.err.contains(says), "{}", run.err);
    }
}

#[test]
fn half_of_a_rename_as_target_is_the_rename_and_never_a_second_stock() {
    let workspace = Workspace::with(&["old"]);
    workspace.apply(&["--sandbox"]).ended(0);
    let yaml = workspace.read("stocks/old.yaml").replace("name: old", "name: new");
    workspace.write("stocks/old.yaml", yaml);
    for target in ["old", "new"] {
        let run = workspace.run(&["plan", "--sandbox", "--target", target]).ended(0);
        assert!(
            run.last_line().starts_with(
                "Plan: 0 to create, 0 to update, 0 to replace, 1 to rename, 0 orphaned"
            ),
            "{}",
            run.out
        );
    }
    workspace.apply(&["--sandbox", "--target", "new"]).ended(0);
    assert_eq!(
        workspace.locked(".couponctl/sandbox/couponctl.lock").into_keys().collect::<Vec<_>>(),
        ["new"]
    );
}

#[test]
fn the_readme_names_every_guardrail_there_is() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n### Guardrails\n").unwrap();
    let block = section.split("```").nth(1).unwrap().strip_prefix("yaml\n").unwrap();
    for name in couponctl::plan::guardrails::NAMES {
        assert!(block.contains(&format!("\n  {name}: ")), "{name}");
    }
    let workspace = Workspace::with(&["a"]);
    workspace.write("couponctl.yaml", format!("brand_id: \"1\"\n{block}"));
    let run = workspace.run(&["plan"]).ended(1);
    assert!(
        run.err
            .ends_with("guardrails of couponctl.yaml: max_count_per_day_required, period_days\n"),
        "{}",
        run.err
    );
}
