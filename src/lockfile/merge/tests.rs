//! Merges of locks that grew apart: case by case, and by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::markers::to_bytes_with_markers;
use super::{Conflict, Merge, Side, merge};
use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::lockfile::{Entry, Lock, Made, read, write};

fn name(text: &str) -> StockName {
    StockName::parse(text).unwrap()
}

fn made(of: &str, id: u32) -> Made {
    Made {
        name: name(of),
        product_coupon_id: "200000001".into(),
        stock_id: id.to_string(),
        out_request_no: OutRequestNo::parse(&format!("cc1-{id:036}")).unwrap(),
        generation: 1,
        content_sha256: ContentSha256::parse(&format!("{id:064}")).unwrap(),
        created_at: "2026-11-23T02:00:00Z".into(),
        stock: RawValue::from_string(format!("{{\"remark\":\"{id}\"}}")).unwrap(),
    }
}

fn lock(stocks: &[(&str, u32)]) -> Lock {
    stocks.iter().fold(Lock::empty("1"), |lock, (name, id)| with(lock, name, *id))
}

/// The lock after a stock was made for a name, in the place of what stood there.
fn with(mut lock: Lock, of: &str, id: u32) -> Lock {
    let mut holders = lock.holders();
    lock.record(made(of, id), &mut holders).unwrap();
    lock
}

fn moved(mut lock: Lock, old: &str, new: &str) -> Lock {
    lock.rename(&name(old), &name(new)).unwrap();
    lock
}

fn without(mut lock: Lock, of: &str) -> Lock {
    lock.stocks.remove(&name(of)).unwrap();
    lock
}

fn changed(mut lock: Lock, of: &str, change: impl FnOnce(&mut Entry)) -> Lock {
    change(lock.stocks.get_mut(&name(of)).unwrap());
    lock
}

#[track_caller]
fn clean(base: &Lock, ours: &Lock, theirs: &Lock) -> Lock {
    let merged = merge(Some(base), ours, theirs).unwrap();
    assert_eq!(merged.conflicts, []);
    merged.lock
}

#[track_caller]
fn conflict(base: &Lock, ours: &Lock, theirs: &Lock) -> Conflict {
    let merged = merge(Some(base), ours, theirs).unwrap();
    assert_eq!(merged.conflicts.len(), 1, "{:?}", merged.conflicts);
    merged.conflicts[0].clone()
}

fn ids(entry: &Entry) -> Vec<&str> {
    entry.stock_ids().collect()
}

#[test]
fn what_one_side_added_changed_or_took_out_is_taken_and_so_is_what_both_did_alike() {
    let base = lock(&[("changes", 1), ("goes", 2), ("stays", 3), ("goes-on-both", 4)]);
    let ours = without(without(with(base.clone(), "ours", 5), "goes"), "goes-on-both");
    let theirs = without(with(with(base.clone(), "theirs", 6), "changes", 7), "goes-on-both");
    let (ours, theirs) = (with(ours, "both", 8), with(theirs, "both", 8));
    let expected = lock(&[("changes", 1), ("stays", 3), ("ours", 5), ("theirs", 6), ("both", 8)]);
    assert_eq!(clean(&base, &ours, &theirs), with(expected, "changes", 7));
}

#[test]
fn two_stocks_for_one_name_are_a_conflict_and_either_choice_keeps_both_ids() {
    let base = lock(&[("a", 1)]);
    let (ours, theirs) = (with(base.clone(), "a", 2), with(base.clone(), "a", 3));
    let merged = merge(Some(&base), &ours, &theirs).unwrap();
    let two = Conflict::TwoStocks { name: name("a"), ours: "2".into(), theirs: "3".into() };
    assert_eq!(merged.conflicts, [two]);
    let sides = &merged.undecided[&name("a")];
    assert_eq!(ids(sides.ours.as_ref().unwrap()), ["2", "1", "3"]);
    assert_eq!(ids(sides.theirs.as_ref().unwrap()), ["3", "1", "2"]);
}

