//! The sandbox's own check of request bodies, on purpose apart from `validate`: two readings of the same
//! documentation (the *add stock* request) that can be held against each other.

use jiff::Timestamp;
use serde_json::Value;

use super::shape::{Checked, Object};

const USES: &str = "coupon_usage_method_list";
const PERIOD: &str = "coupon_available_period";
const DAYS: [&str; 7] =
    ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
const COLORS: [&str; 10] = [
    "Color010", "Color020", "Color030", "Color040", "Color050", "Color060", "Color070", "Color080",
    "Color090", "Color100",
];
/// The largest whole number that JSON readers keep exactly (RFC 8785).
const EXACT: i64 = (1 << 53) - 1;
const YEAR_SECONDS: i64 = 365 * 86_400;

/// The request number of a body, in the form that the API takes.
fn request_number<'a>(body: &Object<'a>) -> Checked<&'a str> {
    let number = body.needs_text("out_request_no")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !(6..=40).contains(&number.len()) || !number.chars().all(fits) {
        return body.refuse("out_request_no", "must be 6 to 40 of 0-9, A-Z, a-z, _ and -");
    }
    Ok(number)
}

/// Checks the body of *add stock*; gives its request number.
pub(super) fn add_stock(body: &Value) -> Checked<&str> {
    let body = Object::of(String::new(), body, &["out_request_no", "stock"])?;
    let number = request_number(&body)?;
    stock(&body.needs_object(
        "stock",
        &[
            "remark",
            "coupon_code_mode",
            "stock_send_rule",
            "single_usage_rule",
            "sequential_usage_rule",
            "usage_rule_display_info",
            "coupon_display_info",
            "notify_config",
            "store_scope",
        ],
    )?)?;
    Ok(number)
}

/// Checks the body of *deactivate stock*; gives its request number and reason.
pub(super) fn deactivate(body: &Value) -> Checked<(&str, &str)> {
    let body = Object::of(String::new(), body, &["out_request_no", "deactivate_reason"])?;
    Ok((request_number(&body)?, body.needs_text_up_to("deactivate_reason", 150)?))
}

fn stock(stock: &Object) -> Checked {
    stock.text_up_to("remark", 20)?;
    stock.needs_word("coupon_code_mode", &["WECHATPAY", "UPLOAD", "API_ASSIGN"])?;

    let send = stock.needs_object(
        "stock_send_rule",
        &["max_count", "max_count_per_day", "max_count_per_user"],
    )?;
    send.needs_whole("max_count", 1..=100_000_000)?;
    send.whole("max_count_per_day", 1..=100_000_000)?;
    send.needs_whole("max_count_per_user", 1..=100)?;

    match stock.at_most_one_of(&["single_usage_rule", "sequential_usage_rule"])? {
        Some("single_usage_rule") => single_usage_rule(stock)?,
        Some(_) => sequential_usage_rule(stock)?,
        None => {
            let issue = "is missing; either it or sequential_usage_rule is required";
            stock.refuse("single_usage_rule", issue)?;
        }
    }
    usage_rule_display_info(stock)?;
    coupon_display_info(stock)?;
    stock.needs_object("notify_config", &["notify_appid"])?.needs_text("notify_appid")?;
    stock.needs_word("store_scope", &["NONE", "ALL", "SPECIFIC"])?;
    Ok(())
}

fn single_usage_rule(stock: &Object) -> Checked {
    let kinds = ["normal_coupon", "discount_coupon", "exchange_coupon"];
    let keys = [&[PERIOD][..], &kinds].concat();
    let rule = stock.needs_object("single_usage_rule", &keys)?;
    available_period(&rule, true)?;
    if let Some(kind) = rule.at_most_one_of(&kinds)? {
        offer(kind, &rule.needs_object(kind, &offer_keys(kind))?)?;
    }
    Ok(())
}

