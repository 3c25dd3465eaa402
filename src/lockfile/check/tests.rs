//! Locks edited by hand and by chance: every problem is found, with its line.

use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::identity::canonical_stock;
use crate::lockfile::{Made, Superseded};
use crate::wechatpay::stock::Stock;

fn name(text: &str) -> StockName {
    StockName::parse(text).unwrap()
}

fn made(of: &str, id: &str, remark: &str) -> Made {
    let stock = json!({
        "remark": remark,
        "coupon_code_mode": "WECHATPAY",
        "stock_send_rule": {"max_count": 1000, "max_count_per_user": 1},
        "single_usage_rule": {"coupon_available_period": {
            "available_begin_time": "2099-01-01T00:00:00+08:00",
            "available_end_time": "2099-12-31T23:59:59+08:00"}},
        "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "全场可用"},
        "coupon_display_info": {"code_display_mode": "QRCODE"},
        "notify_config": {"notify_appid": "wx4fd12345678"},
        "store_scope": "NONE"
    });
    let stock: Stock = serde_json::from_value(stock).unwrap();
    let content_sha256 = ContentSha256::of("200000001", &stock);
    Made {
        name: name(of),
        product_coupon_id: "200000001".into(),
        stock_id: id.into(),
        out_request_no: OutRequestNo::derive("1", of, 1, &content_sha256),
        generation: 1,
        content_sha256,
        created_at: "2026-11-23T02:00:00Z".into(),
        stock: RawValue::from_string(canonical_stock(&stock)).unwrap(),
    }
}

fn lock(stocks: &[(&str, &str)]) -> Lock {
    let mut lock = Lock::empty("1");
    let mut holders = lock.holders();
    for (name, id) in stocks {
        lock.record(made(name, id, id), &mut holders).unwrap();
    }
    lock
}

fn text(lock: &Lock) -> String {
    String::from_utf8(write::to_bytes(lock)).unwrap()
}

fn found(text: &str) -> Vec<(usize, Kind)> {
    check(text.as_bytes(), "1").into_iter().map(|problem| (problem.line, problem.kind)).collect()
}

#[test]
fn what_couponctl_writes_has_no_problem_renamed_replaced_and_adopted_stocks_included() {
    let mut lock = lock(&[("a", "1"), ("a", "2"), ("b", "3")]);
    lock.rename(&name("b"), &name("c")).unwrap();
    assert_eq!(check(text(&lock).as_bytes(), "1"), []);
    assert_eq!(found(&text(&Lock::empty("1"))), []);
}

#[test]
fn every_problem_is_found_in_one_run_with_its_line() {
    let mut lock = lock(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "6")]);
    let entry = |lock: &mut Lock, of: &str, change: &dyn Fn(&mut Entry)| {
        change(lock.stocks.get_mut(&name(of)).unwrap());
    };
    entry(&mut lock, "a", &|entry| entry.product_coupon_id = "7".into());
    entry(&mut lock, "b", &|entry| entry.generation = 2);
    entry(&mut lock, "c", &|entry| {
        entry.stock = RawValue::from_string("{\"remark\":1}".into()).unwrap();
    });
    let old: Superseded = lock.stocks[&name("a")].clone().into_superseded().0;
    entry(&mut lock, "d", &|entry| entry.superseded.push(old.clone()));
    entry(&mut lock, "f", &|entry| entry.requested_as = Some(name("x")));
    let expected = [
        (2, Kind::ContentHash),
        (3, Kind::RequestNumber),
        (4, Kind::ContentHash),
        (4, Kind::Stock),
        (5, Kind::DuplicateStock),
        (7, Kind::RequestNumber),
    ];
    assert_eq!(found(&text(&lock)), expected);
}

#[test]
fn another_form_of_the_same_content_is_a_problem() {
    let good = text(&lock(&[("a", "1"), ("b", "2"), ("c", "3")]));
    let lines: Vec<&str> = good.lines().collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4], ""].join("\n");
    assert_eq!(found(&swapped), [(3, Kind::Order)]);
    assert_eq!(found(&good.replace('\n', "\r\n")), [(1, Kind::Form)]);
    assert_eq!(found(good.trim_end()), [(5, Kind::Form)]);
    assert_eq!(found(&good.replacen("\"b\":{", "\"b\": {", 1)), [(3, Kind::Form)]);
    let reordered = good.replacen("{\"coupon_code_mode\":\"WECHATPAY\",", "{", 1).replacen(
        "\"store_scope\":\"NONE\"",
        "\"store_scope\":\"NONE\",\"coupon_code_mode\":\"WECHATPAY\"",
        1,
    );
    assert_eq!(found(&reordered), [(2, Kind::Form)]);
    let pretty: Value = serde_json::from_str(&good).unwrap();
    assert!(!found(&format!("{pretty:#}")).is_empty());
}

#[test]
fn a_lock_that_does_not_read_is_looked_through_line_by_line() {
    let good = text(&lock(&[("a", "1"), ("b", "2"), ("c", "3")]));
    let lines: Vec<&str> = good.lines().collect();
    let broken = lines[2].replace("\"stock_id\":\"2\",", "");
    let edited = lines[3].replace("\"generation\":1", "\"generation\":9");
    let bad = [lines[0], lines[1], &broken, &edited, lines[4]].join("\n");
    assert_eq!(found(&bad), [(3, Kind::Unreadable), (4, Kind::RequestNumber)]);
    let twice = [lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]].join("\n");
    assert_eq!(found(&twice), [(3, Kind::DuplicateName), (3, Kind::DuplicateStock)]);
    let conflict =
        [lines[0], "<<<<<<< ours", lines[1], "=======", lines[2], ">>>>>>> theirs", &edited, "}}"];
    let marker = Kind::ConflictMarker;
    assert_eq!(
        found(&conflict.join("\n")),
        [(2, marker), (4, marker), (6, marker), (7, Kind::RequestNumber)]
    );
    assert_eq!(found(""), [(1, Kind::Unreadable)]);
    assert_eq!(found(&good.replace("\"version\":1", "\"version\":2")), [(1, Kind::Unreadable)]);
    assert_eq!(found(&good[..good.len() - 4]), [(4, Kind::Unreadable)]);
    let other: Vec<_> = check(good.as_bytes(), "2");
    assert_eq!(other.len(), 1, "{other:?}");
    assert!(other[0].message.contains("belongs to brand 1"), "{other:?}");
    assert_eq!(check(b"a\n\xff", "1")[0].line, 2);
}

proptest! {
    #[test]
    fn no_edit_of_a_lock_goes_unnoticed_but_for_what_nothing_can_tell(at in any::<prop::sample::Index>(), byte in 32u8..127) {
        let good = text(&lock(&[("a", "1"), ("b", "2")]));
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let parsed = read::parse_for(&bytes, "1");
        let noticed = !check(&bytes, "1").is_empty();
        // A stock id and a time can be anything.
        let free = parsed.is_ok_and(|lock| {
            lock.stocks.values().any(|entry| {
                entry.created_at != "2026-11-23T02:00:00Z" || !["1", "2"].contains(&entry.stock_id.as_str())
            })
        });
        let edited = good.as_bytes() != bytes.as_slice();
        prop_assert!(noticed == edited || free, "byte {at}: {}", char::from(byte));
    }

    #[test]
    fn any_text_is_checked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), lines in prop::collection::vec("(\"a\":)?[{}\",:a-c<>=]{0,12}", 0..6)) {
        let _ = check(&bytes, "1");
        let _ = check(lines.join("\n").as_bytes(), "1");
    }
}
