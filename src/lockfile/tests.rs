//! The lock and its journal against documents made by chance, cuts at every byte, and each other.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::hold::{Hold, journal_path};
use super::journal::{self, Closed, Intent, Record};
use super::{Entry, Learned, Lock, Made, Superseded, read, write};
use crate::identity::{ContentSha256, OutRequestNo, StockName};

fn name(text: &str) -> StockName {
    StockName::parse(text).unwrap()
}

fn number(text: &str) -> OutRequestNo {
    OutRequestNo::parse(&format!("cc1-{text:0>36}")).unwrap()
}

fn hash(digit: char) -> ContentSha256 {
    ContentSha256::parse(&digit.to_string().repeat(64)).unwrap()
}

fn made(of: &str, stock_id: &str, digit: char) -> Made {
    Made {
        name: name(of),
        product_coupon_id: "200000001".into(),
        stock_id: stock_id.into(),
        out_request_no: number(stock_id),
        generation: 1,
        content_sha256: hash(digit),
        created_at: "2026-11-23T02:00:00Z".into(),
        stock: RawValue::from_string("{\"remark\":\"春\"}".into()).unwrap(),
    }
}

fn learned(made: Made, wanted: bool) -> Learned {
    Learned { made, wanted, given_back: false }
}

fn intent(of: &str, stock_id: &str) -> Intent {
    let Made { name, product_coupon_id, out_request_no, generation, content_sha256, stock, .. } =
        made(of, stock_id, 'a');
    let sent_at = "2026-11-23T02:00:00Z".into();
    Intent {
        name,
        product_coupon_id,
        generation,
        content_sha256,
        out_request_no,
        sent_at,
        gives_back: false,
        stock,
    }
}

fn result(stock_id: &str) -> journal::Result {
    journal::Result {
        out_request_no: number(stock_id),
        stock_id: stock_id.into(),
        created_at: "2026-11-23T02:00:00Z".into(),
    }
}

#[test]
fn an_empty_lock_has_the_bytes_of_the_contract() {
    let bytes = write::to_bytes(&Lock::empty("120344"));
    assert_eq!(bytes, b"{\"version\":1,\"brand_id\":\"120344\",\"stocks\":{\n}}\n");
    assert_eq!(read::parse(&bytes).unwrap(), Lock::empty("120344"));
}

#[test]
fn what_this_version_does_not_know_survives_a_rewrite_and_white_space_does_not() {
    let text = r#"{ "version": 1, "brand_id": "1", "note": [1], "stocks": { "a": {
        "product_coupon_id": "2", "stock_id": "3", "out_request_no": "cc1-000000", "generation": 1,
        "content_sha256": "SUM", "created_at": "x", "later": {"b": 1, "a": 2},
        "superseded": [{"stock_id": "4", "out_request_no": "cc1-000001", "content_sha256": "SUM", "more": 1}],
        "stock": { "remark" : "a \" b", "n" : 1 } } } }"#;
    let lock = read::parse(text.replace("SUM", &"a".repeat(64)).as_bytes()).unwrap();
    let bytes = write::to_bytes(&lock);
    let written = String::from_utf8(bytes.clone()).unwrap().replace(&"a".repeat(64), "SUM");
    insta::assert_snapshot!(written);
    assert_eq!(write::to_bytes(&read::parse(&bytes).unwrap()), bytes);
}

#[test]
fn lines_in_another_place_are_not_taken_for_entries() {
    let mut lock = Lock::empty("120344");
    lock.fold([learned(made("a", "11", 'a'), true), learned(made("b", "22", 'b'), true)]);
    let text = String::from_utf8(write::to_bytes(&lock)).unwrap();
    assert_eq!(read::by_lines(text.as_bytes()).as_ref(), Some(&lock));
    for head in ["\"stocks\":{},\"x\":{", "\"stocks\":{},\"x,\\\"stocks\":{", "\"x\":{\"stocks\":{"]
    {
        assert_eq!(read::by_lines(text.replace("\"stocks\":{", head).as_bytes()), None, "{head}");
    }
    let mut lines: Vec<_> = text.lines().collect();
    lines.swap(1, 2);
    assert_eq!(read::by_lines((lines.join("\n") + "\n").as_bytes()), None, "not in order");
    let twice = text.replace("\"b\":", "\"a\":");
    assert_eq!(read::by_lines(twice.as_bytes()), None);
    assert!(read::parse(twice.as_bytes()).unwrap_err().to_string().contains("twice"));
}

