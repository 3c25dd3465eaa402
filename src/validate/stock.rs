//! The rules on a stock, field by field (API document, section 4).

use jiff::Timestamp;

use super::period::{self, Kind};
use super::rule::Rule;
use super::{At, Problem};
use crate::wechatpay::stock::{
    CouponCodeMode, CouponDisplayInfo, CouponUsageMethod, DiscountCoupon, ExchangeCoupon,
    NormalCoupon, Stock, StockSendRule, StoreScope, Text, UsageRuleDisplayInfo, limits,
};

/// Plain words that YAML 1.1 programs read as booleans.
pub const AMBIGUOUS: [&str; 8] = ["yes", "no", "on", "off", "y", "n", "true", "false"];

/// Holds a stock against every rule on stocks.
pub fn check(stock: &Stock, now: Timestamp, found: &mut Vec<Problem>) {
    let at = At::top("stock");
    if let Some(remark) = &stock.remark {
        let at = at.key("remark");
        text(remark, &at, found);
        longer(remark, limits::REMARK_CHARS, Rule::RemarkTooLong, at, found);
    }
    let mode_at = at.key("coupon_code_mode");
    match stock.coupon_code_mode {
        CouponCodeMode::Wechatpay => {}
        CouponCodeMode::Upload => found.push(
            Problem::new(
                Rule::CodesToUpload,
                mode_at,
                "after the apply, codes must be uploaded before this stock hands out anything",
            )
            .help("upload codes in the brand console, or let WeChat Pay make them: WECHATPAY"),
        ),
        CouponCodeMode::ApiAssign => found.push(Problem::new(
            Rule::ApiAssignChannels,
            mode_at,
            "this stock cannot be delivered in WeChat's own channels: the brand sends each coupon",
        )),
    }
    send_rule(&stock.stock_send_rule, &at.key("stock_send_rule"), found);
    usage(stock, &at, now, found);
    usage_display(&stock.usage_rule_display_info, &at.key("usage_rule_display_info"), found);
    display(&stock.coupon_display_info, &at.key("coupon_display_info"), found);
    text(&stock.notify_config.notify_appid, &at.key("notify_config").key("notify_appid"), found);
    if stock.store_scope == StoreScope::Specific {
        found.push(
            Problem::new(
                Rule::StoresToAssociate,
                at.key("store_scope"),
                "after the apply, stores must be associated: until then the coupon is usable nowhere",
            )
            .help("associate stores in the brand console, or write ALL"),
        );
    }
}

/// The rules on any text.
fn text(text: &Text, at: &At<'_>, found: &mut Vec<Problem>) {
    let trimmed = text.trim();
    if text.is_empty() {
        found.push(
            Problem::new(Rule::TextEmpty, at, "the text is empty")
                .help("write the text, or remove the line if the field is optional"),
        );
    } else if AMBIGUOUS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        found.push(
            Problem::new(
                Rule::AmbiguousText,
                at,
                "other YAML programs read this word as true or false",
            )
            .help(format!("put it in quotes: \"{text}\"")),
        );
    } else if trimmed.starts_with(['“', '‘', '＂', '「'])
        && trimmed.ends_with(['”', '’', '＂', '」'])
    {
        let inner = trimmed.trim_matches(['“', '”', '‘', '’', '＂', '「', '」']);
        found.push(
            Problem::new(
                Rule::FullWidthQuotes,
                at,
                "these quotes are part of the text: users will see them",
            )
            .help(format!("if they are not meant, write \"{inner}\"")),
        );
    }
}

fn longer(text: &Text, most: usize, rule: Rule, at: At<'_>, found: &mut Vec<Problem>) {
    // Bytes are no fewer than characters, and cheaper to count.
    if text.len() > most && text.chars_count() > most {
        let message = format!("the text has {} characters; at most {most} fit", text.chars_count());
        found.push(
            Problem::new(rule, at, message)
                .help(format!("shorten it by {}", text.chars_count() - most)),
        );
    }
}