#[test]
fn the_same_stock_recorded_at_two_times_was_recorded_at_the_earlier() {
    let late = |entry: &mut Entry| entry.created_at = "2026-11-24T00:00:00Z".into();
    let (early_lock, late_lock) = (lock(&[("a", 1)]), changed(lock(&[("a", 1)]), "a", late));
    let base = lock(&[]);
    assert_eq!(clean(&base, &early_lock, &late_lock), early_lock);
    assert_eq!(clean(&base, &late_lock, &early_lock), early_lock);
    // The same, once it was replaced on both branches.
    let (ours, theirs) = (with(early_lock.clone(), "a", 2), with(late_lock, "a", 2));
    assert_eq!(clean(&base, &theirs, &ours), ours);
}

#[test]
fn the_side_that_replaced_the_other_sides_stock_wins_and_every_superseded_id_stays() {
    let base = lock(&[]);
    let ours = with(lock(&[("a", 1)]), "a", 2);
    let theirs = with(with(lock(&[("a", 7)]), "a", 1), "a", 2);
    let theirs = with(theirs, "a", 3);
    let merged = clean(&base, &ours, &theirs);
    assert_eq!(ids(&merged.stocks[&name("a")]), ["3", "7", "1", "2"]);
    let mirrored = clean(&base, &theirs, &ours);
    assert_eq!(mirrored, merged);
    let other = with(with(lock(&[("a", 8)]), "a", 1), "a", 2);
    let both = clean(&base, &other, &theirs);
    assert_eq!(ids(&both.stocks[&name("a")]), ["3", "7", "1", "2", "8"]);
}

#[test]
fn a_side_that_went_back_to_an_earlier_stock_wins_over_one_that_stayed() {
    let base = with(lock(&[("a", 1)]), "a", 2);
    let back = with(base.clone(), "a", 1);
    let stayed = changed(base.clone(), "a", |entry| {
        entry.unknown.insert("note".into(), "x".into());
    });
    let merged = clean(&base, &back, &stayed);
    let entry = &merged.stocks[&name("a")];
    assert_eq!(ids(entry), ["1", "2"]);
    assert_eq!(entry.superseded[0].more["note"], "x", "what was noted goes where its stock goes");
    let nobody = lock(&[]);
    let each = Conflict::EachInUse { name: name("a"), ours: "1".into(), theirs: "2".into() };
    assert_eq!(conflict(&nobody, &back, &base), each);
}

#[test]
fn the_same_field_changed_differently_is_a_conflict_and_different_fields_are_not() {
    let base = lock(&[("a", 1)]);
    let note = |key: &'static str, value: &'static str| {
        changed(base.clone(), "a", |entry| {
            entry.unknown.insert(key.into(), value.into());
        })
    };
    let merged = clean(&base, &note("x", "1"), &note("y", "2"));
    assert_eq!(merged.stocks[&name("a")].unknown.len(), 2);
    let both = Conflict::Changed { name: name("a"), fields: vec!["x".into()] };
    assert_eq!(conflict(&base, &note("x", "1"), &note("x", "2")), both);
    let generation = |number| changed(base.clone(), "a", |entry| entry.generation = number);
    let both = Conflict::Changed { name: name("a"), fields: vec!["generation".into()] };
    assert_eq!(conflict(&base, &generation(2), &generation(3)), both);
    assert_eq!(clean(&base, &generation(2), &note("x", "1")).stocks[&name("a")].generation, 2);
}

#[test]
fn an_entry_taken_out_here_and_replaced_there_is_a_conflict() {
    let base = lock(&[("a", 1), ("z", 9)]);
    let (ours, theirs) = (without(base.clone(), "a"), with(base.clone(), "a", 2));
    let removed = |by| Conflict::Removed { name: name("a"), by, stock_id: "2".into() };
    assert_eq!(conflict(&base, &ours, &theirs), removed(Side::Ours));
    assert_eq!(conflict(&base, &theirs, &ours), removed(Side::Theirs));
}

