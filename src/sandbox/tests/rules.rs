//! The rules of the *add stock* body, each broken in turn: the refusal names the field.

use serde_json::{Value, json};

use super::super::rules::add_stock;

/// Every field that can stand in one valid stock, both kinds of rule.
fn stocks() -> [Value; 2] {
    let period = json!({
        "available_begin_time": "2026-12-01T00:00:00+08:00",
        "available_end_time": "2027-02-28T23:59:59.5Z",
        "weekly_available_period": {
            "day_list": ["MONDAY", "SUNDAY"],
            "day_period_list": [
                { "begin_time": 0, "end_time": 100 },
                { "begin_time": 200, "end_time": 86399 }
            ]
        }
    });
    let mut single = period.clone();
    single["available_days"] = 365.into();
    single["wait_days_after_receive"] = 30.into();
    let mut sequential = period;
    sequential["wait_days_after_receive"] = 0.into();
    sequential["irregular_available_period_list"] = json!([
        { "begin_time": "2026-12-01t00:00:00z", "end_time": "2026-12-02T00:00:00-08:30" }
    ]);
    let rest = json!({
        "remark": "一二三四五六七八九十一二三四五六七八九😀",
        "coupon_code_mode": "API_ASSIGN",
        "stock_send_rule":
            { "max_count": 100_000_000, "max_count_per_day": 1, "max_count_per_user": 100 },
        "usage_rule_display_info": {
            "coupon_usage_method_list": ["OFFLINE", "MINI_PROGRAM", "APP", "PAYMENT_CODE"],
            "mini_program_appid": "wx1",
            "mini_program_path": "/a",
            "app_path": "https://example.com/app",
            "usage_description": "说".repeat(1000),
            "coupon_available_store_info": {
                "description": "店".repeat(1000),
                "mini_program_appid": "wx1",
                "mini_program_path": "/a"
            }
        },
        "coupon_display_info": {
            "code_display_mode": "BARCODE",
            "background_color": "Color100",
            "entrance_mini_program": {
                "appid": "wx1", "path": "/a",
                "entrance_wording": "一二三四五", "guidance_wording": "一二三四五六"
            },
            "entrance_official_account": { "appid": "wx1" },
            "entrance_finder": {
                "finder_id": "gh_1", "finder_video_id": "v",
                "finder_video_cover_image_url": "https://example.com/a.png"
            }
        },
        "notify_config": { "notify_appid": "wx1" },
        "store_scope": "SPECIFIC"
    });
    let with = |key: &str, rule: Value| {
        let mut stock = rest.clone();
        stock[key] = rule;
        json!({ "out_request_no": "request-1", "stock": stock })
    };
    let offer = json!({ "threshold": 100, "discount_amount": 100 });
    [
        with(
            "single_usage_rule",
            json!({ "coupon_available_period": single, "normal_coupon": offer }),
        ),
        with(
            "sequential_usage_rule",
            json!({
                "coupon_available_period": sequential,
                "normal_coupon_list": [offer, { "threshold": 0, "discount_amount": 7 }],
                "special_first": true
            }),
        ),
    ]
}

/// Sets one value by path; null takes the field away. Makes the objects on the way.
fn set(body: &mut Value, path: &str, value: Value) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let mut place = body;
    for step in parent.split('/').skip(1) {
        place = match step.parse::<usize>() {
            Ok(item) => &mut place[item],
            Err(_) => &mut place[step],
        };
    }
    match (value, key.parse::<usize>()) {
        (Value::Null, _) => drop(place.as_object_mut().unwrap().remove(key)),
        (value, Ok(item)) => place[item] = value,
        (value, Err(_)) => place[key] = value,
    }
}

fn refused_field(body: &Value) -> String {
    add_stock(body).map_or_else(|refusal| refusal.field, |_| "(taken)".to_owned())
}

#[test]
fn every_field_at_its_limit_is_taken() {
    for body in stocks() {
        assert_eq!(add_stock(&body), Ok("request-1"));
    }
}