#[test]
fn a_replaced_stock_is_superseded_and_one_that_comes_back_is_not() {
    let mut lock = Lock::empty("1");
    let mut holders = lock.holders();
    for (id, digit) in [("1", 'a'), ("2", 'b'), ("1", 'a')] {
        lock.record(made("a", id, digit), &mut holders).unwrap();
    }
    let entry = &lock.stocks[&name("a")];
    assert_eq!(entry.stock_id, "1");
    let old: Vec<_> = entry.superseded.iter().map(|old| old.stock_id.as_str()).collect();
    assert_eq!(old, ["2"]);
    let taken = lock.record(made("b", "2", 'b'), &mut holders).unwrap_err();
    assert_eq!(taken.to_string(), "stock 2 is already recorded as `a`");
}

#[test]
fn a_result_folds_once_and_never_moves_what_is_held() {
    let mut lock = Lock::empty("1");
    let results = || {
        [
            learned(made("a", "1", 'a'), true),
            learned(made("a", "2", 'b'), false),
            learned(made("gone", "3", 'c'), false),
        ]
    };
    lock.fold(results());
    let once = lock.clone();
    lock.fold(results());
    assert_eq!(lock, once);
    assert_eq!(lock.stocks[&name("a")].stock_id, "1");
    assert_eq!(lock.stocks[&name("a")].superseded[0].stock_id, "2");
    assert_eq!(lock.stocks[&name("gone")].stock_id, "3");
    // Renamed since: an old journal must not bring the old name back.
    lock.rename(&name("a"), &name("b")).unwrap();
    let renamed = lock.clone();
    lock.fold(results());
    assert_eq!(lock, renamed);
    assert_eq!(lock.stocks[&name("b")].requested_as, Some(name("a")));
    lock.rename(&name("b"), &name("a")).unwrap();
    assert_eq!(lock.stocks[&name("a")].requested_as, None, "back at the name it was made from");
}

