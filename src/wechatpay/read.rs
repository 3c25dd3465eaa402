//! Verified bodies → values: explicit nulls are dropped, unknown fields ignored, and what does not
//! read keeps its ids, since it may well be the stock that was made.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::client::ListedStock;
use super::entity::StockEntity;
use super::error::{ApiError, ErrorAnswer, Unreadable};
use super::shown::{MESSAGE_CHARS, WORD_CHARS, shown, without_signatures};
use super::stock::limits::ID_CHARS;
use crate::plain::is_unsafe;

/// Most characters of a body that an error shows.
const EXCERPT_CHARS: usize = 200;

/// One page of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub stocks: Vec<ListedStock>,
    pub next_page_token: Option<String>,
    pub total_count: Option<u64>,
}

/// Reads a stock entity.
pub(super) fn stock(body: &[u8], request_id: Option<&str>) -> Result<StockEntity, ApiError> {
    let unreadable = |why: &str, value: Option<&Value>| {
        ApiError::Unreadable(Box::new(Unreadable {
            expected: "a stock",
            why: shown(why, MESSAGE_CHARS),
            product_coupon_id: value.and_then(|value| id(value, "product_coupon_id")),
            stock_id: value.and_then(|value| id(value, "stock_id")),
            excerpt: excerpt(body),
            request_id: request_id.map(str::to_owned),
        }))
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string(), None))?;
    entity(&value).map_err(|why| unreadable(&why, Some(&value)))
}

/// Reads a page of a list. An item that does not read is kept as such and breaks nothing.
pub(super) fn page(body: &[u8], request_id: Option<&str>) -> Result<Page, ApiError> {
    let unreadable = |why: &str| {
        ApiError::Unreadable(Box::new(Unreadable {
            expected: "a list of stocks",
            why: shown(why, MESSAGE_CHARS),
            product_coupon_id: None,
            stock_id: None,
            excerpt: excerpt(body),
            request_id: request_id.map(str::to_owned),
        }))
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let Value::Object(mut page) = value else { return Err(unreadable("it is not an object")) };
    let items = match page.remove("stock_list") {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(unreadable("`stock_list` is not a list")),
    };
    let next_page_token = match page.remove("next_page_token") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => Some(token).filter(|token| !token.is_empty()),
        Some(_) => return Err(unreadable("`next_page_token` is not a text")),
    };
    let total_count = page.get("total_count").and_then(Value::as_u64);
    Ok(Page { stocks: items.iter().map(listed).collect(), next_page_token, total_count })
}

fn listed(item: &Value) -> ListedStock {
    let present = |key| item.get(key).is_some_and(|value| !is_empty(value));
    let read = if present("stock_bundle_info") || present("progressive_bundle_usage_rule") {
        Err("it belongs to a stock bundle".to_owned())
    } else {
        entity(item)
    };
    match read {
        Ok(entity) => ListedStock::Read(Box::new(entity)),
        Err(why) => {
            ListedStock::Unread { stock_id: id(item, "stock_id"), why: shown(&why, MESSAGE_CHARS) }
        }
    }
}

/// A stock entity with usable ids. What servers write for "absent" is dropped: null always, `""`
/// and `{}` (which no enum and no rule reads) only when the entity does not read with them.
fn entity(value: &Value) -> Result<StockEntity, String> {
    let without_nulls = without(value, &Value::is_null);
    let entity: StockEntity = typed(&without_nulls).or_else(|why| {
        let hollow = |value: &Value| match value {
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        typed(&without(&without_nulls, &hollow)).map_err(|_| why)
    })?;
    for (name, id) in
        [("stock_id", &entity.stock_id), ("product_coupon_id", &entity.product_coupon_id)]
    {
        if !is_id(id) {
            return Err(format!("`{name}` is not an id: {id}"));
        }
    }
    Ok(entity)
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

/// The value without the entries of objects for which `drop` holds, from the inside out.
fn without(value: &Value, drop: &dyn Fn(&Value) -> bool) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), without(value, drop)));
            Value::Object(kept.filter(|(_, value)| !drop(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| without(item, drop)).collect()),
        other => other.clone(),
    }
}

/// Whether a value says nothing: `null`, `0`, `""`, `false`, `[]`, `{}`, all the way down.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(map) => map.values().all(is_empty),
    }
}

fn id(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().filter(|id| is_id(id)).map(str::to_owned)
}

/// Whether a text can be an id: kept as it is, so it must be fit for a terminal.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= ID_CHARS && !text.chars().any(is_unsafe)
}

/// The beginning of a body, fit for a terminal.
fn excerpt(body: &[u8]) -> String {
    // A body is at most 1 MiB; a few KiB are enough for any excerpt.
    let head = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    shown(without_signatures(&head).trim(), EXCERPT_CHARS)
}

/// What an error answer's body says: `code`, `message` and `detail`, or the beginning of a body
/// that is not JSON.
pub(super) fn error_body(body: &[u8], answer: &mut ErrorAnswer) {
    let Ok(Value::Object(map)) = serde_json::from_slice::<Value>(body) else {
        answer.message = Some(excerpt(body)).filter(|text| !text.is_empty());
        return;
    };
    let text = |key: &str, max| match map.get(key)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(shown(&without_signatures(text), max)),
        other => Some(shown(&without_signatures(&other.to_string()), max)),
    };
    answer.code = text("code", WORD_CHARS);
    answer.message = text("message", MESSAGE_CHARS);
    answer.detail = text("detail", MESSAGE_CHARS);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let keys = prop_oneof![
                Just("stock_list".to_owned()),
                Just("stock_id".to_owned()),
                Just("next_page_token".to_owned()),
                Just("code".to_owned()),
                ".{0,3}"
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((keys, inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reader_or_reaches_a_terminal_raw(
            value in json(),
            noise in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for body in [value.to_string().into_bytes(), noise] {
                let errors = [stock(&body, None).err(), page(&body, None).err()];
                for error in errors.into_iter().flatten() {
                    prop_assert!(!error.to_string().contains(is_unsafe), "{}", error);
                }
            }
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let body = "[".repeat(1 << 20);
        assert!(stock(body.as_bytes(), None).is_err());
        assert!(page(body.as_bytes(), None).is_err());
    }
}
