//! Small models, changed in one way each; and workspaces made by chance, whose plan, carried out,
//! must leave nothing to do.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::identity::canonical_stock;
use crate::lockfile::Made;

fn stock(max_count: i64) -> Stock {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/identity-vectors.json")).unwrap();
    let mut stock: Stock = serde_json::from_value(vectors[0]["stock"].clone()).unwrap();
    stock.stock_send_rule.max_count = max_count;
    stock
}

fn desired(name: &str, max_count: i64, generation: i64) -> DesiredStock {
    let stock = stock(max_count);
    DesiredStock {
        name: StockName::parse(name).unwrap(),
        file: "stocks/a.yaml".into(),
        document: 0,
        product_coupon_id: "200000001".into(),
        generation,
        content_sha256: ContentSha256::of("200000001", &stock),
        stock: Arc::new(stock),
    }
}

/// An API in a line: the same request number gives the same stock.
#[derive(Default)]
struct Api(HashMap<OutRequestNo, String>);

impl Api {
    fn make(&mut self, number: &OutRequestNo) -> String {
        let next = format!("{}", 1000 + self.0.len());
        self.0.entry(number.clone()).or_insert(next).clone()
    }

    /// Does to the lock what an apply of the plan does.
    fn carry_out(&mut self, plan: &Plan, lock: &mut Lock) {
        for change in plan.to_do() {
            if let Some(from) = &change.renamed_from {
                lock.rename(from, &change.name).unwrap();
                continue;
            }
            let stock = change.after.as_ref().unwrap();
            let made = Made {
                name: change.name.clone(),
                product_coupon_id: change.product_coupon_id.clone(),
                stock_id: self.make(&change.out_request_no),
                out_request_no: change.out_request_no.clone(),
                generation: change.generation,
                content_sha256: change.content_sha256.clone(),
                created_at: String::new(),
                stock: RawValue::from_string(canonical_stock(stock)).unwrap(),
            };
            let mut holders = lock.holders();
            lock.record(made, &mut holders).unwrap();
        }
    }
}

fn applied(stocks: &[DesiredStock]) -> (Api, Lock) {
    let (mut api, mut lock) = (Api::default(), Lock::empty("120344"));
    let first = plan(stocks, &lock, Vec::new());
    api.carry_out(&first, &mut lock);
    (api, lock)
}

fn actions(plan: &Plan) -> Vec<(Action, String)> {
    plan.changes.iter().map(|change| (change.action, change.name.to_string())).collect()
}

#[test]
fn nothing_differs_from_what_was_applied() {
    let stocks = [desired("a", 1, 1), desired("b", 2, 1)];
    let (_, lock) = applied(&stocks);
    let again = plan(&stocks, &lock, Vec::new());
    assert_eq!((actions(&again), again.unchanged), (vec![], 2));
    assert!(!again.changes_anything());
}

#[test]
fn changed_content_and_a_higher_generation_replace() {
    let (_, lock) = applied(&[desired("a", 1, 1), desired("b", 2, 1)]);
    let changed = plan(&[desired("a", 5, 1), desired("b", 2, 2)], &lock, Vec::new());
    assert_eq!(actions(&changed), [(Action::Replace, "a".into()), (Action::Replace, "b".into())]);
    assert_eq!(changed.commitment.coupons, 7);
    assert_eq!(changed.commitment.largest_discount_fen, 7 * 1000);
}

#[test]
fn of_two_new_names_for_one_old_content_the_first_is_the_rename() {
    let (_, lock) = applied(&[desired("old", 1, 1)]);
    let moved = plan(&[desired("x", 1, 1), desired("y", 1, 1)], &lock, Vec::new());
    assert_eq!(actions(&moved), [(Action::Rename, "x".into()), (Action::Create, "y".into())]);
    let other = plan(&[desired("x", 1, 2)], &lock, Vec::new());
    assert_eq!(
        actions(&other),
        [(Action::Orphan, "old".into()), (Action::Create, "x".into())],
        "another generation is another stock"
    );
}

fn any_workspace() -> impl Strategy<Value = Vec<DesiredStock>> {
    prop::collection::btree_map(0usize..6, (1i64..4, 1i64..3), 0..6).prop_map(|stocks| {
        let named = |(name, (count, generation)): (usize, (i64, i64))| {
            desired(&format!("s{name}"), count, generation)
        };
        stocks.into_iter().map(named).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do_and_no_stock_behind(steps in prop::collection::vec(any_workspace(), 1..5)) {
        let (mut api, mut lock) = (Api::default(), Lock::empty("120344"));
        for stocks in steps {
            let planned = plan(&stocks, &lock, Vec::new());
            // Every desired stock is planned for once, every locked one that is gone said once.
            let summary = planned.summary();
            prop_assert_eq!(summary.create + summary.replace + summary.rename + summary.unchanged, stocks.len());
            let names: BTreeSet<_> = planned.changes.iter().map(|change| &change.name).collect();
            prop_assert_eq!(names.len(), planned.changes.len());
            if !planned.conflicts.is_empty() {
                continue;
            }
            api.carry_out(&planned, &mut lock);
            let again = plan(&stocks, &lock, Vec::new());
            prop_assert_eq!(again.to_do().count(), 0);
            prop_assert_eq!(again.unchanged, stocks.len());
            // Each stock that the API made is held by one name.
            let holders = lock.holders();
            for id in api.0.values() {
                prop_assert!(holders.of(id).is_some(), "stock {} is lost", id);
            }
            let held: usize = lock.stocks.values().map(|entry| 1 + entry.superseded.len()).sum();
            prop_assert_eq!(held, api.0.len());
        }
    }
}