#[test]
fn a_stock_renamed_on_both_sides_differently_is_a_conflict_of_both_names() {
    let base = lock(&[("a", 1), ("m", 2)]);
    let (ours, theirs) = (moved(base.clone(), "a", "b"), moved(base.clone(), "a", "c"));
    let names = vec![name("b"), name("c")];
    let several = Conflict::SeveralNames { names, stock_ids: vec!["1".into()] };
    let merged = merge(Some(&base), &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, [several]);
    assert_eq!(merged.lock, lock(&[("m", 2)]));
    assert_eq!(choose(&merged, Side::Ours), ours);
    assert_eq!(choose(&merged, Side::Theirs), theirs);
    assert_eq!(clean(&base, &ours, &ours), ours, "renamed alike");
}

#[test]
fn a_stock_renamed_here_and_replaced_there_shows_both_names() {
    let base = lock(&[("a", 1)]);
    let (ours, theirs) = (moved(base.clone(), "a", "b"), with(base.clone(), "a", 2));
    let merged = merge(Some(&base), &ours, &theirs).unwrap();
    let names: Vec<_> = merged.undecided.keys().map(StockName::as_str).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(choose(&merged, Side::Theirs), theirs);
}

#[test]
fn a_stock_that_a_broken_base_has_twice_is_not_lost_when_each_side_takes_out_one() {
    let base = changed(lock(&[("a", 1), ("b", 2)]), "b", |entry| {
        entry.superseded.push(Entry::from(made("b", 1)).into_superseded().0);
    });
    let ours = without(base.clone(), "a");
    let theirs = changed(base.clone(), "b", |entry| entry.superseded.clear());
    let names = vec![name("a"), name("b")];
    let several = Conflict::SeveralNames { names, stock_ids: vec!["1".into()] };
    assert_eq!(conflict(&base, &ours, &theirs), several);
}

#[test]
fn locks_of_two_brands_are_not_merged_and_a_base_of_another_brand_does_not_count() {
    let other = Lock::empty("2");
    assert_eq!(
        merge(None, &lock(&[]), &other).unwrap_err().to_string(),
        "our side belongs to brand 1, their side to brand 2"
    );
    let mut base = lock(&[("a", 1)]);
    base.brand_id = "2".into();
    let merged = merge(Some(&base), &lock(&[("a", 1)]), &lock(&[])).unwrap();
    assert_eq!(merged.lock, lock(&[("a", 1)]), "added, and not taken out");
}

#[test]
fn conflicts_stand_between_markers_around_their_lines_alone() {
    let base = lock(&[("b", 2), ("d", 4)]);
    let ours = without(with(with(base.clone(), "b", 5), "a", 1), "d");
    let theirs = with(with(with(base.clone(), "b", 6), "c", 3), "d", 7);
    let merged = merge(Some(&base), &ours, &theirs).unwrap();
    let text = String::from_utf8(to_bytes_with_markers(&merged)).unwrap();
    let short: String = text
        .lines()
        .map(|line| {
            let comma = if line.ends_with(',') { "," } else { "" };
            format!("{}{comma}\n", line.split(":{\"product").next().unwrap().trim_end_matches(','))
        })
        .collect();
    insta::assert_snapshot!(short);
    assert_eq!(read::parse(text.as_bytes()).unwrap_err().to_string().get(..6), Some("line 3"));
}