#[test]
fn without_the_optional_fields_a_stock_is_taken() {
    for (mut body, rule) in stocks().into_iter().zip(["single_usage_rule", "sequential_usage_rule"])
    {
        for path in [
            "remark",
            "stock_send_rule/max_count_per_day",
            "usage_rule_display_info/coupon_available_store_info",
            "coupon_display_info/background_color",
            "coupon_display_info/entrance_mini_program",
            "coupon_display_info/entrance_official_account",
            "coupon_display_info/entrance_finder",
            &format!("{rule}/normal_coupon"),
            &format!("{rule}/normal_coupon_list"),
            &format!("{rule}/special_first"),
            &format!("{rule}/coupon_available_period/wait_days_after_receive"),
            &format!("{rule}/coupon_available_period/available_days"),
            &format!("{rule}/coupon_available_period/weekly_available_period"),
            &format!("{rule}/coupon_available_period/irregular_available_period_list"),
        ] {
            set(&mut body, &format!("/stock/{path}"), Value::Null);
            assert_eq!(refused_field(&body), "(taken)", "{path}");
        }
    }
}

#[test]
fn the_documentations_example_of_all_fields_is_refused_as_a_request() {
    let example = include_str!("../../../tests/data/all-fields-example.json");
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(refused_field(&example["request"]), "/stock/sequential_usage_rule");
}

const PERIOD: &str = "/stock/single_usage_rule/coupon_available_period";
const LATER: &str = "/stock/sequential_usage_rule/coupon_available_period";
const SHOWN: &str = "/stock/usage_rule_display_info";
const LOOK: &str = "/stock/coupon_display_info";

/// Changes one field of the single or the sequential stock, and expects that field to be named.
fn refuses(which: usize, path: &str, values: &[Value]) {
    for value in values {
        refuses_naming(which, path, value.clone(), path);
    }
}

fn refuses_naming(which: usize, path: &str, value: Value, named: &str) {
    let mut body = stocks()[which].clone();
    let shown = value.to_string();
    set(&mut body, path, value);
    assert_eq!(
        refused_field(&body),
        named,
        "{path} = {}",
        shown.chars().take(60).collect::<String>()
    );
}

fn long(count: usize) -> Value {
    "长".repeat(count).into()
}

#[test]
fn a_request_number_is_of_its_form() {
    let values = ["", "12345", "a b c d", "数字数字数字", "x/yzabc", &"x".repeat(41)];
    refuses(0, "/out_request_no", &values.map(Value::from));
    refuses(0, "/out_request_no", &[Value::Null, json!(123_456)]);
}

