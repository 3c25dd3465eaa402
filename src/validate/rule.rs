//! The table of rules: a stable id, how bad it is to break it, and what `couponctl explain` says.

use crate::desired::diagnostic::Severity;

/// What is said about a rule.
#[derive(Debug)]
pub struct About {
    /// The rule.
    pub rule: Rule,
    /// Its id: never changes.
    pub id: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What it asks for.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// What breaks it.
    pub bad: &'static str,
    /// What keeps it.
    pub good: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

macro_rules! rules {
    ($($name:ident, $id:literal, $severity:ident, $what:literal, $why:literal, $bad:literal, $good:literal, $source:expr;)+) => {
        /// A rule that files are held against.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Rule { $($name),+ }

        /// Every rule, in the order of this table.
        pub static RULES: &[About] = &[$(About {
            rule: Rule::$name,
            id: $id,
            severity: Severity::$severity,
            what: $what,
            why: $why,
            bad: $bad,
            good: $good,
            source: $source,
        }),+];
    };
}

const ADD_STOCK: &str = "WeChat Pay, add stock (添加商品券批次), request parameters";
const GET_STOCK: &str = "WeChat Pay, get stock (doc 4016427475), stock entity";
const FILES: &str = "couponctl, stock files";
const YAML: &str = "YAML 1.2.2";

rules! {
    UnreadableFile, "unreadable-file", Error, "A stock file can be read.", "A file that is passed over is a stock that is forgotten.", "stocks/a.yaml without read permission, or a folder of that name", "a readable file", FILES;
    FileTooLarge, "file-too-large", Error, "A stock file has at most 4 MiB.", "The largest campaigns have well under that; a larger file is there by mistake.", "an export of 100 MB in stocks/", "several files", FILES;
    NotUtf8, "not-utf8", Error, "A stock file is UTF-8 text.", "In another encoding Chinese text would reach users garbled.", "a file saved as GBK", "the file saved as UTF-8", "YAML 1.2.2, section 5.2; the API takes UTF-8";
    YamlSyntax, "yaml-syntax", Error, "A stock file is YAML.", "What cannot be parsed cannot be planned.", "remark: \"spring", "remark: \"spring\"", YAML;
    TooManyDocuments, "too-many-documents", Error, "A stock file has at most 1,000 documents.", "More are there by mistake.", "a file of a million lines `---`", "several files", FILES;
    TooDeep, "too-deep", Error, "A document is nested at most 32 levels deep.", "A stock needs 8; deeper nesting can only exhaust the machine.", "[[[[[[[[…]]]]]]]]", "the fields of a stock", FILES;
    TooManyNodes, "too-many-nodes", Error, "A document has at most 20,000 values once its aliases are expanded.", "A stock has fewer than 300; aliases of aliases can grow without end.", "a: &a [*b, *b, *b]", "plain values", FILES;
    BadAlias, "bad-alias", Error, "An alias names an anchor that stands before it, outside itself.", "There is nothing else it could stand for.", "stock: &s {again: *s}", "period: *period", "YAML 1.2.2, section 7.1";
    BadMerge, "bad-merge", Error, "`<<` merges a mapping, or a list of mappings.", "Nothing else has keys to merge.", "<<: 3", "<<: *defaults", "YAML merge key, yaml.org/type/merge.html";
    BadTag, "bad-tag", Error, "Only the tags !!str, !!int, !!bool, !!map and !!seq are used.", "Other tags mean different things to different programs.", "max_count: !!float 3", "max_count: 3", FILES;
    DuplicateKey, "duplicate-key", Error, "A key stands once in its mapping.", "Which of two values is meant cannot be known.", "max_count: 1\nmax_count: 2", "max_count: 2", "YAML 1.2.2, section 3.2.1.1";
    UnknownKey, "unknown-key", Error, "Only fields that the API has are written.", "A misspelt field would be left out of the stock, which cannot be changed afterwards.", "max_cuont: 100", "max_count: 100", ADD_STOCK;
    MissingKey, "missing-key", Error, "Every required field is there.", "The API refuses a stock without it.", "stock_send_rule: {max_count: 100}", "stock_send_rule: {max_count: 100, max_count_per_user: 1}", ADD_STOCK;
    WrongType, "wrong-type", Error, "A value has its field's type.", "Turning one type into another would guess at what is meant, and `0123` or `1e3` would not survive.", "product_coupon_id: 200000001", "product_coupon_id: \"200000001\"", ADD_STOCK;
    UnknownValue, "unknown-value", Error, "A field with fixed values has one of them.", "The API refuses any other.", "store_scope: EVERY", "store_scope: ALL", ADD_STOCK;
    NumberForm, "number-form", Error, "A number is written with decimal digits alone.", "`0x10`, `1_000`, `1e3`, `-0` or `.inf` mean different things to different programs.", "max_count: 1_000", "max_count: 1000", FILES;
    AmbiguousText, "ambiguous-text", Warning, "Text that other YAML programs read as true or false stands in quotes.", "YAML 1.1 programs read `yes`, `no`, `on` and `off` as booleans.", "remark: on", "remark: \"on\"", "YAML 1.1, yaml.org/type/bool.html";
    FullWidthQuotes, "full-width-quotes", Warning, "Quotes around a value are straight ones.", "Full-width quotes are part of the text and shown to users.", "remark: “满减”", "remark: \"满减\"", FILES;
    NameInvalid, "name-invalid", Error, "A name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit.", "Names stand in the lock, in request numbers and on command lines.", "name: Spring_Sale", "name: spring-sale", FILES;
    DuplicateName, "duplicate-name", Error, "A name stands once in the workspace.", "The lock records one stock a name.", "two documents with name: spring", "name: spring-2", FILES;
    GenerationOutOfRange, "generation-out-of-range", Error, "A generation is a whole number from 1 up.", "It counts how often the same content was asked for.", "generation: 0", "generation: 2", FILES;
    ProductCouponIdInvalid, "product-coupon-id-invalid", Error, "A product coupon id has 1 to 40 ASCII characters without spaces.", "It is copied from the brand console; anything else is a slip.", "product_coupon_id: \"２００\"", "product_coupon_id: \"200000001\"", GET_STOCK;
    TextEmpty, "text-empty", Error, "Text that is there is not empty.", "The API answers that a parameter is too short (268435463); an optional field is left out instead.", "usage_description: \"\"", "usage_description: 全场可用", ADD_STOCK;
    RemarkTooLong, "remark-too-long", Error, "A remark has at most 20 characters.", "The API refuses a longer one.", "remark: 一二三四五六七八九十一二三四五六七八九十一", "remark: 满100减10", ADD_STOCK;
    MaxCountOutOfRange, "max-count-out-of-range", Error, "max_count is 1 to 100,000,000.", "The API refuses any other.", "max_count: 0", "max_count: 10000", ADD_STOCK;
    MaxCountPerDayOutOfRange, "max-count-per-day-out-of-range", Error, "max_count_per_day is 1 to 100,000,000.", "The API refuses any other; without the field there is no daily limit.", "max_count_per_day: 0", "max_count_per_day: 1000", ADD_STOCK;
    MaxCountPerUserOutOfRange, "max-count-per-user-out-of-range", Error, "max_count_per_user is 1 to 100.", "The API refuses any other.", "max_count_per_user: 101", "max_count_per_user: 1", ADD_STOCK;
    DailyAboveTotal, "daily-above-total", Warning, "max_count_per_day is not above max_count.", "A daily limit above the total limits nothing; one of the two is likely mistyped.", "max_count: 100, max_count_per_day: 1000", "max_count: 1000, max_count_per_day: 100", "couponctl, good practice";
    CodesToUpload, "codes-to-upload", Warning, "With coupon_code_mode UPLOAD, codes are uploaded before coupons are handed out.", "Without codes the stock hands out nothing.", "coupon_code_mode: UPLOAD", "coupon_code_mode: WECHATPAY, or upload codes after the apply", "WeChat Pay, upload coupon codes (doc 4016427797)";
    ApiAssignChannels, "api-assign-channels", Warning, "With coupon_code_mode API_ASSIGN, the brand hands out every coupon itself.", "Such a stock cannot be delivered in WeChat's own channels, such as 摇一摇.", "coupon_code_mode: API_ASSIGN", "coupon_code_mode: WECHATPAY", ADD_STOCK;
    UsageRuleCount, "usage-rule-count", Error, "A stock has exactly one of single_usage_rule and sequential_usage_rule.", "It follows the product coupon's usage_mode, SINGLE or SEQUENTIAL.", "both, or none", "single_usage_rule: …", ADD_STOCK;
    CouponKindCount, "coupon-kind-count", Error, "A usage rule has at most one of the three kinds of coupon.", "A coupon is money off, a percentage off or an exchange.", "normal_coupon and discount_coupon", "normal_coupon alone", ADD_STOCK;
    CouponListEmpty, "coupon-list-empty", Error, "A list of coupons has an item for each use.", "The API refuses an empty one.", "normal_coupon_list: []", "normal_coupon_list: [{threshold: 0, discount_amount: 100}]", ADD_STOCK;
    ThresholdOutOfRange, "threshold-out-of-range", Error, "A threshold is 0 fen (none) or more.", "It is the least amount to pay.", "threshold: -1", "threshold: 10000", ADD_STOCK;
    DiscountAmountOutOfRange, "discount-amount-out-of-range", Error, "A discount_amount is 1 fen or more.", "Amounts are whole fen: 1000 is CNY 10.00.", "discount_amount: 0", "discount_amount: 1000", ADD_STOCK;
    DiscountAboveThreshold, "discount-above-threshold", Error, "A discount_amount is not above the threshold, when there is one.", "The brand would pay the customer.", "threshold: 1000, discount_amount: 2000", "threshold: 2000, discount_amount: 1000", ADD_STOCK;
    PercentOffOutOfRange, "percent-off-out-of-range", Error, "percent_off is 1 to 99.", "30 is 30 % off (七折).", "percent_off: 100", "percent_off: 30", ADD_STOCK;
    ExchangePriceOutOfRange, "exchange-price-out-of-range", Error, "An exchange_price is 0 fen (free) or more.", "It is what the customer pays.", "exchange_price: -1", "exchange_price: 100", ADD_STOCK;
    TimeInvalid, "time-invalid", Error, "A time is RFC 3339 with seconds and an offset.", "Without an offset the moment is not known.", "2026-12-01 00:00", "2026-12-01T00:00:00+08:00", "RFC 3339, section 5.6";
    PeriodReversed, "period-reversed", Error, "A period begins before it ends.", "A coupon would never be usable.", "begin 2027, end 2026", "begin 2026, end 2027", ADD_STOCK;
    PeriodTooLong, "period-too-long", Error, "A period has at most 365 days.", "The API refuses a longer one.", "2026-01-01 to 2027-06-01", "2026-01-01 to 2026-12-31", ADD_STOCK;
    PeriodShort, "period-short", Warning, "A period has 5 days or more.", "No delivery plan can use a shorter one.", "2026-12-01 to 2026-12-03", "2026-12-01 to 2026-12-31", ADD_STOCK;
    PeriodOver, "period-over", Warning, "A period is not over.", "The stock would hand out coupons that nobody can use.", "an end in the past", "an end in the future", "couponctl, good practice";
    AvailableDaysOutOfRange, "available-days-out-of-range", Error, "available_days is 1 to 365.", "The API refuses any other.", "available_days: 0", "available_days: 10", ADD_STOCK;
    AvailableDaysSequential, "available-days-sequential", Error, "A sequential rule has no available_days.", "The API does not take it there.", "sequential_usage_rule with available_days", "wait_days_after_receive alone", ADD_STOCK;
    AvailableDaysIrregular, "available-days-irregular", Error, "available_days and irregular_available_period_list are not used together.", "They contradict each other.", "both", "one of them", ADD_STOCK;
    WaitDaysOutOfRange, "wait-days-out-of-range", Error, "wait_days_after_receive is 0 to 30.", "The API refuses any other.", "wait_days_after_receive: 31", "wait_days_after_receive: 1", ADD_STOCK;
    WaitDaysAlone, "wait-days-alone", Error, "In a single rule, wait_days_after_receive needs available_days.", "The API takes it only together with available_days there.", "wait_days_after_receive: 1 alone", "available_days: 10, wait_days_after_receive: 1", ADD_STOCK;
    DayRepeated, "day-repeated", Error, "A day of the week stands once in day_list.", "The API refuses repeats.", "day_list: [MONDAY, MONDAY]", "day_list: [MONDAY]", ADD_STOCK;
    DaySecondOutOfRange, "day-second-out-of-range", Error, "A time of day is 0 to 86399 seconds.", "A day has 86400 seconds.", "end_time: 86400", "end_time: 86399", ADD_STOCK;
    DayPeriodReversed, "day-period-reversed", Error, "A span of the day begins before it ends.", "A span over midnight is written as two.", "begin_time: 79200, end_time: 7200", "begin_time: 7200, end_time: 79200", ADD_STOCK;
    DayPeriodsOverlap, "day-periods-overlap", Error, "Spans of the day do not overlap.", "The API refuses spans that do.", "0 to 100 and 50 to 200", "0 to 100 and 100 to 200", ADD_STOCK;
    IrregularPeriodReversed, "irregular-period-reversed", Error, "An irregular span begins before it ends.", "A coupon would never be usable in it.", "begin 2027, end 2026", "begin 2026, end 2027", ADD_STOCK;
    UsageMethodEmpty, "usage-method-empty", Error, "coupon_usage_method_list names at least one way.", "A coupon that can be used nowhere is of no use.", "coupon_usage_method_list: []", "coupon_usage_method_list: [OFFLINE]", ADD_STOCK;
    UsageMethodRepeated, "usage-method-repeated", Error, "A way to use the coupon stands once.", "The API refuses repeats.", "[OFFLINE, OFFLINE]", "[OFFLINE]", ADD_STOCK;
    MiniProgramMissing, "mini-program-missing", Error, "With MINI_PROGRAM, mini_program_appid and mini_program_path are there.", "A user must be led somewhere.", "coupon_usage_method_list: [MINI_PROGRAM] alone", "with mini_program_appid and mini_program_path", ADD_STOCK;
    MiniProgramPair, "mini-program-pair", Error, "mini_program_appid and mini_program_path are given together.", "One without the other leads nowhere.", "mini_program_appid alone", "both", ADD_STOCK;
    AppPathMissing, "app-path-missing", Error, "With APP, app_path is there.", "A user must be led somewhere.", "coupon_usage_method_list: [APP] alone", "with app_path", ADD_STOCK;
    DescriptionTooLong, "description-too-long", Error, "A description has at most 1000 characters.", "The API refuses a longer one.", "usage_description of 1001 characters", "usage_description: 全场可用", ADD_STOCK;
    EntranceWordingTooLong, "entrance-wording-too-long", Error, "entrance_wording has at most 5 characters.", "The API refuses a longer one.", "entrance_wording: 欢迎光临选购", "entrance_wording: 欢迎选购", ADD_STOCK;
    GuidanceWordingTooLong, "guidance-wording-too-long", Error, "guidance_wording has at most 6 characters.", "The API refuses a longer one.", "guidance_wording: 获取更多更多优惠", "guidance_wording: 获取更多优惠", ADD_STOCK;
    UrlNotHttps, "url-not-https", Error, "A cover picture's link begins with https://.", "WeChat loads pictures over https only.", "finder_video_cover_image_url: http://…", "finder_video_cover_image_url: https://…", ADD_STOCK;
    StoresToAssociate, "stores-to-associate", Warning, "With store_scope SPECIFIC, stores are associated after the apply.", "Until then the coupon is usable nowhere.", "store_scope: SPECIFIC", "store_scope: ALL, or associate stores after the apply", "WeChat Pay, associate stores";
    SameContent, "same-content", Warning, "Two names do not ask for the same content.", "Two batches alike hand out twice as many coupons; often one is a copy that was meant to be changed.", "two files that differ in name alone", "a remark that tells them apart", "couponctl, good practice";
    TooManyStocks, "too-many-stocks", Error, "A product coupon has at most 200 live stocks, those in the lock counted.", "The API refuses the 201st.", "201 files for one product coupon", "another product coupon", "WeChat Pay, product coupon limits";
}

impl Rule {
    /// What is said about the rule.
    #[must_use]
    pub fn about(self) -> &'static About {
        &RULES[self as usize]
    }

    /// The rule's id.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.about().id
    }

    /// The rule of an id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Self> {
        RULES.iter().find(|about| about.id == id).map(|about| about.rule)
    }

    /// The id nearest to one that does not exist.
    #[must_use]
    pub fn nearest(id: &str) -> Option<&'static str> {
        nearest(id, RULES.iter().map(|about| about.id))
    }
}

/// The known word that a misspelt one most likely means.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    // A word of a megabyte has no near miss, and measuring it would take minutes.
    if lower.len() > 100 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_kebab_case_and_the_table_is_in_order() {
        let mut seen = std::collections::HashSet::new();
        for (index, about) in RULES.iter().enumerate() {
            assert!(seen.insert(about.id), "{}", about.id);
            assert!(
                about.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert_eq!(about.rule as usize, index);
            assert_eq!(Rule::by_id(about.id), Some(about.rule));
        }
    }

    #[test]
    fn a_misspelt_word_finds_the_nearest_known_one() {
        assert_eq!(nearest("max_cuont", ["max_count", "max_count_per_day"]), Some("max_count"));
        assert_eq!(nearest("mondy", ["MONDAY", "SUNDAY"]), Some("MONDAY"));
        assert_eq!(nearest("colour", ["max_count"]), None);
    }
}
