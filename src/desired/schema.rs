//! The JSON Schema of a stock document, made from the Rust types: draft-07, which editors' YAML
//! language server reads best.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::StockDocument;
use crate::identity::NAME_PATTERN;
use crate::wechatpay::stock::limits;

/// The schema of a stock document.
#[must_use]
pub fn json() -> Value {
    let mut schema = plain();
    schema["title"] = "couponctl stock document 商品券批次".into();
    close(&mut schema);
    let properties = &mut schema["properties"];
    properties["name"]["pattern"] = NAME_PATTERN.into();
    properties["name"]["examples"] = json!(["spring-100-minus-10"]);
    properties["product_coupon_id"]["pattern"] = "^[!-~]+$".into();
    properties["product_coupon_id"]["maxLength"] = limits::ID_CHARS.into();
    properties["product_coupon_id"]["examples"] = json!(["200000001"]);
    let definitions = &mut schema["definitions"];
    conditions(definitions);
    schema
}

/// The schema as the types alone give it.
pub(super) fn plain() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<StockDocument>().to_value()
}

/// Refuses keys that are not listed, and empty texts, everywhere.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".into(), false.into());
            }
            let text = fields.get("type") == Some(&json!("string"));
            let free = !fields.contains_key("enum") && !fields.contains_key("const");
            if text && free {
                fields.entry("minLength").or_insert(1.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn required(keys: &[&str]) -> Value {
    json!({"required": keys})
}

/// None of several keys together with another.
fn at_most_one(keys: [&str; 3]) -> Value {
    let [a, b, c] = keys;
    json!({"not": {"anyOf": [required(&[a, b]), required(&[a, c]), required(&[b, c])]}})
}

/// The requirements that span fields, as far as draft-07 can say them.
fn conditions(definitions: &mut Value) {
    let mut add = |name: &str, more: Value| {
        if let (Some(definition), Value::Object(more)) =
            (definitions.get_mut(name).and_then(Value::as_object_mut), more)
        {
            definition.extend(more);
        }
    };
    add(
        "Stock",
        json!({
            "oneOf": [required(&["single_usage_rule"]), required(&["sequential_usage_rule"])],
        }),
    );
    let single_period = json!({"properties": {"coupon_available_period": {
        "dependencies": {"wait_days_after_receive": ["available_days"]},
    }}});
    let sequential_period = json!({"properties": {"coupon_available_period": {
        "not": required(&["available_days"]),
    }}});
    add(
        "SingleUsageRule",
        json!({"allOf": [
            at_most_one(["normal_coupon", "discount_coupon", "exchange_coupon"]), single_period,
        ]}),
    );
    add(
        "SequentialUsageRule",
        json!({"allOf": [
            at_most_one(["normal_coupon_list", "discount_coupon_list", "exchange_coupon_list"]),
            sequential_period,
        ]}),
    );
    add(
        "CouponAvailablePeriod",
        json!({
            "not": required(&["available_days", "irregular_available_period_list"]),
        }),
    );
    let lists = |method: &str| {
        json!({
            "properties": {"coupon_usage_method_list": {"contains": {"const": method}}},
        })
    };
    let pair = json!({
        "mini_program_appid": ["mini_program_path"],
        "mini_program_path": ["mini_program_appid"],
    });
    add(
        "UsageRuleDisplayInfo",
        json!({
            "dependencies": pair,
            "allOf": [
                {"if": lists("MINI_PROGRAM"), "then": required(&["mini_program_appid", "mini_program_path"])},
                {"if": lists("APP"), "then": required(&["app_path"])},
            ],
        }),
    );
    add("CouponAvailableStoreInfo", json!({"dependencies": pair}));
    let amounts = json!({"maximum": limits::SAFE_INTEGER});
    for (name, keys) in [
        ("NormalCoupon", ["threshold", "discount_amount"]),
        ("ExchangeCoupon", ["threshold", "exchange_price"]),
        ("DiscountCoupon", ["threshold", "threshold"]),
    ] {
        for key in keys {
            let field = definitions.pointer_mut(&format!("/{name}/properties/{key}"));
            if let (Some(Value::Object(field)), Value::Object(more)) = (field, amounts.clone()) {
                field.extend::<Map<String, Value>>(more);
            }
        }
    }
}
