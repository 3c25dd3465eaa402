//! Every rule broken once, and held against the sandbox's own reading and the schema; and documents
//! made by chance, on which all three must agree.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rule::{RULES, Rule};
use crate::desired::diagnostic::Severity;
use crate::desired::{DesiredStock, StockDocument, check_text, check_text_carefully, schema};
use crate::identity;
use crate::sandbox;
use crate::wechatpay::stock::Stock;

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn period() -> Value {
    json!({"available_begin_time": "2026-12-01T00:00:00+08:00", "available_end_time": "2027-02-28T23:59:59+08:00"})
}

/// A document that breaks no rule, with a single rule.
fn single() -> Value {
    json!({"name": "a", "product_coupon_id": "200000001", "stock": {
        "remark": "r",
        "coupon_code_mode": "WECHATPAY",
        "stock_send_rule": {"max_count": 1000, "max_count_per_day": 100, "max_count_per_user": 1},
        "single_usage_rule": {
            "coupon_available_period": period(),
            "normal_coupon": {"threshold": 10000, "discount_amount": 1000},
        },
        "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "d"},
        "coupon_display_info": {"code_display_mode": "QRCODE"},
        "notify_config": {"notify_appid": "wx1"},
        "store_scope": "NONE",
    }})
}

/// The same with a sequential rule.
fn sequential() -> Value {
    let mut document = single();
    let stock = document["stock"].as_object_mut().unwrap();
    stock.remove("single_usage_rule");
    stock.insert(
        "sequential_usage_rule".into(),
        json!({
            "coupon_available_period": period(),
            "normal_coupon_list": [{"threshold": 0, "discount_amount": 100}],
        }),
    );
    document
}

/// Sets the value of a pointer, making the objects on its way; null removes it.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if document.pointer(parent).is_none() {
        set(document, parent, json!({}));
    }
    match (document.pointer_mut(parent).unwrap(), value) {
        (Value::Array(items), value) => items.push(value),
        (Value::Object(fields), Value::Null) => drop(fields.remove(key)),
        (parent, value) => parent[key] = value,
    }
}

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft7::new(&schema::json()).unwrap());

fn broken(document: &Value) -> Vec<Rule> {
    let document: StockDocument = serde_json::from_value(document.clone()).unwrap();
    super::check(&document, now()).into_iter().map(|problem| problem.rule).collect()
}

/// What the schema can say of a broken rule.
#[derive(Clone, Copy, PartialEq)]
enum Schema {
    Says,
    Cannot,
}
use Schema::{Cannot, Says};

const SEND: &str = "/stock/stock_send_rule";
const SINGLE: &str = "/stock/single_usage_rule";
const PERIOD: &str = "/stock/single_usage_rule/coupon_available_period";
const INFO: &str = "/stock/usage_rule_display_info";
const DISPLAY: &str = "/stock/coupon_display_info";