#[test]
fn every_required_field_is_missed() {
    for path in [
        "/stock",
        "/stock/coupon_code_mode",
        "/stock/stock_send_rule",
        "/stock/stock_send_rule/max_count",
        "/stock/stock_send_rule/max_count_per_user",
        "/stock/single_usage_rule",
        PERIOD,
        &format!("{PERIOD}/available_begin_time"),
        &format!("{PERIOD}/available_end_time"),
        &format!("{PERIOD}/weekly_available_period/day_period_list/1/begin_time"),
        &format!("{PERIOD}/weekly_available_period/day_period_list/1/end_time"),
        "/stock/single_usage_rule/normal_coupon/threshold",
        "/stock/single_usage_rule/normal_coupon/discount_amount",
        SHOWN,
        &format!("{SHOWN}/coupon_usage_method_list"),
        &format!("{SHOWN}/mini_program_appid"),
        &format!("{SHOWN}/mini_program_path"),
        &format!("{SHOWN}/app_path"),
        &format!("{SHOWN}/usage_description"),
        &format!("{SHOWN}/coupon_available_store_info/description"),
        &format!("{SHOWN}/coupon_available_store_info/mini_program_appid"),
        &format!("{SHOWN}/coupon_available_store_info/mini_program_path"),
        LOOK,
        &format!("{LOOK}/code_display_mode"),
        &format!("{LOOK}/entrance_mini_program/appid"),
        &format!("{LOOK}/entrance_mini_program/path"),
        &format!("{LOOK}/entrance_mini_program/entrance_wording"),
        &format!("{LOOK}/entrance_mini_program/guidance_wording"),
        &format!("{LOOK}/entrance_official_account/appid"),
        &format!("{LOOK}/entrance_finder/finder_id"),
        &format!("{LOOK}/entrance_finder/finder_video_id"),
        &format!("{LOOK}/entrance_finder/finder_video_cover_image_url"),
        "/stock/notify_config",
        "/stock/notify_config/notify_appid",
        "/stock/store_scope",
    ] {
        refuses(0, path, &[Value::Null]);
    }
    refuses(1, LATER, &[Value::Null]);
    refuses(1, &format!("{LATER}/irregular_available_period_list/0/end_time"), &[Value::Null]);
}

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    for parent in [
        "",
        "/stock",
        "/stock/stock_send_rule",
        "/stock/single_usage_rule",
        "/stock/single_usage_rule/normal_coupon",
        PERIOD,
        &format!("{PERIOD}/weekly_available_period"),
        &format!("{PERIOD}/weekly_available_period/day_period_list/0"),
        SHOWN,
        &format!("{SHOWN}/coupon_available_store_info"),
        LOOK,
        &format!("{LOOK}/entrance_mini_program"),
        &format!("{LOOK}/entrance_official_account"),
        &format!("{LOOK}/entrance_finder"),
        "/stock/notify_config",
    ] {
        refuses(0, &format!("{parent}/surprise"), &[json!(1)]);
    }
    refuses(1, "/stock/sequential_usage_rule/normal_coupon", &[json!({})]);
    refuses(1, &format!("{LATER}/irregular_available_period_list/0/surprise"), &[json!(1)]);
    let mut body = stocks()[0].clone();
    body["stock"]["a/b~c"] = json!(1);
    assert_eq!(refused_field(&body), "/stock/a~1b~0c");
}

#[test]
fn types_are_strict() {
    refuses(0, "/stock", &[json!([]), json!("x")]);
    refuses(0, "/stock/remark", &[json!(1), json!(true), json!([])]);
    let numbers = [json!("1"), json!(1.0), json!(1e2), json!(true), json!(u64::MAX)];
    refuses(0, "/stock/stock_send_rule/max_count", &numbers);
    refuses(1, "/stock/sequential_usage_rule/special_first", &[json!(0), json!("true")]);
    refuses(1, "/stock/sequential_usage_rule/normal_coupon_list", &[json!({})]);
    let mut body = stocks()[0].clone();
    body["stock"]["remark"] = Value::Null;
    assert_eq!(refused_field(&body), "/stock/remark", "null is not the same as absent");
}

#[test]
fn words_are_of_their_lists() {
    refuses(0, "/stock/coupon_code_mode", &[json!("wechatpay"), json!("")]);
    refuses(0, "/stock/store_scope", &[json!("SOME")]);
    refuses(0, &format!("{LOOK}/code_display_mode"), &[json!("QR")]);
    let colors = ["Color000", "Color015", "Color110", "color020"];
    refuses(0, &format!("{LOOK}/background_color"), &colors.map(Value::from));
    let uses = format!("{SHOWN}/coupon_usage_method_list");
    refuses(0, &uses, &[json!([])]);
    refuses_naming(0, &uses, json!(["OFFLINE", "TAXI"]), &format!("{uses}/1"));
    refuses_naming(0, &uses, json!(["OFFLINE", "OFFLINE"]), &format!("{uses}/1"));
    let days = format!("{PERIOD}/weekly_available_period/day_list");
    refuses_naming(0, &days, json!(["MON"]), &format!("{days}/0"));
    refuses_naming(0, &days, json!(["MONDAY", "FRIDAY", "MONDAY"]), &format!("{days}/2"));
}