#[test]
fn a_journal_cut_off_at_any_byte_is_read_as_far_as_it_is_whole() {
    let records = [
        Record::Intent(intent("a", "1")),
        Record::Intent(intent("b", "2")),
        Record::Made(result("1")),
        Record::Intent(intent("c", "3")),
        Record::Unwanted(result("2")),
        Record::Closed(Closed { out_request_no: number("3"), reason: "refused".into() }),
    ];
    let lines: Vec<String> = records.iter().map(Record::to_line).collect();
    let whole = lines.concat();
    for cut in 0..=whole.len() {
        let read = journal::parse(&whole.as_bytes()[..cut]);
        let mut ends = 0;
        let complete = lines
            .iter()
            .take_while(|line| {
                ends += line.len();
                ends <= cut
            })
            .count();
        let (open, known) = [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (0, 2)][complete];
        assert_eq!(
            (read.open.len(), read.learned.len(), read.unread),
            (open, known, 0),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_damaged_line_is_passed_over_and_the_others_count() {
    let text = [
        Record::Intent(intent("a", "1")),
        Record::Made(result("1")),
        Record::Intent(intent("b", "2")),
    ]
    .map(|record| record.to_line());
    let damaged = format!("{}{}{}", text[0], text[1].replace("stock_id", "stock_ID"), text[2]);
    let read = journal::parse(damaged.as_bytes());
    assert_eq!((read.open.len(), read.learned.len(), read.unread), (2, 0, 1));
}

/// A workspace in which a hold was cut off, its journal cut to so many bytes.
fn begin(folder: &std::path::Path) -> Hold {
    Hold::begin(&folder.join("couponctl.lock"), "1", Duration::ZERO, "2026-11-23T02:00:00Z")
        .unwrap()
}

#[tokio::test]
async fn a_hold_after_a_cut_knows_every_result_and_every_open_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("couponctl.lock");
    let hold = begin(folder.path());
    let journal = hold.appender();
    for record in [
        Record::Intent(intent("a", "1")),
        Record::Made(result("1")),
        Record::Intent(intent("b", "2")),
        Record::Made(result("2")),
        Record::Intent(intent("c", "3")),
    ] {
        journal.append(&record).await.unwrap();
    }
    let text = std::fs::read(journal_path(&path)).unwrap();
    // As after `kill -9`: nothing is folded, and the operating system's lock is gone.
    let next_id =
        |lock: &Lock| lock.stocks.values().map(|entry| entry.stock_id.clone()).collect::<Vec<_>>();
    let other = tempfile::tempdir().unwrap();
    let other_path = other.path().join("couponctl.lock");
    let mut seen = BTreeMap::new();
    for cut in 0..=text.len() {
        let _ = std::fs::remove_file(&other_path);
        std::fs::write(journal_path(&other_path), &text[..cut]).unwrap();
        let next = begin(other.path());
        let open: Vec<_> = next.open.iter().map(|intent| intent.name.to_string()).collect();
        let ids = next_id(&next.lock);
        assert_eq!(ids, next_id(&read::read(&other_path, "1").unwrap()), "on disk already");
        assert_eq!(
            journal::parse(&std::fs::read(journal_path(&other_path)).unwrap()).open.len(),
            open.len()
        );
        *seen.entry((ids, open)).or_insert(0) += 1;
        next.finish(|_| {}).unwrap();
    }
    let states: Vec<_> = seen.into_keys().collect();
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        states,
        [
            (strings(&[]), strings(&[])),
            (strings(&[]), strings(&["a"])),
            (strings(&["1"]), strings(&[])),
            (strings(&["1"]), strings(&["b"])),
            (strings(&["1", "2"]), strings(&[])),
            (strings(&["1", "2"]), strings(&["c"])),
        ]
    );
    // The first hold is still held: nobody else gets in.
    assert!(
        Hold::begin(&path, "1", Duration::ZERO, "x")
            .unwrap_err()
            .to_string()
            .contains("another couponctl")
    );
    hold.finish(|_| {}).unwrap();
    assert_eq!(next_id(&read::read(&path, "1").unwrap()), ["1", "2"]);
    let next = begin(folder.path());
    assert_eq!(next.open.len(), 1, "the open request is kept");
    assert_eq!(next.folded, 0, "results are folded once");
}

#[test]
fn a_journal_of_a_later_version_or_of_another_brand_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("couponctl.lock");
    for (version, brand, says) in
        [(2, "1", "written by a later couponctl"), (1, "2", "belongs to brand 2")]
    {
        let run = journal::Run { version, brand_id: brand.into(), pid: 1, started_at: "x".into() };
        let text = Record::Run(run).to_line() + &Record::Intent(intent("a", "1")).to_line();
        std::fs::write(journal_path(&path), &text).unwrap();
        let refused = Hold::begin(&path, "1", Duration::ZERO, "x").unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert_eq!(std::fs::read_to_string(journal_path(&path)).unwrap(), text);
    }
}