fn range(value: i64, least: i64, most: i64, rule: Rule, at: At<'_>, found: &mut Vec<Problem>) {
    if !(least..=most).contains(&value) {
        let name = at.last_key();
        let message = if most == limits::SAFE_INTEGER && value < least {
            format!("{name} is {least} or more, not {value}")
        } else {
            format!("{name} is {least} to {most}, not {value}")
        };
        found.push(Problem::new(rule, at, message));
    }
}

/// Reports what stands in a list a second time.
pub(super) fn repeats<T: PartialEq>(
    items: &[T],
    at: &At<'_>,
    rule: Rule,
    message: &str,
    found: &mut Vec<Problem>,
) {
    // Lists of a few values: a stock with more was refused for its unknown values before.
    for (index, item) in items.iter().enumerate().take(64) {
        if let Some(first) = items[..index].iter().position(|other| other == item) {
            found.push(
                Problem::new(rule, at.index(index), message)
                    .and(at.index(first), "here for the first time")
                    .help("remove one of them"),
            );
        }
    }
}

fn send_rule(rule: &StockSendRule, at: &At<'_>, found: &mut Vec<Problem>) {
    let count_at = at.key("max_count");
    range(rule.max_count, 1, limits::MAX_COUNT, Rule::MaxCountOutOfRange, count_at, found);
    if let Some(day) = rule.max_count_per_day {
        let day_at = at.key("max_count_per_day");
        range(day, 1, limits::MAX_COUNT, Rule::MaxCountPerDayOutOfRange, day_at, found);
        if day > rule.max_count {
            found.push(
                Problem::new(
                    Rule::DailyAboveTotal,
                    day_at,
                    "the daily limit is above the total, so it limits nothing",
                )
                .and(count_at, "the total"),
            );
        }
    }
    let user_at = at.key("max_count_per_user");
    let most = limits::MAX_COUNT_PER_USER;
    range(rule.max_count_per_user, 1, most, Rule::MaxCountPerUserOutOfRange, user_at, found);
}

fn usage(stock: &Stock, at: &At<'_>, now: Timestamp, found: &mut Vec<Problem>) {
    let (single_at, sequential_at) = (at.key("single_usage_rule"), at.key("sequential_usage_rule"));
    match (&stock.single_usage_rule, &stock.sequential_usage_rule) {
        (Some(_), Some(_)) => found.push(
            Problem::new(Rule::UsageRuleCount, sequential_at, "a stock has one usage rule, not two")
                .and(single_at, "the other one")
                .help("keep the one of the product coupon's usage_mode: SINGLE or SEQUENTIAL"),
        ),
        (None, None) => found.push(
            Problem::new(Rule::UsageRuleCount, at, "the stock has no usage rule")
                .help("add `single_usage_rule` or `sequential_usage_rule`, as the product coupon's usage_mode says"),
        ),
        _ => {}
    }
    if let Some(rule) = &stock.single_usage_rule {
        let period_at = single_at.key("coupon_available_period");
        period::check(&rule.coupon_available_period, Kind::Single, &period_at, now, found);
        let kinds = [
            ("normal_coupon", rule.normal_coupon.is_some()),
            ("discount_coupon", rule.discount_coupon.is_some()),
            ("exchange_coupon", rule.exchange_coupon.is_some()),
        ];
        at_most_one(kinds, &single_at, found);
        if let Some(coupon) = &rule.normal_coupon {
            normal(coupon, &single_at.key("normal_coupon"), found);
        }
        if let Some(coupon) = &rule.discount_coupon {
            discount(coupon, &single_at.key("discount_coupon"), found);
        }
        if let Some(coupon) = &rule.exchange_coupon {
            exchange(coupon, &single_at.key("exchange_coupon"), found);
        }
    }
    if let Some(rule) = &stock.sequential_usage_rule {
        let at = &sequential_at;
        let period_at = at.key("coupon_available_period");
        period::check(&rule.coupon_available_period, Kind::Sequential, &period_at, now, found);
        let kinds = [
            ("normal_coupon_list", rule.normal_coupon_list.is_some()),
            ("discount_coupon_list", rule.discount_coupon_list.is_some()),
            ("exchange_coupon_list", rule.exchange_coupon_list.is_some()),
        ];
        at_most_one(kinds, at, found);
        each(rule.normal_coupon_list.as_deref(), &at.key("normal_coupon_list"), normal, found);
        each(
            rule.discount_coupon_list.as_deref(),
            &at.key("discount_coupon_list"),
            discount,
            found,
        );
        each(
            rule.exchange_coupon_list.as_deref(),
            &at.key("exchange_coupon_list"),
            exchange,
            found,
        );
    }
}