/// Every rule on a document, broken by one change to a good one.
#[allow(clippy::too_many_lines)] // a table
fn cases() -> Vec<(Rule, Schema, String, Value)> {
    let long = |number: usize| Value::from("长".repeat(number));
    let at = |prefix: &str, key: &str| format!("{prefix}/{key}");
    let week = |spans: Value| json!({"day_period_list": spans});
    let span = |begin: i64, end: i64| json!({"begin_time": begin, "end_time": end});
    let mini = |wording: &str, guidance: &str| json!({"appid": "a", "path": "p", "entrance_wording": wording, "guidance_wording": guidance});
    let finder = |url: &str| json!({"finder_id": "f", "finder_video_id": "v", "finder_video_cover_image_url": url});
    vec![
        (Rule::NameInvalid, Says, "/name".into(), json!("Spring_Sale")),
        (Rule::GenerationOutOfRange, Says, "/generation".into(), json!(0)),
        (Rule::ProductCouponIdInvalid, Says, "/product_coupon_id".into(), json!("２００")),
        (Rule::ProductCouponIdInvalid, Says, "/product_coupon_id".into(), json!("1".repeat(41))),
        (Rule::TextEmpty, Says, at(INFO, "usage_description"), json!("")),
        (Rule::AmbiguousText, Cannot, "/stock/remark".into(), json!("yes")),
        (Rule::FullWidthQuotes, Cannot, "/stock/remark".into(), json!("“满减”")),
        (Rule::RemarkTooLong, Says, "/stock/remark".into(), long(21)),
        (Rule::MaxCountOutOfRange, Says, at(SEND, "max_count"), json!(100_000_001)),
        (Rule::MaxCountPerDayOutOfRange, Says, at(SEND, "max_count_per_day"), json!(0)),
        (Rule::MaxCountPerUserOutOfRange, Says, at(SEND, "max_count_per_user"), json!(101)),
        (Rule::DailyAboveTotal, Cannot, at(SEND, "max_count_per_day"), json!(1001)),
        (Rule::CodesToUpload, Cannot, "/stock/coupon_code_mode".into(), json!("UPLOAD")),
        (Rule::ApiAssignChannels, Cannot, "/stock/coupon_code_mode".into(), json!("API_ASSIGN")),
        (Rule::UsageRuleCount, Says, SINGLE.into(), Value::Null),
        (
            Rule::UsageRuleCount,
            Says,
            "/stock/sequential_usage_rule".into(),
            json!({"coupon_available_period": period()}),
        ),
        (
            Rule::CouponKindCount,
            Says,
            at(SINGLE, "discount_coupon"),
            json!({"threshold": 0, "percent_off": 30}),
        ),
        (Rule::ThresholdOutOfRange, Says, at(SINGLE, "normal_coupon/threshold"), json!(-1)),
        (
            Rule::DiscountAmountOutOfRange,
            Says,
            at(SINGLE, "normal_coupon/discount_amount"),
            json!(0),
        ),
        (
            Rule::DiscountAboveThreshold,
            Cannot,
            at(SINGLE, "normal_coupon/discount_amount"),
            json!(10001),
        ),
        (
            Rule::TimeInvalid,
            Says,
            at(PERIOD, "available_begin_time"),
            json!("2026-12-01T00:00+08:00"),
        ),
        (
            Rule::PeriodReversed,
            Cannot,
            at(PERIOD, "available_end_time"),
            json!("2026-12-01T00:00:00+08:00"),
        ),
        (
            Rule::PeriodTooLong,
            Cannot,
            at(PERIOD, "available_end_time"),
            json!("2027-12-01T00:00:01+08:00"),
        ),
        (
            Rule::PeriodShort,
            Cannot,
            at(PERIOD, "available_end_time"),
            json!("2026-12-05T23:59:59+08:00"),
        ),
        (Rule::AvailableDaysOutOfRange, Says, at(PERIOD, "available_days"), json!(366)),
        (Rule::WaitDaysAlone, Says, at(PERIOD, "wait_days_after_receive"), json!(1)),
        (
            Rule::DayRepeated,
            Says,
            at(PERIOD, "weekly_available_period"),
            json!({"day_list": ["MONDAY", "MONDAY"]}),
        ),
        (
            Rule::DaySecondOutOfRange,
            Says,
            at(PERIOD, "weekly_available_period"),
            week(json!([span(0, 86400)])),
        ),
        (
            Rule::DayPeriodReversed,
            Cannot,
            at(PERIOD, "weekly_available_period"),
            week(json!([span(100, 100)])),
        ),
        (
            Rule::DayPeriodsOverlap,
            Cannot,
            at(PERIOD, "weekly_available_period"),
            week(json!([span(50, 200), span(0, 100)])),
        ),
        (
            Rule::IrregularPeriodReversed,
            Cannot,
            at(PERIOD, "irregular_available_period_list"),
            json!([{"begin_time": "2027-01-02T00:00:00Z", "end_time": "2027-01-01T00:00:00Z"}]),
        ),
        (Rule::UsageMethodEmpty, Says, at(INFO, "coupon_usage_method_list"), json!([])),
        (
            Rule::UsageMethodRepeated,
            Says,
            at(INFO, "coupon_usage_method_list"),
            json!(["OFFLINE", "OFFLINE"]),
        ),
        (Rule::AppPathMissing, Says, at(INFO, "coupon_usage_method_list"), json!(["APP"])),
        (Rule::MiniProgramPair, Says, at(INFO, "mini_program_appid"), json!("wx1")),
        (
            Rule::MiniProgramPair,
            Says,
            at(INFO, "coupon_available_store_info"),
            json!({"description": "d", "mini_program_path": "p"}),
        ),
        (Rule::DescriptionTooLong, Says, at(INFO, "usage_description"), long(1001)),
        (
            Rule::EntranceWordingTooLong,
            Says,
            at(DISPLAY, "entrance_mini_program"),
            mini("六六六六六六", "g"),
        ),
        (
            Rule::GuidanceWordingTooLong,
            Says,
            at(DISPLAY, "entrance_mini_program"),
            mini("w", "七七七七七七七"),
        ),
        (Rule::UrlNotHttps, Says, at(DISPLAY, "entrance_finder"), finder("http://x")),
        (Rule::StoresToAssociate, Cannot, "/stock/store_scope".into(), json!("SPECIFIC")),
    ]
}

