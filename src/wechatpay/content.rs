//! Whether a stock that the API reports is the one that was asked for: content compared field by
//! field, with the defaults that the server fills in set aside. Pure.

use std::collections::BTreeSet;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::entity::StockEntity;
use super::read::is_empty;
use super::shown::{MESSAGE_CHARS, shown};
use super::stock::Stock;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `product_coupon_id`, or a path such as `stock.stock_send_rule.max_count`.
    pub path: String,
    /// What was asked for, as compact JSON fit for a terminal; absent when it was left out.
    pub asked: Option<String>,
    /// What was answered, likewise.
    pub answered: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: asked for {}, got {}", self.path, side(&self.asked), side(&self.answered))
    }
}

/// Times, compared as instants: the server may write another offset.
const TIMES: [&str; 4] = ["available_begin_time", "available_end_time", "begin_time", "end_time"];
/// Lists without an order.
const SETS: [&str; 2] = ["day_list", "coupon_usage_method_list"];

/// What differs between the content asked for (product coupon and stock) and a stock of the API;
/// empty when it is that content.
///
/// A field that was left out may be answered with its documented default, with an empty value, or,
/// for `max_count_per_day`, with a number that limits nothing.
#[must_use]
pub fn differences(asked: (&str, &Stock), answered: &StockEntity) -> Vec<Difference> {
    let (product_coupon_id, stock) = asked;
    let mut found = Vec::new();
    if product_coupon_id != &*answered.product_coupon_id {
        found.push(Difference {
            path: "product_coupon_id".to_owned(),
            asked: Some(json(&Value::from(product_coupon_id))),
            answered: Some(json(&Value::from(&*answered.product_coupon_id))),
        });
    }
    // A stock holds only strings, integers, booleans, lists and maps with string keys: the error
    // cannot happen, and null would differ from everything.
    let value = |stock: &Stock| serde_json::to_value(stock).unwrap_or_default();
    compare("stock", "", Some(&value(stock)), Some(&value(&answered.stock)), &mut found);
    found
}

fn compare(
    path: &str,
    key: &str,
    asked: Option<&Value>,
    answered: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (asked, answered) {
        (Some(Value::Object(asked)), Some(Value::Object(answered))) => {
            let keys: BTreeSet<&String> = asked.keys().chain(answered.keys()).collect();
            for key in keys {
                let (left, right) = (asked.get(key), answered.get(key));
                let is_no_limit = key == "max_count_per_day"
                    && left.is_none()
                    && right.and_then(Value::as_i64)
                        >= asked.get("max_count").and_then(Value::as_i64);
                if !is_no_limit {
                    compare(&format!("{path}.{key}"), key, left, right, found);
                }
            }
        }
        (Some(Value::Array(asked)), Some(Value::Array(answered))) if !SETS.contains(&key) => {
            for index in 0..asked.len().max(answered.len()) {
                let (left, right) = (asked.get(index), answered.get(index));
                if left.is_none() || right.is_none() {
                    differ(&format!("{path}[{index}]"), left, right, found);
                } else {
                    compare(&format!("{path}[{index}]"), "", left, right, found);
                }
            }
        }
        (Some(asked), Some(answered)) if is_same(key, asked, answered) => {}
        (None, Some(answered)) if is_empty(answered) || is_default(key, answered) => {}
        (None, None) => {}
        _ => differ(path, asked, answered, found),
    }
}

fn differ(
    path: &str,
    asked: Option<&Value>,
    answered: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    found.push(Difference {
        path: path.to_owned(),
        asked: asked.map(json),
        answered: answered.map(json),
    });
}