fn at_most_one(kinds: [(&str, bool); 3], at: &At<'_>, found: &mut Vec<Problem>) {
    let mut there = kinds.into_iter().filter(|(_, there)| *there);
    if let Some((first, _)) = there.next() {
        for (further, _) in there {
            found.push(
                Problem::new(
                    Rule::CouponKindCount,
                    at.key(further),
                    "a usage rule has one kind of coupon, not several",
                )
                .and(at.key(first), "the first one")
                .help("keep one of them"),
            );
        }
    }
}

fn each<T>(
    list: Option<&[T]>,
    at: &At<'_>,
    check: impl Fn(&T, &At<'_>, &mut Vec<Problem>),
    found: &mut Vec<Problem>,
) {
    let Some(list) = list else { return };
    if list.is_empty() {
        found.push(Problem::new(Rule::CouponListEmpty, at, "the list is empty").help(
            "add an item for each use, or remove the key if the product coupon carries the rule",
        ));
    }
    for (index, item) in list.iter().enumerate() {
        check(item, &at.index(index), found);
    }
}

fn threshold(value: i64, at: &At<'_>, found: &mut Vec<Problem>) {
    range(value, 0, limits::SAFE_INTEGER, Rule::ThresholdOutOfRange, at.key("threshold"), found);
}

fn normal(coupon: &NormalCoupon, at: &At<'_>, found: &mut Vec<Problem>) {
    threshold(coupon.threshold, at, found);
    let amount_at = at.key("discount_amount");
    let most = limits::SAFE_INTEGER;
    range(coupon.discount_amount, 1, most, Rule::DiscountAmountOutOfRange, amount_at, found);
    if coupon.threshold > 0 && coupon.discount_amount > coupon.threshold {
        found.push(
            Problem::new(
                Rule::DiscountAboveThreshold,
                amount_at,
                "the discount is above the least amount to pay",
            )
            .and(at.key("threshold"), "the least amount to pay"),
        );
    }
}

fn discount(coupon: &DiscountCoupon, at: &At<'_>, found: &mut Vec<Problem>) {
    threshold(coupon.threshold, at, found);
    let percent_at = at.key("percent_off");
    range(
        coupon.percent_off,
        1,
        limits::PERCENT_OFF,
        Rule::PercentOffOutOfRange,
        percent_at,
        found,
    );
}

fn exchange(coupon: &ExchangeCoupon, at: &At<'_>, found: &mut Vec<Problem>) {
    threshold(coupon.threshold, at, found);
    let price_at = at.key("exchange_price");
    range(
        coupon.exchange_price,
        0,
        limits::SAFE_INTEGER,
        Rule::ExchangePriceOutOfRange,
        price_at,
        found,
    );
}

fn usage_display(info: &UsageRuleDisplayInfo, at: &At<'_>, found: &mut Vec<Problem>) {
    let methods_at = at.key("coupon_usage_method_list");
    let methods = &info.coupon_usage_method_list;
    if methods.is_empty() {
        found.push(
            Problem::new(
                Rule::UsageMethodEmpty,
                methods_at,
                "the list names no way to use the coupon",
            )
            .help("add OFFLINE, MINI_PROGRAM, APP or PAYMENT_CODE"),
        );
    }
    repeats(methods, &methods_at, Rule::UsageMethodRepeated, "this way stands there twice", found);
    for (key, value) in [
        ("mini_program_appid", &info.mini_program_appid),
        ("mini_program_path", &info.mini_program_path),
        ("app_path", &info.app_path),
    ] {
        if let Some(value) = value {
            text(value, &at.key(key), found);
        }
    }
    let listed = |wanted| methods.iter().position(|method| *method == wanted);
    let pair = [
        ("mini_program_appid", info.mini_program_appid.is_some()),
        ("mini_program_path", info.mini_program_path.is_some()),
    ];
    match listed(CouponUsageMethod::MiniProgram) {
        Some(index) => {
            for (key, _) in pair.into_iter().filter(|(_, there)| !there) {
                found.push(
                    Problem::new(Rule::MiniProgramMissing, at, format!("`{key}` is missing"))
                        .and(methods_at.index(index), "needed because of this")
                        .help(format!("add `{key}`, or remove MINI_PROGRAM")),
                );
            }
        }
        None => together(pair, at, found),
    }
    if let (Some(index), None) = (listed(CouponUsageMethod::App), &info.app_path) {
        found.push(
            Problem::new(Rule::AppPathMissing, at, "`app_path` is missing")
                .and(methods_at.index(index), "needed because of this")
                .help("add `app_path`, or remove APP"),
        );
    }
    let description_at = at.key("usage_description");
    text(&info.usage_description, &description_at, found);
    longer(
        &info.usage_description,
        limits::DESCRIPTION_CHARS,
        Rule::DescriptionTooLong,
        description_at,
        found,
    );
    if let Some(stores) = &info.coupon_available_store_info {
        let at = at.key("coupon_available_store_info");
        let description_at = at.key("description");
        text(&stores.description, &description_at, found);
        longer(
            &stores.description,
            limits::DESCRIPTION_CHARS,
            Rule::DescriptionTooLong,
            description_at,
            found,
        );
        let (appid, path) = (&stores.mini_program_appid, &stores.mini_program_path);
        for (key, value) in [("mini_program_appid", appid), ("mini_program_path", path)] {
            if let Some(value) = value {
                text(value, &at.key(key), found);
            }
        }
        together(
            [("mini_program_appid", appid.is_some()), ("mini_program_path", path.is_some())],
            &at,
            found,
        );
    }
}

fn together(pair: [(&str, bool); 2], at: &At<'_>, found: &mut Vec<Problem>) {
    let [(first, has_first), (second, has_second)] = pair;
    let (there, missing) = match (has_first, has_second) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        _ => return,
    };
    found.push(
        Problem::new(
            Rule::MiniProgramPair,
            at.key(there),
            format!("`{there}` needs `{missing}` beside it"),
        )
        .help(format!("add `{missing}`, or remove `{there}`")),
    );
}