/// Rules that take more than one change, or another document.
fn longer_cases() -> Vec<(Rule, Schema, Value)> {
    let changed = |mut document: Value, changes: &[(&str, Value)]| {
        for (pointer, value) in changes {
            set(&mut document, pointer, value.clone());
        }
        document
    };
    let period = |key: &str| format!("/stock/sequential_usage_rule/coupon_available_period/{key}");
    let irregular =
        json!([{"begin_time": "2027-01-01T00:00:00Z", "end_time": "2027-01-02T00:00:00Z"}]);
    let list = "/stock/sequential_usage_rule/normal_coupon_list";
    vec![
        (
            Rule::PercentOffOutOfRange,
            Says,
            changed(
                single(),
                &[
                    (&format!("{SINGLE}/normal_coupon"), Value::Null),
                    (
                        &format!("{SINGLE}/discount_coupon"),
                        json!({"threshold": 0, "percent_off": 100}),
                    ),
                ],
            ),
        ),
        (
            Rule::ExchangePriceOutOfRange,
            Says,
            changed(
                single(),
                &[
                    (&format!("{SINGLE}/normal_coupon"), Value::Null),
                    (
                        &format!("{SINGLE}/exchange_coupon"),
                        json!({"threshold": 0, "exchange_price": -1}),
                    ),
                ],
            ),
        ),
        (
            Rule::AvailableDaysIrregular,
            Says,
            changed(
                single(),
                &[
                    (&format!("{PERIOD}/available_days"), json!(10)),
                    (&format!("{PERIOD}/irregular_available_period_list"), irregular),
                ],
            ),
        ),
        (
            Rule::WaitDaysOutOfRange,
            Says,
            changed(
                single(),
                &[
                    (&format!("{PERIOD}/available_days"), json!(10)),
                    (&format!("{PERIOD}/wait_days_after_receive"), json!(31)),
                ],
            ),
        ),
        (
            Rule::AvailableDaysSequential,
            Says,
            changed(sequential(), &[(&period("available_days"), json!(10))]),
        ),
        (Rule::CouponListEmpty, Says, changed(sequential(), &[(list, json!([]))])),
        (
            Rule::MiniProgramMissing,
            Says,
            changed(
                single(),
                &[
                    (&format!("{INFO}/coupon_usage_method_list"), json!(["MINI_PROGRAM"])),
                    (&format!("{INFO}/mini_program_appid"), json!("wx1")),
                ],
            ),
        ),
        (
            Rule::PeriodOver,
            Cannot,
            changed(
                single(),
                &[
                    (&format!("{PERIOD}/available_begin_time"), json!("2026-01-01T00:00:00Z")),
                    (&format!("{PERIOD}/available_end_time"), json!("2026-11-23T00:00:00Z")),
                ],
            ),
        ),
    ]
}

fn all_cases() -> Vec<(Rule, Schema, Value)> {
    let one = cases().into_iter().map(|(rule, says, pointer, value)| {
        let mut document = single();
        set(&mut document, &pointer, value);
        (rule, says, document)
    });
    one.chain(longer_cases()).collect()
}

#[test]
fn a_good_document_breaks_no_rule() {
    let schema = &*SCHEMA;
    for document in [single(), sequential()] {
        assert_eq!(broken(&document), []);
        assert!(sandbox::takes(&document["stock"]));
        assert!(schema.is_valid(&document));
    }
}

#[test]
fn every_rule_on_a_document_is_found_by_the_one_change_that_breaks_it() {
    for (rule, _, document) in all_cases() {
        assert_eq!(broken(&document), [rule], "{}: {document}", rule.id());
    }
}