#[test]
fn texts_are_not_too_long_and_not_empty() {
    refuses(0, "/stock/remark", &[long(21), json!("")]);
    refuses(0, &format!("{SHOWN}/usage_description"), &[long(1001), json!("")]);
    let info = format!("{SHOWN}/coupon_available_store_info");
    refuses(0, &format!("{info}/description"), &[long(1001), json!("")]);
    refuses(0, &format!("{info}/mini_program_path"), &[json!("")]);
    refuses(0, &format!("{LOOK}/entrance_mini_program/entrance_wording"), &[long(6), json!("")]);
    refuses(0, &format!("{LOOK}/entrance_mini_program/guidance_wording"), &[long(7), json!("")]);
    let cover = format!("{LOOK}/entrance_finder/finder_video_cover_image_url");
    refuses(0, &cover, &[json!("http://example.com/a"), json!("https://"), json!("")]);
    refuses(0, "/stock/notify_config/notify_appid", &[json!("")]);
}

#[test]
fn numbers_are_in_their_ranges() {
    let send = "/stock/stock_send_rule";
    refuses(0, &format!("{send}/max_count"), &[json!(0), json!(100_000_001)]);
    refuses(0, &format!("{send}/max_count_per_day"), &[json!(0), json!(100_000_001)]);
    refuses(0, &format!("{send}/max_count_per_user"), &[json!(0), json!(101)]);
    refuses(0, &format!("{PERIOD}/available_days"), &[json!(0), json!(366)]);
    refuses(0, &format!("{PERIOD}/wait_days_after_receive"), &[json!(-1), json!(31)]);
    let span = format!("{PERIOD}/weekly_available_period/day_period_list/1");
    refuses(0, &format!("{span}/begin_time"), &[json!(-1), json!(86_400)]);
    refuses(0, &format!("{span}/end_time"), &[json!(86_400)]);
    let rule = "/stock/single_usage_rule";
    refuses(0, &format!("{rule}/normal_coupon/threshold"), &[json!(-1)]);
    refuses(0, &format!("{rule}/normal_coupon/discount_amount"), &[json!(0), json!(101)]);
    let later = "/stock/sequential_usage_rule/normal_coupon_list";
    refuses(1, later, &[json!([])]);
    refuses(1, &format!("{later}/0/discount_amount"), &[json!(0), json!(101)]);
}

#[test]
fn discounts_and_exchanges_have_their_own_ranges() {
    let offers = |kind: &str, offer: Value| {
        let mut bodies = stocks();
        for (body, (rule, list)) in bodies.iter_mut().zip([("single", false), ("sequential", true)])
        {
            let rule = &mut body["stock"][format!("{rule}_usage_rule")];
            let rule = rule.as_object_mut().unwrap();
            rule.retain(|key, _| !key.starts_with("normal"));
            let (key, offer) = if list {
                (format!("{kind}_list"), json!([offer.clone()]))
            } else {
                (kind.to_owned(), offer.clone())
            };
            rule.insert(key, offer);
        }
        bodies.map(|body| refused_field(&body).rsplit('/').next().unwrap().to_owned())
    };
    for (kind, offer, named) in [
        ("discount_coupon", json!({ "threshold": 0, "percent_off": 1 }), "(taken)"),
        ("discount_coupon", json!({ "threshold": 0, "percent_off": 99 }), "(taken)"),
        ("discount_coupon", json!({ "threshold": 0, "percent_off": 0 }), "percent_off"),
        ("discount_coupon", json!({ "threshold": 0, "percent_off": 100 }), "percent_off"),
        ("discount_coupon", json!({ "threshold": -1, "percent_off": 9 }), "threshold"),
        ("discount_coupon", json!({ "threshold": 0 }), "percent_off"),
        ("exchange_coupon", json!({ "threshold": 0, "exchange_price": 0 }), "(taken)"),
        ("exchange_coupon", json!({ "threshold": 0, "exchange_price": -1 }), "exchange_price"),
        ("exchange_coupon", json!({ "exchange_price": 1 }), "threshold"),
        ("exchange_coupon", json!({ "threshold": 0 }), "exchange_price"),
    ] {
        assert_eq!(offers(kind, offer.clone()), [named, named], "{kind} {offer}");
    }
}

