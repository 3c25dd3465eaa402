//! The sandbox's own reading of the rules on a stock, over plain JSON and independent of the
//! validator, so that one can be tested against the other (API document, section 4).

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// What is wrong with a request, as the API's `detail` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer below the body.
    pub field: String,
    /// What is wrong there.
    pub issue: &'static str,
}

enum Shape {
    Text(usize),
    Link,
    Moment,
    Integer(i64, i64),
    Boolean,
    OneOf(&'static [&'static str]),
    Object(&'static [Field]),
    List { item: &'static Shape, empty: bool, repeats: bool },
}

struct Field(&'static str, bool, Shape);

const MUST: bool = true;
const MAY: bool = false;
const ANY: usize = usize::MAX;
const FEN: i64 = (1 << 53) - 1;

const STOCK: &[Field] = &[
    Field("remark", MAY, Shape::Text(20)),
    Field("coupon_code_mode", MUST, Shape::OneOf(&["WECHATPAY", "UPLOAD", "API_ASSIGN"])),
    Field(
        "stock_send_rule",
        MUST,
        Shape::Object(&[
            Field("max_count", MUST, Shape::Integer(1, 100_000_000)),
            Field("max_count_per_day", MAY, Shape::Integer(1, 100_000_000)),
            Field("max_count_per_user", MUST, Shape::Integer(1, 100)),
        ]),
    ),
    Field(
        "single_usage_rule",
        MAY,
        Shape::Object(&[
            Field("coupon_available_period", MUST, PERIOD),
            Field("normal_coupon", MAY, NORMAL),
            Field("discount_coupon", MAY, DISCOUNT),
            Field("exchange_coupon", MAY, EXCHANGE),
        ]),
    ),
    Field(
        "sequential_usage_rule",
        MAY,
        Shape::Object(&[
            Field("coupon_available_period", MUST, PERIOD),
            Field(
                "normal_coupon_list",
                MAY,
                Shape::List { item: &NORMAL, empty: false, repeats: true },
            ),
            Field(
                "discount_coupon_list",
                MAY,
                Shape::List { item: &DISCOUNT, empty: false, repeats: true },
            ),
            Field(
                "exchange_coupon_list",
                MAY,
                Shape::List { item: &EXCHANGE, empty: false, repeats: true },
            ),
            Field("special_first", MAY, Shape::Boolean),
        ]),
    ),
    Field(
        "usage_rule_display_info",
        MUST,
        Shape::Object(&[
            Field(
                "coupon_usage_method_list",
                MUST,
                Shape::List {
                    item: &Shape::OneOf(&["OFFLINE", "MINI_PROGRAM", "APP", "PAYMENT_CODE"]),
                    empty: false,
                    repeats: false,
                },
            ),
            Field("mini_program_appid", MAY, Shape::Text(ANY)),
            Field("mini_program_path", MAY, Shape::Text(ANY)),
            Field("app_path", MAY, Shape::Text(ANY)),
            Field("usage_description", MUST, Shape::Text(1000)),
            Field(
                "coupon_available_store_info",
                MAY,
                Shape::Object(&[
                    Field("description", MUST, Shape::Text(1000)),
                    Field("mini_program_appid", MAY, Shape::Text(ANY)),
                    Field("mini_program_path", MAY, Shape::Text(ANY)),
                ]),
            ),
        ]),
    ),
    Field(
        "coupon_display_info",
        MUST,
        Shape::Object(&[
            Field("code_display_mode", MUST, Shape::OneOf(&["INVISIBLE", "BARCODE", "QRCODE"])),
            Field(
                "background_color",
                MAY,
                Shape::OneOf(&[
                    "Color010", "Color020", "Color030", "Color040", "Color050", "Color060",
                    "Color070", "Color080", "Color090", "Color100",
                ]),
            ),
            Field(
                "entrance_mini_program",
                MAY,
                Shape::Object(&[
                    Field("appid", MUST, Shape::Text(ANY)),
                    Field("path", MUST, Shape::Text(ANY)),
                    Field("entrance_wording", MUST, Shape::Text(5)),
                    Field("guidance_wording", MUST, Shape::Text(6)),
                ]),
            ),
            Field(
                "entrance_official_account",
                MAY,
                Shape::Object(&[Field("appid", MUST, Shape::Text(ANY))]),
            ),
            Field(
                "entrance_finder",
                MAY,
                Shape::Object(&[
                    Field("finder_id", MUST, Shape::Text(ANY)),
                    Field("finder_video_id", MUST, Shape::Text(ANY)),
                    Field("finder_video_cover_image_url", MUST, Shape::Link),
                ]),
            ),
        ]),
    ),
    Field("notify_config", MUST, Shape::Object(&[Field("notify_appid", MUST, Shape::Text(ANY))])),
    Field("store_scope", MUST, Shape::OneOf(&["NONE", "ALL", "SPECIFIC"])),
];

const PERIOD: Shape = Shape::Object(&[
    Field("available_begin_time", MUST, Shape::Moment),
    Field("available_end_time", MUST, Shape::Moment),
    Field("available_days", MAY, Shape::Integer(1, 365)),
    Field("wait_days_after_receive", MAY, Shape::Integer(0, 30)),
    Field(
        "weekly_available_period",
        MAY,
        Shape::Object(&[
            Field(
                "day_list",
                MAY,
                Shape::List {
                    item: &Shape::OneOf(&[
                        "MONDAY",
                        "TUESDAY",
                        "WEDNESDAY",
                        "THURSDAY",
                        "FRIDAY",
                        "SATURDAY",
                        "SUNDAY",
                    ]),
                    empty: true,
                    repeats: false,
                },
            ),
            Field(
                "day_period_list",
                MAY,
                Shape::List {
                    item: &Shape::Object(&[
                        Field("begin_time", MUST, Shape::Integer(0, 86399)),
                        Field("end_time", MUST, Shape::Integer(0, 86399)),
                    ]),
                    empty: true,
                    repeats: true,
                },
            ),
        ]),
    ),
    Field(
        "irregular_available_period_list",
        MAY,
        Shape::List {
            item: &Shape::Object(&[
                Field("begin_time", MUST, Shape::Moment),
                Field("end_time", MUST, Shape::Moment),
            ]),
            empty: true,
            repeats: true,
        },
    ),
]);
const NORMAL: Shape = Shape::Object(&[
    Field("threshold", MUST, Shape::Integer(0, FEN)),
    Field("discount_amount", MUST, Shape::Integer(1, FEN)),
]);
const DISCOUNT: Shape = Shape::Object(&[
    Field("threshold", MUST, Shape::Integer(0, FEN)),
    Field("percent_off", MUST, Shape::Integer(1, 99)),
]);
const EXCHANGE: Shape = Shape::Object(&[
    Field("threshold", MUST, Shape::Integer(0, FEN)),
    Field("exchange_price", MUST, Shape::Integer(0, FEN)),
]);

/// Whether the sandbox takes a stock; the first thing that is wrong otherwise.
pub fn check(stock: &Value) -> Result<(), Fault> {
    shape("/stock", stock, &Shape::Object(STOCK))?;
    usage(stock)?;
    display(stock)
}

fn fault<T>(field: &str, issue: &'static str) -> Result<T, Fault> {
    Err(Fault { field: field.to_owned(), issue })
}

fn shape(at: &str, value: &Value, wanted: &Shape) -> Result<(), Fault> {
    match wanted {
        Shape::Text(most) => match value.as_str() {
            Some("") => fault(at, "too short"),
            Some(text) if text.chars().count() > *most => fault(at, "too long"),
            Some(_) => Ok(()),
            None => fault(at, "not a string"),
        },
        Shape::Link => match value.as_str() {
            Some(text) if text.len() > 8 && text.starts_with("https://") => Ok(()),
            _ => fault(at, "not an https link"),
        },
        Shape::Moment => match moment(value) {
            Some(_) => Ok(()),
            None => fault(at, "not an RFC 3339 time with offset"),
        },
        Shape::Integer(least, most) => match value.as_i64() {
            Some(number) if (*least..=*most).contains(&number) => Ok(()),
            Some(_) => fault(at, "out of range"),
            None => fault(at, "not an integer"),
        },
        Shape::Boolean if value.is_boolean() => Ok(()),
        Shape::Boolean => fault(at, "not a boolean"),
        Shape::OneOf(names) => match value.as_str() {
            Some(text) if names.contains(&text) => Ok(()),
            _ => fault(at, "not one of the values"),
        },
        Shape::Object(fields) => {
            let Some(object) = value.as_object() else { return fault(at, "not an object") };
            if let Some(key) = object.keys().find(|key| !fields.iter().any(|f| f.0 == *key)) {
                return fault(&format!("{at}/{key}"), "not a field");
            }
            for Field(name, must, wanted) in *fields {
                let at = format!("{at}/{name}");
                match object.get(*name) {
                    Some(value) => shape(&at, value, wanted)?,
                    None if *must => return fault(&at, "missing"),
                    None => {}
                }
            }
            Ok(())
        }
        Shape::List { item, empty, repeats } => {
            let Some(items) = value.as_array() else { return fault(at, "not a list") };
            if items.is_empty() && !empty {
                return fault(at, "empty");
            }
            for (index, value) in items.iter().enumerate() {
                shape(&format!("{at}/{index}"), value, item)?;
            }
            let mut seen = HashSet::new();
            if !repeats && items.iter().any(|item| !seen.insert(item.to_string())) {
                return fault(at, "repeated");
            }
            Ok(())
        }
    }
}

/// `2026-12-01T00:00:00+08:00` or with `Z`, fractions allowed; nothing else that a lenient parser takes.
fn moment(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let head = signs.iter().all(|(at, sign)| bytes.get(*at) == Some(sign))
        && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().all(digits);
    let mut rest = text.get(19..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == fraction.len() {
            return None;
        }
    }
    let offset = rest == "Z" || {
        let o = rest.as_bytes();
        o.len() == 6
            && matches!(o[0], b'+' | b'-')
            && o[3] == b':'
            && [1, 2, 4, 5].iter().all(|at| o[*at].is_ascii_digit())
    };
    (head && offset).then(|| text.parse().ok()).flatten()
}

fn usage(stock: &Value) -> Result<(), Fault> {
    let single = stock.get("single_usage_rule").and_then(Value::as_object);
    let sequential = stock.get("sequential_usage_rule").and_then(Value::as_object);
    let (rule, at, kinds) = match (single, sequential) {
        (Some(rule), None) => (
            rule,
            "/stock/single_usage_rule",
            ["normal_coupon", "discount_coupon", "exchange_coupon"],
        ),
        (None, Some(rule)) => (
            rule,
            "/stock/sequential_usage_rule",
            ["normal_coupon_list", "discount_coupon_list", "exchange_coupon_list"],
        ),
        _ => return fault("/stock", "exactly one of single_usage_rule and sequential_usage_rule"),
    };
    if kinds.iter().filter(|kind| rule.contains_key(**kind)).count() > 1 {
        return fault(at, "more than one kind of coupon");
    }
    for (at, coupon) in rule
        .get("normal_coupon")
        .map(|coupon| (format!("{at}/normal_coupon"), coupon))
        .into_iter()
        .chain(
            rule.get("normal_coupon_list")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .enumerate()
                .map(|(index, coupon)| (format!("{at}/normal_coupon_list/{index}"), coupon)),
        )
    {
        let number = |name: &str| coupon.get(name).and_then(Value::as_i64).unwrap_or(0);
        if number("threshold") > 0 && number("discount_amount") > number("threshold") {
            return fault(&format!("{at}/discount_amount"), "above the threshold");
        }
    }
    let at = format!("{at}/coupon_available_period");
    match rule.get("coupon_available_period").and_then(Value::as_object) {
        Some(found) => period(&at, found, single.is_some()),
        None => fault(&at, "missing"),
    }
}

fn period(at: &str, period: &Map<String, Value>, single: bool) -> Result<(), Fault> {
    let time = |name: &str| period.get(name).and_then(moment);
    if let (Some(begin), Some(end)) = (time("available_begin_time"), time("available_end_time")) {
        if begin >= end {
            return fault(&format!("{at}/available_end_time"), "not after the begin");
        }
        if end.as_nanosecond() - begin.as_nanosecond() > 365 * 86_400 * 1_000_000_000 {
            return fault(
                &format!("{at}/available_end_time"),
                "more than 365 days after the begin",
            );
        }
    }
    let days = period.contains_key("available_days");
    if days && !single {
        return fault(&format!("{at}/available_days"), "not for a sequential rule");
    }
    if days && period.contains_key("irregular_available_period_list") {
        return fault(&format!("{at}/available_days"), "not with irregular_available_period_list");
    }
    if single && !days && period.contains_key("wait_days_after_receive") {
        return fault(&format!("{at}/wait_days_after_receive"), "only with available_days");
    }
    for (index, span) in list(period.get("irregular_available_period_list")).iter().enumerate() {
        let begin = span.get("begin_time").and_then(moment);
        if begin >= span.get("end_time").and_then(moment) {
            return fault(
                &format!("{at}/irregular_available_period_list/{index}/end_time"),
                "not after the begin",
            );
        }
    }
    let weekly = period.get("weekly_available_period");
    let mut spans = Vec::new();
    let at = format!("{at}/weekly_available_period/day_period_list");
    for (index, span) in list(weekly.and_then(|w| w.get("day_period_list"))).iter().enumerate() {
        let second = |name: &str| span.get(name).and_then(Value::as_i64).unwrap_or(0);
        if second("begin_time") >= second("end_time") {
            return fault(&format!("{at}/{index}/end_time"), "not after the begin");
        }
        spans.push((second("begin_time"), second("end_time")));
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return fault(&at, "overlapping");
    }
    Ok(())
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn display(stock: &Value) -> Result<(), Fault> {
    let at = "/stock/usage_rule_display_info";
    let Some(info) = stock.get("usage_rule_display_info") else { return fault(at, "missing") };
    let has = |value: &Value, name: &str| value.get(name).is_some();
    let methods = list(info.get("coupon_usage_method_list"));
    let lists = |method: &str| methods.iter().any(|value| value.as_str() == Some(method));
    if lists("MINI_PROGRAM") || has(info, "mini_program_appid") || has(info, "mini_program_path") {
        for name in ["mini_program_appid", "mini_program_path"] {
            if !has(info, name) {
                return fault(&format!("{at}/{name}"), "missing");
            }
        }
    }
    if lists("APP") && !has(info, "app_path") {
        return fault(&format!("{at}/app_path"), "missing");
    }
    if let Some(stores) = info.get("coupon_available_store_info")
        && has(stores, "mini_program_appid") != has(stores, "mini_program_path")
    {
        return fault(
            &format!("{at}/coupon_available_store_info"),
            "mini_program_appid and mini_program_path only together",
        );
    }
    Ok(())
}