fn is_same(key: &str, asked: &Value, answered: &Value) -> bool {
    match (asked, answered) {
        (Value::String(asked), Value::String(answered)) if TIMES.contains(&key) => {
            asked == answered || instant(asked).is_some_and(|at| Some(at) == instant(answered))
        }
        (Value::Array(asked), Value::Array(answered)) if SETS.contains(&key) => {
            let set = |items: &[Value]| items.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            set(asked) == set(answered)
        }
        _ => asked == answered,
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The documented defaults (`special_first: false` is empty and needs no line).
fn is_default(key: &str, answered: &Value) -> bool {
    key == "background_color" && answered == "Color020"
}

fn json(value: &Value) -> String {
    shown(&value.to_string(), MESSAGE_CHARS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        let text = include_str!("../../tests/data/all-fields-example.json");
        let example: Value = serde_json::from_str(text).unwrap();
        example["request"]["stock"].clone()
    }

    fn stock(value: &Value) -> Stock {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn entity(stock: &Value) -> StockEntity {
        let mut entity = stock.clone();
        entity["product_coupon_id"] = json!("200000001");
        entity["stock_id"] = json!("1");
        entity["state"] = json!("SENDING");
        serde_json::from_value(entity).unwrap()
    }

    fn paths(asked: &Value, answered: &Value) -> Vec<String> {
        let found = differences(("200000001", &stock(asked)), &entity(answered));
        found.into_iter().map(|difference| difference.path).collect()
    }

    /// The places of all values in a document, the document itself left out.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
            }
            _ => Vec::new(),
        };
        for (key, child) in children {
            let at = format!("{at}/{key}");
            places(child, &at, found);
            found.push(at);
        }
    }

    /// Another value of the same kind that still reads.
    fn another(place: &str, value: &Value) -> Value {
        let key = place.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap();
        match (key, value) {
            ("coupon_code_mode", _) => json!("WECHATPAY"),
            ("coupon_usage_method_list", Value::String(_)) => json!("APP"),
            ("day_list", Value::String(_)) => json!("SUNDAY"),
            ("code_display_mode", _) => json!("BARCODE"),
            ("background_color", _) => json!("Color030"),
            ("store_scope", _) => json!("ALL"),
            (_, Value::String(text)) if TIMES.contains(&key) => json!(text.replace("20", "21")),
            (_, Value::String(text)) => json!(format!("{text}x")),
            (_, Value::Number(number)) => json!(number.as_i64().unwrap() + 1),
            (_, Value::Bool(flag)) => json!(!flag),
            (_, Value::Array(items)) => {
                json!([items.clone(), vec![items[0].clone()]].concat())
            }
            (_, Value::Object(_) | Value::Null) => Value::Null,
        }
    }

    #[test]
    fn a_change_of_any_one_value_is_a_difference_at_its_place() {
        let asked = example();
        let mut all = Vec::new();
        places(&asked, "", &mut all);
        let mut changed = 0;
        for place in &all {
            let mut answered = asked.clone();
            let slot = answered.pointer_mut(place).unwrap();
            *slot = another(place, slot);
            // A set with an item twice is the same set, and some objects cannot be left out.
            let is_set = SETS.iter().any(|set| place.ends_with(set));
            if is_set || serde_json::from_value::<Stock>(answered.clone()).is_err() {
                continue;
            }
            changed += 1;
            let found = paths(&asked, &answered);
            let mut path = "stock".to_owned();
            for part in place.split('/').skip(1) {
                let is_index = part.parse::<usize>().is_ok();
                path = if is_index { format!("{path}[{part}]") } else { format!("{path}.{part}") };
            }
            assert_eq!(found.len(), 1, "{place}: {found:?}");
            let (found, path) = (&found[0], path.as_str());
            assert!(found.starts_with(path) || path.starts_with(found.as_str()), "{found} {path}");
        }
        assert!(changed >= 45, "{changed} of {}", all.len());
    }

    #[test]
    fn a_field_that_was_asked_for_and_is_not_answered_is_a_difference() {
        let asked = example();
        let mut all = Vec::new();
        places(&asked, "", &mut all);
        let mut removed = 0;
        for place in all {
            let (parent, key) = place.rsplit_once('/').unwrap();
            let mut answered = asked.clone();
            match answered.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(key)),
                Value::Array(items) => drop(items.remove(key.parse().unwrap())),
                _ => unreachable!(),
            }
            if serde_json::from_value::<Stock>(answered.clone()).is_ok() {
                removed += 1;
                assert_eq!(paths(&asked, &answered).len(), 1, "{place}");
            }
        }
        assert!(removed >= 25, "{removed}");
    }

    /// An asked-for stock and what the server makes of it: each default filled in or not.
    fn filled() -> impl Strategy<Value = (Value, Value)> {
        proptest::collection::vec(any::<bool>(), 14).prop_map(|flags| {
            let mut asked = example();
            let left_out = [
                ("/stock_send_rule", "max_count_per_day"),
                ("/coupon_display_info", "background_color"),
                ("/sequential_usage_rule", "special_first"),
                ("", "remark"),
                ("/single_usage_rule", "normal_coupon"),
                ("/single_usage_rule/coupon_available_period", "wait_days_after_receive"),
                ("/single_usage_rule/coupon_available_period", "irregular_available_period_list"),
                ("/single_usage_rule/coupon_available_period", "weekly_available_period"),
                ("/usage_rule_display_info", "coupon_available_store_info"),
            ];
            for (parent, key) in left_out {
                asked.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            }
            let max_count = asked["stock_send_rule"]["max_count"].clone();
            let defaults = [
                max_count,
                json!("Color020"),
                json!(false),
                json!(""),
                json!({"threshold": 0, "discount_amount": 0}),
                json!(0),
                json!([]),
                json!({"day_list": [], "day_period_list": [{"begin_time": 0, "end_time": 0}]}),
                json!({"description": "", "mini_program_appid": ""}),
            ];
            let mut answered = asked.clone();
            for (((parent, key), default), flag) in left_out.iter().zip(defaults).zip(&flags) {
                if *flag {
                    answered.pointer_mut(parent).unwrap()[*key] = default;
                }
            }
            if flags[9] {
                let period = &mut answered["sequential_usage_rule"]["coupon_available_period"];
                period["available_begin_time"] = json!("2024-12-31T16:00:00Z");
            }
            if flags[10] {
                answered["stock_send_rule"]["max_count_per_day"] = json!(100_000_000);
            }
            let methods = if flags[11] { ["APP", "OFFLINE"] } else { ["OFFLINE", "APP"] };
            asked["usage_rule_display_info"]["coupon_usage_method_list"] =
                json!(["OFFLINE", "APP"]);
            answered["usage_rule_display_info"]["coupon_usage_method_list"] = json!(methods);
            (asked, answered)
        })
    }

    proptest! {
        #[test]
        fn a_stock_is_the_same_with_defaults_filled_in((asked, answered) in filled()) {
            prop_assert_eq!(paths(&asked, &answered), Vec::<String>::new());
        }
    }

    #[test]
    fn what_was_left_out_and_answered_with_something_is_a_difference() {
        for (parent, key, value) in [
            ("/stock_send_rule", "max_count_per_day", json!(9_999_999)),
            ("/coupon_display_info", "background_color", json!("Color010")),
            ("/sequential_usage_rule", "special_first", json!(true)),
            ("", "remark", json!("x")),
            ("/single_usage_rule", "normal_coupon", json!({"threshold": 0, "discount_amount": 1})),
        ] {
            let mut asked = example();
            asked.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            let mut answered = asked.clone();
            answered.pointer_mut(parent).unwrap()[key] = value;
            let found = differences(("200000001", &stock(&asked)), &entity(&answered));
            assert!(matches!(&found[..], [Difference { asked: None, answered: Some(_), .. }]));
        }
    }

    #[test]
    fn another_product_coupon_is_a_difference_and_values_are_fit_for_a_terminal() {
        let mut answered = example();
        answered["remark"] = json!("\u{9b}2J");
        let found = differences(("200000002", &stock(&example())), &entity(&answered));
        let difference = |path: &str, asked: &str, answered: &str| Difference {
            path: path.to_owned(),
            asked: Some(asked.to_owned()),
            answered: Some(answered.to_owned()),
        };
        assert_eq!(
            found,
            [
                difference("product_coupon_id", "\"200000002\"", "\"200000001\""),
                difference("stock.remark", "\"满减券\"", "\"\\u{9b}2J\""),
            ]
        );
    }
}