fn display(info: &CouponDisplayInfo, at: &At<'_>, found: &mut Vec<Problem>) {
    if let Some(entrance) = &info.entrance_mini_program {
        let at = at.key("entrance_mini_program");
        text(&entrance.appid, &at.key("appid"), found);
        text(&entrance.path, &at.key("path"), found);
        let wording_at = at.key("entrance_wording");
        text(&entrance.entrance_wording, &wording_at, found);
        longer(
            &entrance.entrance_wording,
            limits::ENTRANCE_WORDING_CHARS,
            Rule::EntranceWordingTooLong,
            wording_at,
            found,
        );
        let guidance_at = at.key("guidance_wording");
        text(&entrance.guidance_wording, &guidance_at, found);
        longer(
            &entrance.guidance_wording,
            limits::GUIDANCE_WORDING_CHARS,
            Rule::GuidanceWordingTooLong,
            guidance_at,
            found,
        );
    }
    if let Some(entrance) = &info.entrance_official_account {
        text(&entrance.appid, &at.key("entrance_official_account").key("appid"), found);
    }
    if let Some(entrance) = &info.entrance_finder {
        let at = at.key("entrance_finder");
        text(&entrance.finder_id, &at.key("finder_id"), found);
        text(&entrance.finder_video_id, &at.key("finder_video_id"), found);
        let url = &entrance.finder_video_cover_image_url;
        if url.strip_prefix("https://").is_none_or(str::is_empty) {
            let near = url.strip_prefix("http://").filter(|rest| !rest.is_empty());
            let problem = Problem::new(
                Rule::UrlNotHttps,
                at.key("finder_video_cover_image_url"),
                "the link does not begin with https://",
            );
            found.push(match near {
                Some(rest) => problem.help(format!("write \"https://{rest}\"")),
                None => problem,
            });
        }
    }
}