#[test]
fn what_the_validator_refuses_the_sandbox_refuses_and_a_warning_it_takes() {
    for (rule, _, document) in all_cases() {
        let of_stock = document["name"] == "a"
            && document["product_coupon_id"] == "200000001"
            && document.get("generation").is_none();
        let refused = !sandbox::takes(&document["stock"]);
        if of_stock {
            assert_eq!(refused, rule.about().severity == Severity::Error, "{}", rule.id());
        }
    }
}

#[test]
fn the_schema_refuses_what_it_can_say() {
    let schema = &*SCHEMA;
    for (rule, says, document) in all_cases() {
        assert_eq!(!schema.is_valid(&document), says == Says, "{}: {document}", rule.id());
    }
    for (pointer, value) in [
        ("/stock/remrak", json!("x")),
        ("/stock/store_scope", json!("EVERY")),
        ("/stock/notify_config", Value::Null),
        ("/product_coupon_id", json!(1)),
        ("/stock/stock_send_rule/max_count", json!(1.5)),
        ("/name", Value::Null),
    ] {
        let mut document = single();
        set(&mut document, pointer, value);
        assert!(!schema.is_valid(&document), "{pointer}");
    }
}

#[test]
fn texts_that_readers_once_disagreed_about_are_read_alike() {
    let coffee = include_str!("../../examples/smallest/stocks/coffee.yaml");
    for (good, strange) in [
        ("wx4fd12345678 }", "wx4fd12345678|-\n }"),
        ("wx4fd12345678 }", "1e312345678 }"),
        ("wx4fd12345678 }", "wx4fd12345678 }# comment"),
        ("\"200000001\"", "0200000001"),
        ("{ notify_appid: wx4fd12345678 }", "[wx4fd12345678]"),
        ("{ notify_appid: wx4fd12345678 }", "{\n    notify_appid: wx4fd12345678\n  }"),
        ("2027-01-01T00:00:00+08:00", "2027-01-01T00:00:00+长0"),
        ("wx4fd12345678 }", "1__0 }"),
        ("wx4fd12345678 }", "1_ }"),
    ] {
        let text = coffee.replace(good, strange);
        assert_ne!(text, coffee);
        let read = check_text("a.yaml", &text, now());
        assert_eq!(read, check_text_carefully("a.yaml", &text, now()), "{strange}");
        // Brackets over several lines are fine as long as they are indented like their first line.
        let fine = strange.ends_with("\n  }");
        assert_eq!(read.1.is_empty(), fine, "{strange}");
    }
    let tea = include_str!("../../examples/spring-campaign/stocks/drinks/afternoon-tea.yaml");
    let days = "        day_list: [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]\n";
    let hours = "          - { begin_time: 50400, end_time: 61200 } # 14:00 to 17:00\n";
    for (good, strange) in [
        // What stands under a key is taken away, so that its value is null.
        (hours.to_owned(), String::new()),
        (days.to_owned(), "        day_list:\n".to_owned()),
        (format!("{days}        day_period_list:\n{hours}"), String::new()),
        (days.to_owned(), "        day_list: []\n".to_owned()),
        // Marks that mean something only where a value begins.
        ("30 % off".to_owned(), "30 % off & more! 2 * 3".to_owned()),
        ("工作日下午茶七折".to_owned(), "七折 & 30 % off!".to_owned()),
        ("工作日下午茶七折".to_owned(), "%七折".to_owned()),
        ("工作日下午茶七折".to_owned(), "!七折".to_owned()),
        ("工作日下午茶七折".to_owned(), "&a 七折".to_owned()),
        ("工作日下午茶七折".to_owned(), "\n    & 七折".to_owned()),
    ] {
        let text = tea.replace(&good, &strange);
        assert_ne!(text, tea);
        let read = check_text("a.yaml", &text, now());
        assert_eq!(read, check_text_carefully("a.yaml", &text, now()), "{strange}");
    }
}

#[test]
fn the_schema_takes_every_example() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let patterns = ["*/stocks/**/*.yaml".to_owned()];
    let loaded = crate::desired::load(&examples, &patterns, now()).unwrap();
    assert!(loaded.stocks.len() >= 9);
    for stock in loaded.stocks {
        let document = json!({
            "name": stock.name, "product_coupon_id": stock.product_coupon_id, "stock": *stock.stock,
        });
        assert!(SCHEMA.is_valid(&document), "{}: {:?}", stock.name, SCHEMA.validate(&document));
    }
}

