//! A plan through the cache is the plan without, whatever happens to the files, the lock, the clock and
//! the cache itself in between.

use std::fs::{self, File, FileTimes};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::*;
use crate::config::{self, Flags};
use crate::desired::diagnostic::Severity;
use crate::identity::canonical_stock;
use crate::lockfile::{FILE_NAME, Made, write};
use crate::plan::{self, Plan};
use crate::render::{plan_json, problems};
use crate::stamp::TIME_STEP;

/// What happens between two plans.
#[derive(Debug, Clone)]
enum Event {
    /// A file is written: which, which text, and whether its time is then set back to what it was.
    Write(usize, usize, bool),
    Remove(usize),
    /// One file takes the place of another.
    Rename(usize, usize),
    /// The lock is as an apply would leave it; without its last entry, where wanted.
    Lock(bool),
    /// Somebody leaves a journal, or it goes.
    Journal(bool),
    /// So long that times can be told apart.
    Wait,
    /// The cache is cut off, or one byte of it is another.
    CutCache(usize),
    HarmCache(usize),
    /// Periods end.
    Later,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => (0..4_usize, 0..8_usize, any::<bool>()).prop_map(|(f, t, back)| Event::Write(f, t, back)),
        1 => (0..4_usize).prop_map(Event::Remove),
        1 => (0..4_usize, 0..4_usize).prop_map(|(from, to)| Event::Rename(from, to)),
        3 => any::<bool>().prop_map(Event::Lock),
        1 => any::<bool>().prop_map(Event::Journal),
        4 => Just(Event::Wait),
        1 => (0..2000_usize).prop_map(Event::CutCache),
        1 => (0..2000_usize).prop_map(Event::HarmCache),
        1 => Just(Event::Later),
    ];
    prop::collection::vec(event, 1..14)
}

/// Texts of nearly the same length. Some are wrong, one has a warning, one has two documents.
fn text(number: usize) -> String {
    let good = include_str!("../../examples/smallest/stocks/coffee.yaml");
    let name = |name: &str| good.replacen("coffee-3-off", name, 1);
    match number {
        0 => name("coffee-1-off"),
        1 => name("coffee-2-off"),
        2 => good.replacen("max_count: 1000", "max_count: 1001", 1),
        3 => name("coffee-4-off").replacen("max_count: 1000", "max_count: 1002", 1),
        4 => good.replacen("stock:", "stack:", 1),
        5 => name("coffee-5-off").replacen("WECHATPAY", "UPLOAD", 1),
        6 => format!(
            "{}---\n{}",
            name("coffee-6-off"),
            name("coffee-7-off").replacen("1000", "7", 1)
        ),
        _ => String::new(),
    }
}

struct Place {
    folder: TempDir,
    now: Timestamp,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("couponctl.yaml"), "brand_id: \"120344\"\n").unwrap();
        fs::create_dir_all(folder.path().join("stocks/x")).unwrap();
        Self { folder, now: "2026-12-01T00:00:00Z".parse().unwrap() }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, file: usize) -> std::path::PathBuf {
        self.root()
            .join(["stocks/a.yaml", "stocks/b.yaml", "stocks/x/c.yaml", "stocks/d.yml"][file])
    }

    fn config(&self) -> Config {
        config::load(self.root().to_owned(), &Flags::default(), &|_| None).unwrap()
    }

    fn lock_path(&self) -> std::path::PathBuf {
        self.root().join(FILE_NAME)
    }

    fn cached(&self) -> Basis {
        survey(&self.config(), &self.lock_path(), self.now).unwrap()
    }

    fn uncached(&self) -> Basis {
        pass_over(&self.config(), &self.lock_path(), self.now).unwrap()
    }

    fn lock(&self, without_last: bool) {
        let Basis { loaded, view, .. } = self.uncached();
        let mut lock = view.unwrap().lock;
        let plan = plan::plan(&loaded.stocks, &lock, Vec::new());
        for (number, change) in plan.to_do().enumerate() {
            let Some(stock) = change.after.as_deref() else { continue };
            let made = Made {
                name: change.name.clone(),
                product_coupon_id: change.product_coupon_id.clone(),
                stock_id: format!("{}{number}", lock.stocks.len()),
                out_request_no: change.out_request_no.clone(),
                generation: change.generation,
                content_sha256: change.content_sha256.clone(),
                created_at: String::new(),
                stock: RawValue::from_string(canonical_stock(stock)).unwrap(),
            };
            lock.stocks.insert(change.name.clone(), made.into());
        }
        if without_last {
            lock.stocks.pop_last();
        }
        write::write(&self.lock_path(), &lock).unwrap();
    }

    fn carry_out(&mut self, event: &Event) {
        let cache = format::path(self.root());
        match event {
            Event::Write(file, number, back) => {
                let path = self.file(*file);
                let before = path.metadata().and_then(|seen| seen.modified());
                fs::write(&path, text(*number)).unwrap();
                if let (true, Ok(before)) = (back, before) {
                    let times = FileTimes::new().set_modified(before);
                    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
                }
            }
            Event::Remove(file) => _ = fs::remove_file(self.file(*file)),
            Event::Rename(from, to) => _ = fs::rename(self.file(*from), self.file(*to)),
            Event::Lock(without_last) => self.lock(*without_last),
            Event::Journal(true) => {
                fs::write(hold::journal_path(&self.lock_path()), "x\n").unwrap();
            }
            Event::Journal(false) => _ = fs::remove_file(hold::journal_path(&self.lock_path())),
            Event::Wait => std::thread::sleep(TIME_STEP + Duration::from_millis(15)),
            Event::CutCache(at) => {
                if let Ok(bytes) = fs::read(&cache) {
                    fs::write(cache, &bytes[..*at.min(&bytes.len())]).unwrap();
                }
            }
            Event::HarmCache(at) => {
                if let Ok(mut bytes) = fs::read(&cache)
                    && let Some(byte) = bytes.get_mut(*at)
                {
                    *byte ^= 1;
                    fs::write(cache, bytes).unwrap();
                }
            }
            Event::Later => self.now = "2027-06-01T00:00:00Z".parse().unwrap(),
        }
    }
}