#[cfg(unix)]
#[test]
fn a_lock_behind_a_link_is_written_where_the_link_leads_with_its_mode_kept() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("couponctl.lock"));
    std::fs::write(&real, write::to_bytes(&Lock::empty("1"))).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, &link).unwrap();
    let mut lock = Lock::empty("1");
    lock.fold([learned(made("a", "1", 'a'), true)]);
    write::write(&link, &lock).unwrap();
    assert!(link.is_symlink());
    assert_eq!(read::read(&real, "1").unwrap(), lock);
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let ids = ("[0-9]{1,20}", "[0-9a-f]{36}", "[0-9a-f]{64}");
    let unknown = || prop::collection::btree_map("x-.{0,5}", any_json(), 0..2);
    let old = (ids, unknown()).prop_map(|((id, request, sum), more)| Superseded {
        stock_id: id,
        out_request_no: number(&request),
        content_sha256: ContentSha256::parse(&sum).unwrap(),
        more,
    });
    let more = (prop::option::of("[a-z]{1,5}"), prop::collection::vec(old, 0..3), unknown());
    (".{0,9}", ids, 1i64..9, ".{0,9}", any_json(), more).prop_map(
        |(
            coupon,
            (id, request, sum),
            generation,
            created_at,
            stock,
            (as_name, superseded, unknown),
        )| Entry {
            product_coupon_id: coupon,
            stock_id: id,
            out_request_no: number(&request),
            generation,
            content_sha256: ContentSha256::parse(&sum).unwrap(),
            created_at,
            requested_as: as_name.map(|text| name(&text)),
            superseded,
            stock: RawValue::from_string(stock.to_string()).unwrap(),
            unknown,
        },
    )
}

proptest! {
    #[test]
    fn any_lock_survives_writing_and_reading_as_one_line_an_entry(
        entries in prop::collection::btree_map("[a-z][a-z0-9]{0,8}", any_entry(), 0..6),
        unknown in prop::collection::btree_map("x-.{0,5}", any_json(), 0..2),
    ) {
        let stocks: BTreeMap<_, _> = entries.into_iter().map(|(text, entry)| (name(&text), entry)).collect();
        let lock = Lock { brand_id: "120344".into(), stocks, unknown };
        let bytes = write::to_bytes(&lock);
        let read = read::parse(&bytes).unwrap();
        prop_assert_eq!(&read, &lock);
        let text = std::str::from_utf8(&bytes).unwrap();
        prop_assert_eq!(&read::whole(text).unwrap(), &lock);
        prop_assert_eq!(read::by_lines(text.as_bytes()), (!lock.stocks.is_empty()).then_some(lock.clone()));
        prop_assert_eq!(write::to_bytes(&read), bytes.clone());
        prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), lock.stocks.len() + 2);
    }

    #[test]
    fn no_cut_or_changed_byte_makes_a_lock_read_as_another_without_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut lock = Lock::empty("120344");
        lock.fold([learned(made("a", "11", 'a'), true), learned(made("b", "22", 'b'), true)]);
        let bytes = write::to_bytes(&lock);
        let cut = at.index(bytes.len() - 1);
        prop_assert!(read::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        let mut changed = bytes.clone();
        changed[cut] = byte;
        // Changed values can make another lock, but never a panic.
        let _ = read::parse(&changed);
    }

    #[test]
    fn what_is_read_by_lines_is_read_alike_as_a_whole(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, 0..12_usize), 0..4)
    ) {
        let scraps = ["", "\"", "{", "}", ",", "\n", "}}\n", "\\", ",\"stocks\":{", "\"b\":", " ", "\"x\":{},"];
        let mut lock = Lock::empty("120344");
        for (of, id) in [("a", "11"), ("b", "22"), ("c", "33")] {
            lock.fold([learned(made(of, id, 'a'), true)]);
        }
        let mut text: Vec<char> = String::from_utf8(write::to_bytes(&lock)).unwrap().chars().collect();
        for (at, cut, scrap) in changes {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, scraps[scrap].chars());
        }
        let text: String = text.into_iter().collect();
        if let Some(read) = read::by_lines(text.as_bytes()) {
            prop_assert_eq!(read::whole(&text).unwrap(), read, "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_a_journal_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = journal::parse(&bytes);
        prop_assert!(read.learned.is_empty() && read.open.is_empty());
    }
}