#[test]
fn no_rule_on_documents_is_left_without_a_case() {
    let covered: BTreeSet<_> = all_cases().into_iter().map(|(rule, ..)| rule).collect();
    // These are about files, YAML or several documents, and tested with the program itself.
    let others = [
        Rule::UnreadableFile,
        Rule::FileTooLarge,
        Rule::NotUtf8,
        Rule::YamlSyntax,
        Rule::TooManyDocuments,
        Rule::TooDeep,
        Rule::TooManyNodes,
        Rule::BadAlias,
        Rule::BadMerge,
        Rule::BadTag,
        Rule::DuplicateKey,
        Rule::UnknownKey,
        Rule::MissingKey,
        Rule::WrongType,
        Rule::UnknownValue,
        Rule::NumberForm,
        Rule::DuplicateName,
        Rule::SameContent,
        Rule::TooManyStocks,
    ];
    for about in RULES {
        assert!(covered.contains(&about.rule) != others.contains(&about.rule), "{}", about.id);
    }
}

#[test]
fn the_documentations_example_is_read_and_refused_with_its_reasons() {
    let text = include_str!("../../tests/data/all-fields-example.json");
    let example: Value = serde_json::from_str(text).unwrap();
    let stock = &example["request"]["stock"];
    let document = json!({"name": "a", "product_coupon_id": "1", "stock": stock});
    let rules: BTreeSet<_> = broken(&document).into_iter().collect();
    for rule in [Rule::UsageRuleCount, Rule::CouponKindCount, Rule::AvailableDaysIrregular] {
        assert!(rules.contains(&rule), "{}", rule.id());
    }
    assert!(!sandbox::takes(stock));
    // Every field is known: what is written again is what was read.
    let read: StockDocument = serde_json::from_value(document).unwrap();
    assert_eq!(serde_json::to_value(&read.stock).unwrap(), *stock);
    let answer: crate::wechatpay::entity::StockEntity =
        serde_json::from_value(example["response"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&answer).unwrap(), example["response"]);
}