/// All that a plan says.
fn said(basis: &Basis) -> (String, String, Option<String>) {
    let problems = problems::text(&basis.loaded.diagnostics, false);
    let has_error = basis.loaded.diagnostics.iter().any(|it| it.severity == Severity::Error);
    let plan = (!has_error).then(|| {
        let mut text = Vec::new();
        plan_json::write(&planned(basis), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    });
    let view = basis.view.as_ref();
    (problems, view.err().map_or_else(String::new, ToString::to_string), plan)
}

fn planned(basis: &Basis) -> Plan {
    let view = basis.view.as_ref().unwrap();
    let open = view.journal.open.values().cloned().collect();
    plan::plan_beside(&basis.passed_over, &basis.loaded.stocks, &view.lock, open)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_plan_through_the_cache_is_the_plan_without(rounds in prop::collection::vec(events(), 1..6)) {
        let mut place = Place::new();
        for round in rounds {
            for event in &round {
                place.carry_out(event);
                if matches!(event, Event::Wait) {
                    // What is here now may be kept, and be used after what comes next.
                    place.cached();
                }
            }
            prop_assert_eq!(said(&place.cached()), said(&place.uncached()));
        }
    }
}

/// A workspace of two stocks that the lock has, and whose cache is written.
fn settled() -> Place {
    let mut place = Place::new();
    place.carry_out(&Event::Write(0, 0, false));
    place.carry_out(&Event::Write(1, 2, false));
    place.lock(false);
    place.carry_out(&Event::Wait);
    assert_eq!(place.cached().loaded.files, 2, "nothing is known yet");
    // A cache that is younger than what it tells of by less than a step of time is not believed.
    let cached = place.cached();
    assert!((0..=2).contains(&cached.loaded.files));
    place
}

#[test]
fn what_did_not_change_is_not_read_and_no_lock_is_parsed() {
    let place = settled();
    let before = fs::metadata(format::path(place.root())).unwrap().modified().unwrap();
    let Basis { loaded, passed_over, view } = place.cached();
    assert_eq!((loaded.files, passed_over.count), (0, 2));
    assert!(view.unwrap().lock.stocks.is_empty(), "not read");
    let after = fs::metadata(format::path(place.root())).unwrap().modified().unwrap();
    assert_eq!(before, after, "a cache that says the same is not written again");
}

#[test]
fn only_the_file_that_changed_is_read() {
    let mut place = settled();
    place.carry_out(&Event::Write(1, 3, false));
    let basis = place.cached();
    assert_eq!((basis.loaded.files, basis.passed_over.count), (1, 1));
    let summary = planned(&basis).summary();
    assert_eq!((summary.unchanged, summary.create, summary.orphan), (1, 1, 1));
    assert_eq!(said(&basis), said(&place.uncached()));
}

#[test]
fn a_cache_of_another_program_or_a_later_format_is_none() {
    let place = settled();
    let path = format::path(place.root());
    let bytes = fs::read(&path).unwrap();
    for (from, to) in [
        (&b"couponctl cache 2"[..], &b"couponctl cache 3"[..]),
        (env!("CARGO_PKG_VERSION").as_bytes(), b"9.9.9"),
    ] {
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        let body = bytes.len() - 8;
        let mut other = [&bytes[..at], to, &bytes[at + from.len()..body]].concat();
        let sum = format::checksum(&other);
        other.extend_from_slice(&sum);
        fs::write(&path, other).unwrap();
        assert_eq!(place.cached().loaded.files, 2);
    }
}

#[test]
fn a_workspace_that_cannot_be_written_to_plans_all_the_same() {
    let place = settled();
    fs::remove_dir_all(place.root().join(".couponctl")).unwrap();
    fs::write(place.root().join(".couponctl"), "in the way").unwrap();
    let basis = place.cached();
    assert_eq!(basis.loaded.files, 2);
    assert_eq!(said(&basis), said(&place.uncached()));
}

#[test]
fn a_product_coupon_with_too_many_stocks_is_told_by_who_reads_everything() {
    let place = Place::new();
    for number in 0..201 {
        let name = format!("coffee-{number}-off");
        let count = format!("max_count: {}", 1000 + number);
        let text =
            text(2).replacen("coffee-3-off", &name, 1).replacen("max_count: 1001", &count, 1);
        fs::write(place.root().join(format!("stocks/{number}.yaml")), text).unwrap();
    }
    place.lock(false);
    std::thread::sleep(TIME_STEP * 2);
    for _ in 0..3 {
        let basis = place.cached();
        assert_eq!(basis.loaded.stocks.len(), 201);
        assert_eq!(basis.view.unwrap().lock.stocks.len(), 201);
    }
}

#[test]
fn what_was_written_the_moment_before_it_was_read_is_not_kept() {
    let mut place = settled();
    // A slow machine may take longer than a step of time between two lines; not every time.
    let is_read_again = (0..20).any(|_| {
        place.carry_out(&Event::Write(0, 0, false));
        place.cached();
        place.cached().loaded.files == 1
    });
    assert!(is_read_again);
}