/// The lock after a person kept one side everywhere, parsed from the text with markers.
#[track_caller]
fn choose(merged: &Merge, keep: Side) -> Lock {
    let text = String::from_utf8(to_bytes_with_markers(merged)).unwrap();
    let mut place = None;
    let mut kept = String::new();
    for line in text.lines() {
        match line {
            "<<<<<<< ours" => place = Some(Side::Ours),
            "=======" => place = Some(Side::Theirs),
            ">>>>>>> theirs" => place = None,
            _ if place.is_none_or(|side| side == keep) => kept.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    read::parse(kept.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn all_ids(lock: &Lock) -> BTreeSet<&str> {
    lock.stocks.values().flat_map(Entry::stock_ids).collect()
}

/// Something that happens to a lock on a branch.
#[derive(Debug, Clone)]
enum Deed {
    Make(usize, u32),
    Move(usize, usize),
    TakeOut(usize),
    Note(usize, u8),
    Time(usize, u8),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..2usize, 1..6u32).prop_map(|(name, id)| Deed::Make(name, id)),
        2 => (0..4usize, 0..4usize).prop_map(|(old, new)| Deed::Move(old, new)),
        1 => (0..4usize).prop_map(Deed::TakeOut),
        1 => (0..4usize, 0..3u8).prop_map(|(name, note)| Deed::Note(name, note)),
        1 => (0..4usize, 0..3u8).prop_map(|(name, hour)| Deed::Time(name, hour)),
    ];
    prop::collection::vec(deed, 0..6)
}

/// Carries out what can be carried out.
fn after(lock: &Lock, deeds: &[Deed]) -> Lock {
    let mut lock = lock.clone();
    for deed in deeds {
        match deed {
            Deed::Make(index, id) => {
                let mut holders = lock.holders();
                let _ = lock.record(made(NAMES[*index], *id), &mut holders);
            }
            Deed::Move(old, new) => {
                let _ = lock.rename(&name(NAMES[*old]), &name(NAMES[*new]));
            }
            Deed::TakeOut(index) => {
                lock.stocks.remove(&name(NAMES[*index]));
            }
            Deed::Note(index, note) => {
                if let Some(entry) = lock.stocks.get_mut(&name(NAMES[*index])) {
                    entry.unknown.insert("note".into(), (*note).into());
                }
            }
            Deed::Time(index, hour) => {
                if let Some(entry) = lock.stocks.get_mut(&name(NAMES[*index])) {
                    entry.created_at = format!("2026-11-23T{hour:02}:00:00Z");
                }
            }
        }
    }
    lock
}

/// A base and two sides that grew out of it by what couponctl does to a lock.
fn histories() -> impl Strategy<Value = (Lock, Lock, Lock)> {
    (deeds(), deeds(), deeds()).prop_map(|(before, ours, theirs)| {
        let base = after(&Lock::empty("1"), &before);
        let (ours, theirs) = (after(&base, &ours), after(&base, &theirs));
        (base, ours, theirs)
    })
}

/// Any lock at all, ids under several names and several times under one included.
fn any_lock() -> impl Strategy<Value = Lock> {
    let entry = (1..6u32, prop::collection::vec(1..6u32, 0..3));
    prop::collection::btree_map(0..4usize, entry, 0..4).prop_map(|entries| {
        let mut lock = Lock::empty("1");
        lock.stocks = entries
            .into_iter()
            .map(|(index, (id, older))| {
                let of = NAMES[index];
                let mut entry = Entry::from(made(of, id));
                let older = older.into_iter().map(|id| Entry::from(made(of, id)));
                entry.superseded = older.map(|old| old.into_superseded().0).collect();
                (name(of), entry)
            })
            .collect::<BTreeMap<_, _>>();
        lock
    })
}

/// A base and two sides that have some of its entries, some others, and lack some.
fn any_locks() -> impl Strategy<Value = (Lock, Lock, Lock)> {
    let side = || (any_lock(), prop::collection::vec(any::<bool>(), 4));
    (any_lock(), side(), side()).prop_map(|(base, ours, theirs)| {
        let [ours, theirs] = [ours, theirs].map(|(mut side, stays)| {
            for (name, stays) in NAMES.map(name).into_iter().zip(stays) {
                if stays {
                    side.stocks.remove(&name);
                    side.stocks.extend(base.stocks.get(&name).map(|it| (name, it.clone())));
                }
            }
            side
        });
        (base, ours, theirs)
    })
}

fn no_id_is_lost(base: &Lock, ours: &Lock, theirs: &Lock) -> Result<Merge, TestCaseError> {
    let merged = merge(Some(base), ours, theirs).unwrap();
    let text = String::from_utf8(to_bytes_with_markers(&merged)).unwrap();
    let (before, left, right, kept) =
        (all_ids(base), all_ids(ours), all_ids(theirs), all_ids(&merged.lock));
    for id in left.union(&right) {
        let taken_out = before.contains(id) && !(left.contains(id) && right.contains(id));
        let there = text.contains(&format!("\"stock_id\":\"{id}\""));
        prop_assert!(taken_out || there, "{id} is lost:\n{text}");
        if merged.conflicts.is_empty() {
            prop_assert!(taken_out || kept.contains(id), "{id} is lost:\n{text}");
        }
    }
    prop_assert_eq!(merged.conflicts.is_empty(), !text.contains("<<<<<<<"));
    Ok(merged)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_merge_of_two_histories_loses_an_id((base, ours, theirs) in histories()) {
        let merged = no_id_is_lost(&base, &ours, &theirs)?;
        if merged.conflicts.is_empty() {
            let bytes = write::to_bytes(&merged.lock);
            prop_assert_eq!(&read::parse(&bytes).unwrap(), &merged.lock);
            let names = super::holders(&merged.lock.stocks);
            prop_assert!(names.values().all(|names| names.len() == 1), "{:?}", names);
            for entry in merged.lock.stocks.values() {
                let once: BTreeSet<_> = entry.stock_ids().collect();
                prop_assert_eq!(once.len(), entry.stock_ids().count(), "{:?}", entry);
            }
        }
    }

    #[test]
    fn no_merge_of_any_locks_loses_an_id((base, ours, theirs) in any_locks()) {
        no_id_is_lost(&base, &ours, &theirs)?;
    }

    #[test]
    fn whichever_side_is_kept_of_a_conflict_a_lock_comes_out((base, ours, theirs) in histories()) {
        let merged = no_id_is_lost(&base, &ours, &theirs)?;
        for side in [Side::Ours, Side::Theirs] {
            let chosen = choose(&merged, side);
            let two_lines = merged.undecided.values().all(|it| it.ours.is_some() && it.theirs.is_some());
            let several = |conflict: &Conflict| matches!(conflict, Conflict::SeveralNames { .. });
            if two_lines && !merged.conflicts.iter().any(several) {
                let (before, left, right) = (all_ids(&base), all_ids(&ours), all_ids(&theirs));
                for id in left.union(&right).filter(|id| !before.contains(*id)) {
                    prop_assert!(all_ids(&chosen).contains(id), "{id} is lost with {side:?}");
                }
            }
            let names = super::holders(&chosen.stocks);
            prop_assert!(names.values().all(|names| names.len() == 1), "{:?}", names);
        }
    }

    #[test]
    fn a_side_that_changed_nothing_gives_way_and_equal_sides_are_the_result((base, side, _) in histories()) {
        prop_assert_eq!(clean(&base, &side, &base), side.clone());
        prop_assert_eq!(clean(&base, &base, &side), side.clone());
        prop_assert_eq!(clean(&base, &side, &side), side.clone());
        prop_assert_eq!(merge(None, &side, &side).unwrap().lock, side);
    }

    #[test]
    fn the_two_sides_count_alike((base, ours, theirs) in histories()) {
        let sorted = |lock: &Lock| {
            let mut lock = lock.clone();
            for entry in lock.stocks.values_mut() {
                entry.superseded.sort_by(|a, b| a.stock_id.cmp(&b.stock_id));
            }
            lock
        };
        let (one, other) =
            (merge(Some(&base), &ours, &theirs).unwrap(), merge(Some(&base), &theirs, &ours).unwrap());
        prop_assert_eq!(sorted(&one.lock), sorted(&other.lock));
        prop_assert_eq!(one.conflicts.len(), other.conflicts.len());
    }
}