fn sequential_usage_rule(stock: &Object) -> Checked {
    let kinds = ["normal_coupon_list", "discount_coupon_list", "exchange_coupon_list"];
    let keys = [&[PERIOD, "special_first"][..], &kinds].concat();
    let rule = stock.needs_object("sequential_usage_rule", &keys)?;
    available_period(&rule, false)?;
    if let Some(kind) = rule.at_most_one_of(&kinds)? {
        rule.filled_list(kind)?;
        for item in rule.objects(kind, &offer_keys(kind))? {
            offer(kind, &item)?;
        }
    }
    rule.flag("special_first")?;
    Ok(())
}

fn offer_keys(kind: &str) -> [&'static str; 2] {
    let second = match kind.split('_').next() {
        Some("normal") => "discount_amount",
        Some("discount") => "percent_off",
        _ => "exchange_price",
    };
    ["threshold", second]
}

fn offer(kind: &str, offer: &Object) -> Checked {
    let threshold = offer.needs_whole("threshold", 0..=EXACT)?;
    match offer_keys(kind)[1] {
        key @ "discount_amount" => {
            let amount = offer.needs_whole(key, 1..=EXACT)?;
            if threshold > 0 && amount > threshold {
                return offer.refuse(key, "must not be above the threshold");
            }
        }
        key @ "percent_off" => {
            offer.needs_whole(key, 1..=99)?;
        }
        key => {
            offer.needs_whole(key, 0..=EXACT)?;
        }
    }
    Ok(())
}

fn available_period(rule: &Object, single: bool) -> Checked {
    let mut keys = vec![
        "available_begin_time",
        "available_end_time",
        "wait_days_after_receive",
        "weekly_available_period",
        "irregular_available_period_list",
    ];
    if single {
        keys.push("available_days");
    }
    let period = rule.needs_object(PERIOD, &keys)?;
    let (begin, end) = span(&period, "available_begin_time", "available_end_time")?;
    if end.as_nanosecond() - begin.as_nanosecond() > i128::from(YEAR_SECONDS) * 1_000_000_000 {
        return period.refuse("available_end_time", "must be at most 365 days after the begin");
    }
    let days = period.whole("available_days", 1..=365)?;
    if days.is_some() && period.has("irregular_available_period_list") {
        let issue = "must not be given together with irregular_available_period_list";
        return period.refuse("available_days", issue);
    }
    let wait = period.whole("wait_days_after_receive", 0..=30)?;
    if single && wait.is_some() && days.is_none() {
        let issue = "must not be given without available_days";
        return period.refuse("wait_days_after_receive", issue);
    }
    weekly_available_period(&period)?;
    for item in period.objects("irregular_available_period_list", &["begin_time", "end_time"])? {
        span(&item, "begin_time", "end_time")?;
    }
    Ok(())
}

fn weekly_available_period(period: &Object) -> Checked {
    const SPANS: &str = "day_period_list";
    let Some(weekly) = period.object("weekly_available_period", &["day_list", SPANS])? else {
        return Ok(());
    };
    weekly.words("day_list", &DAYS)?;
    let mut earlier: Vec<(i64, i64)> = Vec::new();
    for item in weekly.objects(SPANS, &["begin_time", "end_time"])? {
        let begin = item.needs_whole("begin_time", 0..=86_399)?;
        let end = item.needs_whole("end_time", 0..=86_399)?;
        if begin >= end {
            return item.refuse("end_time", "must be after begin_time");
        }
        if earlier.iter().any(|other| begin < other.1 && other.0 < end) {
            return item.refuse("begin_time", "must not overlap another period of the day");
        }
        earlier.push((begin, end));
    }
    Ok(())
}

fn span(object: &Object, begin: &str, end: &str) -> Checked<(Timestamp, Timestamp)> {
    let time = |key| {
        let text = object.needs_text(key)?;
        match rfc_3339(text) {
            Some(time) => Ok(time),
            None => object.refuse(key, "must be a time such as 2026-12-01T00:00:00+08:00"),
        }
    };
    let times = (time(begin)?, time(end)?);
    if times.0 >= times.1 {
        return object.refuse(end, &format!("must be after {begin}"));
    }
    Ok(times)
}