/// Pointers to everything in a document, and to some things that are not there.
fn pointers() -> Vec<String> {
    fn walk(value: &Value, at: &str, all: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                all.push(format!("{at}/{key}"));
                walk(value, &format!("{at}/{key}"), all);
            }),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| {
                all.push(format!("{at}/{index}"));
                walk(value, &format!("{at}/{index}"), all);
            }),
            _ => {}
        }
    }
    let text = include_str!("../../tests/data/all-fields-example.json");
    let example: Value = serde_json::from_str(text).unwrap();
    let mut all = Vec::new();
    walk(&example["request"]["stock"], "/stock", &mut all);
    walk(&sequential(), "", &mut all);
    walk(&single(), "", &mut all);
    all
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("2026-12-01T00:00:00+08:00".to_owned()),
        Just("2027-06-01T08:00:00Z".to_owned()),
        Just("MONDAY".into()),
        Just("OFFLINE".into()),
        Just("MINI_PROGRAM".into()),
        Just("APP".into()),
        Just("UPLOAD".into()),
        Just("NONE".into()),
        Just("Color100".into()),
        Just("https://x".into()),
        Just(" ".into()),
        Just("a".into()),
        ".{0,25}",
        "[a-z0-9/:.]{1,8}",
    ];
    let leaf = prop_oneof![
        4 => text.prop_map(Value::from),
        3 => prop_oneof![-2i64..400, Just(86_399), Just(86_400), Just(100_000_000), any::<i64>()].prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        2 => Just(Value::Null),
        1 => Just(period()),
        1 => Just(json!({"threshold": 0, "percent_off": 5})),
        1 => Just(json!({"begin_time": 5, "end_time": 6})),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

/// Documents near good ones: some changes anywhere.
fn any_document() -> impl Strategy<Value = Value> {
    let change = (prop::sample::select(pointers()), any_value());
    (any::<bool>(), prop::collection::vec(change, 0..6)).prop_map(|(first, changes)| {
        let mut document = if first { single() } else { sequential() };
        for (pointer, value) in changes {
            let (parent, _) = pointer.rsplit_once('/').unwrap();
            // Only where there is something to change it in.
            if matches!(document.pointer(parent), Some(Value::Object(_) | Value::Array(_))) {
                set(&mut document, &pointer, value);
            }
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn readers_validator_sandbox_and_schema_agree(mut document in any_document()) {
        document["name"] = "a".into();
        document["product_coupon_id"] = "1".into();
        document.as_object_mut().unwrap().remove("generation");
        let taken = sandbox::takes(&document["stock"]);
        // JSON is YAML.
        let text = document.to_string();
        let (stocks, diagnostics) = check_text_carefully("a.yaml", &text, now());
        let errors = diagnostics.iter().any(|found| found.severity == Severity::Error);
        prop_assert_eq!(!errors, taken, "{}: {:?}", document, diagnostics);
        if !errors {
            prop_assert!(SCHEMA.is_valid(&document), "the schema refuses {document}");
        }
        prop_assert_eq!(check_text("a.yaml", &text, now()), (stocks.clone(), diagnostics));
        if taken {
            survives(&stocks[0])?;
        }
    }

    #[test]
    fn both_readers_say_the_same_of_a_text_that_the_fast_one_takes(text in any_yaml()) {
        let (stocks, diagnostics) = check_text_carefully("a.yaml", &text, now());
        prop_assert_eq!(check_text("a.yaml", &text, now()), (stocks, diagnostics), "{}", text);
    }
}

/// YAML to model to canonical JSON to model to YAML, and still the same.
fn survives(stock: &DesiredStock) -> Result<(), TestCaseError> {
    let canonical = identity::canonical_stock(&stock.stock);
    let back: Stock = serde_json::from_str(&canonical).unwrap();
    prop_assert_eq!(&back, &*stock.stock);
    let by_another = serde_json_canonicalizer::to_string(&*stock.stock).unwrap();
    prop_assert_eq!(&canonical, &by_another);
    let document = StockDocument {
        name: stock.name.as_str().into(),
        product_coupon_id: stock.product_coupon_id.as_str().into(),
        generation: stock.generation,
        stock: back,
    };
    let yaml = serde_yaml::to_string(&document).unwrap();
    let (stocks, _) = check_text_carefully("a.yaml", &yaml, now());
    prop_assert_eq!(stocks.first().map(|read| &read.stock), Some(&stock.stock), "{}", yaml);
    Ok(())
}

/// Stock files with small changes that are easily made by hand or by accident.
fn any_yaml() -> impl Strategy<Value = String> {
    let good = [single(), sequential()].map(|document| serde_yaml::to_string(&document).unwrap());
    let files = [
        include_str!("../../examples/spring-campaign/stocks/drinks/afternoon-tea.yaml").to_owned(),
        include_str!("../../examples/spring-campaign/stocks/membership/sequential.yaml").to_owned(),
        include_str!("../../examples/smallest/stocks/coffee.yaml").to_owned(),
    ];
    let good: Vec<String> = good.into_iter().chain(files).collect();
    let scraps = vec![
        "\n",
        " ",
        "  ",
        ":",
        ": ",
        "- ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "[",
        "]",
        "{",
        "}",
        ",",
        "|",
        ">",
        "|-\n",
        "---\n",
        "...\n",
        "~",
        "null",
        "true",
        "yes",
        "0",
        "-0",
        "0x1",
        "007",
        "1_0",
        "1.0",
        "1e3",
        ".5",
        "é",
        "长",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\r",
        "\t",
        "&a",
        "*a",
        "<<: ",
        "!!str ",
        "? ",
        "2026-12-01",
        "\u{7f}",
        "@",
        "`",
        "%",
        " & ",
        " * ",
        "!",
        " % ",
        "+1",
        "\\n",
        "\"\\u0041\"",
        "''",
        "\"\"",
        "=",
        "0o7",
        "12:30:45",
        "\u{1}",
        "name: b\n",
    ];
    let change = (any::<prop::sample::Index>(), 0usize..12, prop::sample::select(scraps));
    (prop::sample::select(good), prop::collection::vec(change, 1..4)).prop_map(|(text, changes)| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, cut, scrap) in changes {
            let at = at.index(characters.len() + 1);
            // Most often something is put in; sometimes something is taken out for it.
            let cut = if cut < 7 { 0 } else { (cut - 6).min(characters.len() - at) };
            characters.splice(at..at + cut, scrap.chars());
        }
        characters.into_iter().collect()
    })
}