#[test]
fn there_is_one_usage_rule_with_at_most_one_offer() {
    let [single, sequential] = stocks();
    let other = sequential["stock"]["sequential_usage_rule"].clone();
    refuses(0, "/stock/sequential_usage_rule", &[other]);
    let other = single["stock"]["single_usage_rule"].clone();
    refuses_naming(1, "/stock/single_usage_rule", other, "/stock/sequential_usage_rule");
    let exchange = json!({ "threshold": 0, "exchange_price": 1 });
    refuses(0, "/stock/single_usage_rule/exchange_coupon", std::slice::from_ref(&exchange));
    refuses(1, "/stock/sequential_usage_rule/exchange_coupon_list", &[json!([exchange])]);
}

#[test]
fn what_belongs_together_comes_together() {
    let programs = format!("{SHOWN}/coupon_usage_method_list");
    for (left_out, named) in
        [("mini_program_appid", "mini_program_appid"), ("mini_program_path", "mini_program_path")]
    {
        let mut body = stocks()[0].clone();
        set(&mut body, &programs, json!(["OFFLINE"]));
        set(&mut body, &format!("{SHOWN}/{left_out}"), Value::Null);
        assert_eq!(refused_field(&body), format!("{SHOWN}/{named}"), "also without MINI_PROGRAM");
    }
}

#[test]
fn times_are_rfc_3339_in_order_and_at_most_a_year_apart() {
    let end = format!("{PERIOD}/available_end_time");
    let not_times = [
        "2027-02-28",
        "2027-02-28 23:59:59+08:00",
        "2027-02-28T23:59+08:00",
        "2027-02-28T23:59:59",
        "2027-02-28T23:59:59+0800",
        "2027-02-28T23:59:59+08",
        "2027-02-28T23:59:59+24:00",
        "2027-02-28T23:59:59.+08:00",
        "2027-02-28T23:59:59+08:00[Asia/Shanghai]",
        "2027-02-29T23:59:59+08:00",
        "2027-02-28T24:00:00+08:00",
        "2027-02-28T23:59:59+08:00 ",
        "二〇二七年二月二十八日二十三点五十九分",
        "Z",
        "",
    ];
    refuses(0, &end, &not_times.map(Value::from));
    refuses(0, &end, &[json!("2026-12-01T00:00:00+08:00"), json!("2026-11-30T16:00:00Z")]);
    refuses(0, &end, &[json!("2027-12-01T00:00:01+08:00")]);
    refuses(0, &format!("{PERIOD}/available_begin_time"), &[json!("soon")]);
    let mut body = stocks()[0].clone();
    set(&mut body, &end, json!("2027-12-01T00:00:00+08:00"));
    assert_eq!(refused_field(&body), "(taken)", "exactly a year");
    let irregular = format!("{LATER}/irregular_available_period_list/0/end_time");
    refuses(1, &irregular, &[json!("2026-12-01T00:00:00Z"), json!("soon")]);
}

#[test]
fn days_and_waits_go_together_as_the_rule_allows() {
    let irregular = json!([]);
    let list = format!("{PERIOD}/irregular_available_period_list");
    let days = format!("{PERIOD}/available_days");
    refuses_naming(0, &list, irregular, &days);
    refuses_naming(0, &days, Value::Null, &format!("{PERIOD}/wait_days_after_receive"));
    refuses(1, &format!("{LATER}/available_days"), &[json!(1)]);
}

#[test]
fn periods_of_the_day_are_in_order_and_apart() {
    let list = format!("{PERIOD}/weekly_available_period/day_period_list");
    refuses(0, &format!("{list}/1/begin_time"), &[json!(99)]);
    refuses(0, &format!("{list}/1/end_time"), &[json!(200), json!(150)]);
    let mut body = stocks()[0].clone();
    set(&mut body, &format!("{list}/1/begin_time"), json!(100));
    assert_eq!(refused_field(&body), "(taken)", "one may begin when another ends");
    let inside = json!([
        { "begin_time": 10, "end_time": 20 }, { "begin_time": 0, "end_time": 86399 }
    ]);
    refuses_naming(0, &list, inside, &format!("{list}/1/begin_time"));
}