/// Reads RFC 3339 and nothing more: the library alone would also take times without seconds, a space
/// for the `T`, or a zone in brackets.
fn rfc_3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let like = |bytes: &[u8], form: &[u8]| {
        bytes.len() == form.len()
            && bytes.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte.eq_ignore_ascii_case(form),
            })
    };
    let (date, mut rest) = bytes.split_at_checked(19)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = (1..=9).contains(&digits).then(|| &fraction[digits..])?;
    }
    let offset = like(rest, b"Z") || like(rest, b"+00:00") || like(rest, b"-00:00");
    let hours: u8 = text.get(text.len().checked_sub(5)?..text.len() - 3)?.parse().unwrap_or(0);
    let fits = like(date, b"0000-00-00T00:00:00") && offset && (like(rest, b"Z") || hours < 24);
    fits.then(|| text.parse().ok())?
}

fn usage_rule_display_info(stock: &Object) -> Checked {
    let keys = [
        USES,
        "mini_program_appid",
        "mini_program_path",
        "app_path",
        "usage_description",
        "coupon_available_store_info",
    ];
    let info = stock.needs_object("usage_rule_display_info", &keys)?;
    if info.filled_list(USES)?.is_none() {
        return info.refuse(USES, "is missing");
    }
    let uses = info.words(USES, &["OFFLINE", "MINI_PROGRAM", "APP", "PAYMENT_CODE"])?;
    for key in ["mini_program_appid", "mini_program_path"] {
        if info.text(key)?.is_none() && uses.contains(&"MINI_PROGRAM") {
            return info.refuse(key, "is required with MINI_PROGRAM");
        }
    }
    info.together("mini_program_appid", "mini_program_path")?;
    if info.text("app_path")?.is_none() && uses.contains(&"APP") {
        return info.refuse("app_path", "is required with APP");
    }
    info.needs_text_up_to("usage_description", 1000)?;
    let keys = ["description", "mini_program_appid", "mini_program_path"];
    if let Some(store) = info.object("coupon_available_store_info", &keys)? {
        store.needs_text_up_to("description", 1000)?;
        store.text("mini_program_appid")?;
        store.text("mini_program_path")?;
        store.together("mini_program_appid", "mini_program_path")?;
    }
    Ok(())
}

fn coupon_display_info(stock: &Object) -> Checked {
    let (program, account, finder) =
        ("entrance_mini_program", "entrance_official_account", "entrance_finder");
    let keys = ["code_display_mode", "background_color", program, account, finder];
    let info = stock.needs_object("coupon_display_info", &keys)?;
    info.needs_word("code_display_mode", &["INVISIBLE", "BARCODE", "QRCODE"])?;
    info.word("background_color", &COLORS)?;
    let keys = ["appid", "path", "entrance_wording", "guidance_wording"];
    if let Some(program) = info.object(program, &keys)? {
        program.needs_text("appid")?;
        program.needs_text("path")?;
        program.needs_text_up_to("entrance_wording", 5)?;
        program.needs_text_up_to("guidance_wording", 6)?;
    }
    if let Some(account) = info.object(account, &["appid"])? {
        account.needs_text("appid")?;
    }
    let keys = ["finder_id", "finder_video_id", "finder_video_cover_image_url"];
    if let Some(finder) = info.object(finder, &keys)? {
        finder.needs_text("finder_id")?;
        finder.needs_text("finder_video_id")?;
        let cover = finder.needs_text("finder_video_cover_image_url")?;
        if cover.strip_prefix("https://").is_none_or(str::is_empty) {
            return finder.refuse("finder_video_cover_image_url", "must be an https:// link");
        }
    }
    Ok(())
}
