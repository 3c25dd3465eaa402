//! Whether a stock in an answer is the stock that was asked for, defaults that the server filled in
//! aside.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::entity::StockEntity;
use super::stock::Stock;
use crate::plain::plain;

/// A field that is not as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `stock_send_rule.max_count`.
    pub path: String,
    /// What was asked for, as JSON; `None`: nothing.
    pub asked: Option<String>,
    /// What was answered, as JSON; `None`: nothing.
    pub answered: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |side: &Option<String>| match side {
            Some(text) => plain(text).into_owned(),
            None => "nothing".to_owned(),
        };
        write!(f, "{}: asked for {}, got {}", self.path, shown(&self.asked), shown(&self.answered))
    }
}

/// Lists of which the order says nothing.
const SETS: [&str; 2] = ["day_list", "coupon_usage_method_list"];

/// Compares what was asked for with what was answered.
#[must_use]
pub fn differences(asked: (&str, &Stock), answered: &StockEntity) -> Vec<Difference> {
    let (product_coupon_id, stock) = asked;
    let mut found = Vec::new();
    if *product_coupon_id != *answered.product_coupon_id {
        found.push(Difference {
            path: "product_coupon_id".to_owned(),
            asked: Some(product_coupon_id.to_owned()),
            answered: Some(answered.product_coupon_id.to_string()),
        });
    }
    if *stock != answered.stock {
        compare("", &to_value(stock), &to_value(&answered.stock), &mut found);
    }
    found
}

fn to_value(stock: &Stock) -> Value {
    // A stock holds only strings, integers, booleans, lists and maps with string keys.
    serde_json::to_value(stock).unwrap_or_default()
}

fn compare(path: &str, asked: &Value, answered: &Value, found: &mut Vec<Difference>) {
    match (asked, answered) {
        (Value::Object(asked), Value::Object(answered)) => objects(path, asked, answered, found),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && !is_set(path) => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if same(path, asked, answered) => {}
        _ => found.push(difference(path, Some(asked), Some(answered))),
    }
}

fn objects(
    path: &str,
    asked: &Map<String, Value>,
    answered: &Map<String, Value>,
    found: &mut Vec<Difference>,
) {
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in asked {
        match answered.get(key) {
            Some(other) => compare(&at(key), value, other, found),
            // `special_first: false` may be answered by leaving it out.
            None if is_default(key, value, asked) => {}
            None => found.push(difference(&at(key), Some(value), None)),
        }
    }
    for (key, value) in answered {
        if !asked.contains_key(key) && !is_default(key, value, answered) {
            found.push(difference(&at(key), None, Some(value)));
        }
    }
}

fn difference(path: &str, asked: Option<&Value>, answered: Option<&Value>) -> Difference {
    let text = |value: &Value| value.to_string();
    Difference { path: path.to_owned(), asked: asked.map(text), answered: answered.map(text) }
}

fn is_set(path: &str) -> bool {
    SETS.contains(&path.rsplit('.').next().unwrap_or(path))
}

/// Whether two values mean the same: sets in another order, moments written with another offset.
fn same(path: &str, asked: &Value, answered: &Value) -> bool {
    match (asked, answered) {
        (Value::Array(a), Value::Array(b)) if is_set(path) => {
            a.len() == b.len() && a.iter().all(|item| b.contains(item))
        }
        (Value::String(a), Value::String(b)) if path.ends_with("_time") => {
            a == b
                || matches!(
                    (a.parse::<Timestamp>(), b.parse::<Timestamp>()),
                    (Ok(a), Ok(b)) if a == b
                )
        }
        _ => asked == answered,
    }
}

/// Whether a field says no more than leaving it out does.
fn is_default(key: &str, value: &Value, beside: &Map<String, Value>) -> bool {
    match (key, value) {
        ("background_color", Value::String(color)) => color == "Color020",
        // A daily limit that the total cannot exceed is none.
        ("max_count_per_day", day) => {
            matches!((day.as_i64(), beside.get("max_count").and_then(Value::as_i64)), (Some(day), Some(all)) if day >= all)
        }
        _ => is_empty(value),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Stock {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/data/identity-vectors.json")).unwrap();
        serde_json::from_value(vectors[0]["stock"].clone()).unwrap()
    }

    fn answer(change: impl Fn(&mut Value)) -> Vec<Difference> {
        let mut value = to_value(&asked());
        value["product_coupon_id"] = "200000001".into();
        value["stock_id"] = "1".into();
        value["state"] = "SENDING".into();
        change(&mut value);
        differences(("200000001", &asked()), &serde_json::from_value(value).unwrap())
    }

    fn at<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
        value.pointer_mut(pointer).unwrap()
    }

    #[test]
    fn what_was_asked_for_with_defaults_filled_in_is_no_difference() {
        assert_eq!(answer(|_| {}), []);
        let period = "/single_usage_rule/coupon_available_period";
        assert_eq!(
            answer(|v| at(v, period)["irregular_available_period_list"] = Value::Array(vec![])),
            []
        );
        assert_eq!(
            answer(|v| at(v, period)["available_begin_time"] = "2026-11-30T16:00:00Z".into()),
            []
        );
        assert_eq!(
            answer(|v| at(v, period)["weekly_available_period"]["day_list"] =
                serde_json::json!(["FRIDAY", "MONDAY"])),
            []
        );
        assert_eq!(answer(|v| v["remark"] = "".into()), []);
        assert_eq!(answer(|v| v["new_field_of_the_api"] = "x".into()), []);
    }

    #[test]
    fn every_changed_field_is_a_difference() {
        fn leaves(value: &Value, pointer: &str, all: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    fields.iter().for_each(|(k, v)| leaves(v, &format!("{pointer}/{k}"), all));
                }
                Value::Array(items) => items
                    .iter()
                    .enumerate()
                    .for_each(|(i, v)| leaves(v, &format!("{pointer}/{i}"), all)),
                _ => all.push(pointer.to_owned()),
            }
        }
        let mut all = Vec::new();
        leaves(&to_value(&asked()), "", &mut all);
        assert!(all.len() > 15);
        for pointer in all {
            let other = |value: &mut Value| {
                let leaf = at(value, &pointer);
                *leaf = match &*leaf {
                    Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
                    Value::String(text) => match text.as_str() {
                        "WECHATPAY" => "UPLOAD".into(),
                        "MONDAY" => "SUNDAY".into(),
                        "FRIDAY" => "SUNDAY".into(),
                        "OFFLINE" | "MINI_PROGRAM" => "APP".into(),
                        "QRCODE" => "BARCODE".into(),
                        "Color010" => "Color020".into(),
                        "NONE" => "ALL".into(),
                        text => format!("{text}x").into(),
                    },
                    other => panic!("{other}"),
                };
            };
            assert_eq!(answer(other).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_a_difference() {
        assert_eq!(answer(|v| v["remark"] = "x".into()).len(), 1);
        assert_eq!(answer(|v| v["product_coupon_id"] = "2".into()).len(), 1);
        let removed = |v: &mut Value| {
            drop(at(v, "/stock_send_rule").as_object_mut().unwrap().remove("max_count_per_day"));
        };
        assert_eq!(answer(removed).len(), 1);
    }
}
