//! The one definition of a stock (批次): the YAML reader, the request body, the JSON Schema, the
//! diff, the sandbox and the answer type all derive from the structs here.
//!
//! Source: WeChat Pay's *add stock* request, `pay.weixin.qq.com/doc/brand` 4016427475 (entity) and
//! its siblings. Amounts are integers in fen (分, 1/100 CNY); text limits count Unicode scalar
//! values. Unknown keys are not an error here, because answers may carry new ones at any time; the
//! YAML reader refuses them on its own.

use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// The numbers of the API's rules, each written once: the JSON Schema and the validator draw on it.
pub mod limits {
    /// Most characters of `remark`.
    pub const REMARK_CHARS: usize = 20;
    /// Largest `max_count` and `max_count_per_day`.
    pub const MAX_COUNT: i64 = 100_000_000;
    /// Largest `max_count_per_user`.
    pub const MAX_COUNT_PER_USER: i64 = 100;
    /// Most characters of `usage_description` and of a store `description`.
    pub const DESCRIPTION_CHARS: usize = 1000;
    /// Most characters of `entrance_wording`.
    pub const ENTRANCE_WORDING_CHARS: usize = 5;
    /// Most characters of `guidance_wording`.
    pub const GUIDANCE_WORDING_CHARS: usize = 6;
    /// Most days between the begin and the end of the available period.
    pub const PERIOD_DAYS: i64 = 365;
    /// Below this many days no delivery plan can use the stock.
    pub const PERIOD_DAYS_ADVISED: i64 = 5;
    /// Largest `available_days`.
    pub const AVAILABLE_DAYS: i64 = 365;
    /// Largest `wait_days_after_receive`.
    pub const WAIT_DAYS: i64 = 30;
    /// Last second of a day, as `begin_time` and `end_time` of a day period count.
    pub const LAST_SECOND_OF_DAY: i64 = 86_399;
    /// Largest `percent_off`.
    pub const PERCENT_OFF: i64 = 99;
    /// Most characters of `product_coupon_id` and `stock_id`.
    pub const ID_CHARS: usize = 40;
    /// Live stocks that one product coupon may have.
    pub const LIVE_STOCKS: usize = 200;
    /// Largest whole number that JSON readers keep exactly (2^53 - 1, RFC 8785 section 3.2.2.3).
    pub const SAFE_INTEGER: i64 = 9_007_199_254_740_991;
}

/// A string that was written as a string: a number, a boolean or an empty value is refused instead
/// of being turned into text, because `0123` and `1e3` would not survive.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema, Default)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Text(pub String);

impl Text {
    /// The number of Unicode scalar values, which is how the API counts.
    #[must_use]
    pub fn chars_count(&self) -> usize {
        self.0.chars().count()
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// Reads an optional field that is there: an explicit null is refused, since "absent" is written by
/// leaving the key out.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The `stock` object of *add stock*. 商品券批次。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stock {
    /// A note that only the brand sees, at most 20 characters. 批次备注,仅品牌可见,最多20个字符。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", length(max = limits::REMARK_CHARS), example = &"满100减10")]
    pub remark: Option<Text>,
    /// Where coupon codes come from. 券码模式。
    pub coupon_code_mode: CouponCodeMode,
    /// How many coupons are handed out. 发放规则。
    pub stock_send_rule: StockSendRule,
    /// Usage rule of a product coupon whose `usage_mode` is SINGLE. Exactly one of this and
    /// `sequential_usage_rule`. 单券使用规则,与多次优惠规则二选一。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SingleUsageRule")]
    pub single_usage_rule: Option<SingleUsageRule>,
    /// Usage rule of a product coupon whose `usage_mode` is SEQUENTIAL. Exactly one of this and
    /// `single_usage_rule`. 多次优惠使用规则,与单券规则二选一。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SequentialUsageRule")]
    pub sequential_usage_rule: Option<SequentialUsageRule>,
    /// What a user is told about using the coupon. 使用规则展示信息。
    pub usage_rule_display_info: UsageRuleDisplayInfo,
    /// How the coupon looks. 券展示信息。
    pub coupon_display_info: CouponDisplayInfo,
    /// Where events are sent. 事件通知配置。
    pub notify_config: NotifyConfig,
    /// Which stores accept the coupon. 可用门店范围。
    pub store_scope: StoreScope,
}

/// Where coupon codes come from. 券码模式。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CouponCodeMode {
    /// WeChat makes the codes. 微信支付随机生成。
    Wechatpay,
    /// The brand uploads codes before they are handed out. 品牌方预上传。
    Upload,
    /// The brand names the code when it sends a coupon; not usable in WeChat's own channels.
    /// 品牌方发券时指定。
    ApiAssign,
}

/// How many coupons are handed out. 发放规则。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockSendRule {
    /// Coupons in all, 1 to 100,000,000. 总发放次数上限。
    #[schemars(range(min = 1, max = limits::MAX_COUNT), example = 10000)]
    pub max_count: i64,
    /// Coupons a day, 1 to 100,000,000; absent: no limit. 单日发放次数上限,不填则不限。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = limits::MAX_COUNT), example = 1000)]
    pub max_count_per_day: Option<i64>,
    /// Coupons a user may get, 1 to 100. 单用户发放次数上限。
    #[schemars(range(min = 1, max = limits::MAX_COUNT_PER_USER), example = 1)]
    pub max_count_per_user: i64,
}

/// The rule of a coupon that is used once. 单券使用规则。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SingleUsageRule {
    /// When the coupon is usable. 券可用时间。
    pub coupon_available_period: CouponAvailablePeriod,
    /// Money off. At most one of the three kinds. 满减券规则,三种至多一种。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NormalCoupon")]
    pub normal_coupon: Option<NormalCoupon>,
    /// Percentage off. At most one of the three kinds. 折扣券规则,三种至多一种。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DiscountCoupon")]
    pub discount_coupon: Option<DiscountCoupon>,
    /// A fixed price for the product. At most one of the three kinds. 兑换券规则,三种至多一种。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExchangeCoupon")]
    pub exchange_coupon: Option<ExchangeCoupon>,
}

/// The rule of a coupon that is used several times, one offer a use. 多次优惠使用规则。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SequentialUsageRule {
    /// When the coupon is usable; `available_days` is not accepted here. 券可用时间,不支持 `available_days`。
    pub coupon_available_period: CouponAvailablePeriod,
    /// Money off, one item a use. At most one of the three lists. 满减券规则列表,每次使用一项。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<NormalCoupon>", length(min = 1))]
    pub normal_coupon_list: Option<Vec<NormalCoupon>>,
    /// Percentage off, one item a use. At most one of the three lists. 折扣券规则列表,每次使用一项。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DiscountCoupon>", length(min = 1))]
    pub discount_coupon_list: Option<Vec<DiscountCoupon>>,
    /// A fixed price, one item a use. At most one of the three lists. 兑换券规则列表,每次使用一项。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<ExchangeCoupon>", length(min = 1))]
    pub exchange_coupon_list: Option<Vec<ExchangeCoupon>>,
    /// Whether the first use has a special offer; default false. 首次优惠是否特殊,默认 false。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub special_first: Option<bool>,
}

/// When a coupon is usable. 券可用时间。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponAvailablePeriod {
    /// First moment, RFC 3339 with an offset. 可用开始时间,RFC 3339 格式,须带时区。
    #[schemars(extend("format" = "date-time"), example = &"2026-12-01T00:00:00+08:00")]
    pub available_begin_time: Text,
    /// Last moment, RFC 3339 with an offset; at most 365 days after the begin.
    /// 可用结束时间,RFC 3339 格式,须带时区,距开始时间最多365天。
    #[schemars(extend("format" = "date-time"), example = &"2027-02-28T23:59:59+08:00")]
    pub available_end_time: Text,
    /// Days a coupon stays usable once received, 1 to 365; not together with
    /// `irregular_available_period_list`. 领券后可用天数。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = limits::AVAILABLE_DAYS), example = 10)]
    pub available_days: Option<i64>,
    /// Days to wait after receiving, 0 to 30; in a single rule only together with
    /// `available_days`. 领券后几天开始可用。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0, max = limits::WAIT_DAYS), example = 1)]
    pub wait_days_after_receive: Option<i64>,
    /// Days of the week and hours of the day. 每周固定可用时间。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WeeklyAvailablePeriod")]
    pub weekly_available_period: Option<WeeklyAvailablePeriod>,
    /// Irregular spans of time. 无规律的可用时间段。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<IrregularAvailablePeriod>")]
    pub irregular_available_period_list: Option<Vec<IrregularAvailablePeriod>>,
}

/// Days of the week and hours of the day. 每周固定可用时间。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeeklyAvailablePeriod {
    /// Days, without repeats. 可用星期,不可重复。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DayOfWeek>", extend("uniqueItems" = true))]
    pub day_list: Option<Vec<DayOfWeek>>,
    /// Spans of the day, not overlapping. 当日可用时间段,不可重叠。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DayPeriod>")]
    pub day_period_list: Option<Vec<DayPeriod>>,
}

/// A day of the week. 星期。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum DayOfWeek {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A span of the day in seconds since midnight. 当日时间段,单位为秒。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DayPeriod {
    /// First second of the day, 0 to 86399. 开始时间,当日第几秒。
    #[schemars(range(min = 0, max = limits::LAST_SECOND_OF_DAY), example = 36000)]
    pub begin_time: i64,
    /// Last second of the day, 0 to 86399, after the begin. 结束时间,当日第几秒。
    #[schemars(range(min = 0, max = limits::LAST_SECOND_OF_DAY), example = 79200)]
    pub end_time: i64,
}

/// One irregular span of time. 无规律的可用时间段。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrregularAvailablePeriod {
    /// First moment, RFC 3339 with an offset. 开始时间。
    #[schemars(extend("format" = "date-time"), example = &"2026-12-24T00:00:00+08:00")]
    pub begin_time: Text,
    /// Last moment, RFC 3339 with an offset. 结束时间。
    #[schemars(extend("format" = "date-time"), example = &"2026-12-26T23:59:59+08:00")]
    pub end_time: Text,
}

/// Money off. 满减券。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NormalCoupon {
    /// Least amount to pay in fen; 0: none. 使用门槛,单位为分,0 表示无门槛。
    #[schemars(range(min = 0), example = 10000)]
    pub threshold: i64,
    /// Money off in fen, at least 1 and not above the threshold when there is one. 优惠金额,单位为分。
    #[schemars(range(min = 1), example = 1000)]
    pub discount_amount: i64,
}

/// Percentage off. 折扣券。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscountCoupon {
    /// Least amount to pay in fen; 0: none. 使用门槛,单位为分,0 表示无门槛。
    #[schemars(range(min = 0), example = 10000)]
    pub threshold: i64,
    /// Percent off, 1 to 99: 30 means 30 % off. 折扣百分比,30 表示减免30%(七折)。
    #[schemars(range(min = 1, max = limits::PERCENT_OFF), example = 30)]
    pub percent_off: i64,
}

/// A fixed price for the product. 兑换券。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangeCoupon {
    /// Least amount to pay in fen; 0: none. 使用门槛,单位为分,0 表示无门槛。
    #[schemars(range(min = 0), example = 0)]
    pub threshold: i64,
    /// Price in fen; 0: free. 兑换价,单位为分。
    #[schemars(range(min = 0), example = 100)]
    pub exchange_price: i64,
}

/// What a user is told about using the coupon. 使用规则展示信息。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRuleDisplayInfo {
    /// Ways to use the coupon, at least one, without repeats. 券使用方式,至少一种,不可重复。
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub coupon_usage_method_list: Vec<CouponUsageMethod>,
    /// AppID of the mini program; required with `MINI_PROGRAM`. 小程序 AppID。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", example = &"wx1234567890")]
    pub mini_program_appid: Option<Text>,
    /// Path in the mini program; required with `MINI_PROGRAM`. 小程序路径。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", example = &"/pages/index/product")]
    pub mini_program_path: Option<Text>,
    /// Link that opens the app; required with APP. App 跳转路径。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", example = &"https://www.example.com/jump-to-app")]
    pub app_path: Option<Text>,
    /// Terms of use, at most 1000 characters. 使用说明,最多1000个字符。
    #[schemars(length(max = limits::DESCRIPTION_CHARS), example = &"全场可用")]
    pub usage_description: Text,
    /// Where the coupon is accepted. 可用门店说明。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CouponAvailableStoreInfo")]
    pub coupon_available_store_info: Option<CouponAvailableStoreInfo>,
}

/// A way to use a coupon. 券使用方式。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CouponUsageMethod {
    /// In a store. 线下核销。
    Offline,
    /// In a mini program. 小程序核销。
    MiniProgram,
    /// In the brand's app. App 核销。
    App,
    /// With a payment code. 付款码支付核销。
    PaymentCode,
}

/// Where the coupon is accepted. 可用门店说明。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponAvailableStoreInfo {
    /// What users read, at most 1000 characters. 门店说明,最多1000个字符。
    #[schemars(length(max = limits::DESCRIPTION_CHARS), example = &"上海市区的所有门店")]
    pub description: Text,
    /// AppID of the mini program that lists stores; together with the path. 小程序 AppID。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", example = &"wx1234567890")]
    pub mini_program_appid: Option<Text>,
    /// Path of the mini program that lists stores; together with the AppID. 小程序路径。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text", example = &"/pages/index/store-list")]
    pub mini_program_path: Option<Text>,
}

/// How the coupon looks. 券展示信息。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponDisplayInfo {
    /// How the code is shown. 券码展示方式。
    pub code_display_mode: CodeDisplayMode,
    /// Background colour; default Color020. 背景颜色,默认 Color020。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BackgroundColor")]
    pub background_color: Option<BackgroundColor>,
    /// Entrance to a mini program. 小程序入口。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EntranceMiniProgram")]
    pub entrance_mini_program: Option<EntranceMiniProgram>,
    /// Entrance to an official account. 公众号入口。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EntranceOfficialAccount")]
    pub entrance_official_account: Option<EntranceOfficialAccount>,
    /// Entrance to a channel's video. 视频号入口。
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EntranceFinder")]
    pub entrance_finder: Option<EntranceFinder>,
}

/// How a coupon's code is shown. 券码展示方式。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CodeDisplayMode {
    /// Not shown. 不展示。
    Invisible,
    /// As a bar code. 条形码。
    Barcode,
    /// As a QR code. 二维码。
    Qrcode,
}

/// A background colour of WeChat's palette. 背景颜色。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BackgroundColor {
    Color010,
    Color020,
    Color030,
    Color040,
    Color050,
    Color060,
    Color070,
    Color080,
    Color090,
    Color100,
}

/// Entrance to a mini program. 小程序入口。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntranceMiniProgram {
    /// AppID. 小程序 AppID。
    #[schemars(example = &"wx1234567890")]
    pub appid: Text,
    /// Path. 小程序路径。
    #[schemars(example = &"/pages/index/product")]
    pub path: Text,
    /// Words of the entrance, at most 5 characters. 入口文案,最多5个字符。
    #[schemars(length(max = limits::ENTRANCE_WORDING_CHARS), example = &"欢迎选购")]
    pub entrance_wording: Text,
    /// Words of guidance, at most 6 characters. 引导文案,最多6个字符。
    #[schemars(length(max = limits::GUIDANCE_WORDING_CHARS), example = &"获取更多优惠")]
    pub guidance_wording: Text,
}

/// Entrance to an official account. 公众号入口。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntranceOfficialAccount {
    /// AppID. 公众号 AppID。
    #[schemars(example = &"wx1234567890")]
    pub appid: Text,
}

/// Entrance to a channel's video. 视频号入口。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntranceFinder {
    /// Id of the channel. 视频号 ID。
    #[schemars(example = &"gh_12345678")]
    pub finder_id: Text,
    /// Id of the video. 视频 ID。
    #[schemars(example = &"UDFsdf24df34dD456Hdf34")]
    pub finder_video_id: Text,
    /// Cover picture, an https link. 视频封面图,https 链接。
    #[schemars(regex(pattern = "^https://"), example = &"https://wxpaylogo.qpic.cn/wxpaylogo/xxxxx/xxx")]
    pub finder_video_cover_image_url: Text,
}

/// Where events are sent. 事件通知配置。
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyConfig {
    /// An AppID bound to the brand. 与品牌绑定的 AppID。
    #[schemars(example = &"wx4fd12345678")]
    pub notify_appid: Text,
}

impl Stock {
    /// When its coupons can be used.
    #[must_use]
    pub fn period(&self) -> Option<&CouponAvailablePeriod> {
        let single = self.single_usage_rule.as_ref().map(|rule| &rule.coupon_available_period);
        let many = self.sequential_usage_rule.as_ref().map(|rule| &rule.coupon_available_period);
        single.or(many)
    }

    /// Whether a list or an object in it is empty that may be.
    #[must_use]
    pub fn has_empty_parts(&self) -> bool {
        let Some(period) = self.period() else { return false };
        let weekly = period.weekly_available_period.as_ref();
        weekly.is_some_and(|weekly| {
            let WeeklyAvailablePeriod { day_list, day_period_list } = weekly;
            day_list.as_ref().is_none_or(Vec::is_empty) && day_period_list.is_none()
                || day_list.as_ref().is_some_and(Vec::is_empty)
                || day_period_list.as_ref().is_some_and(Vec::is_empty)
        }) || period.irregular_available_period_list.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Which stores accept the coupon. 可用门店范围。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StoreScope {
    /// Not bound to stores. 不限门店。
    None,
    /// All stores of the brand. 全部门店。
    All,
    /// Only stores associated afterwards; until then none. 指定门店,须另行关联。
    Specific,
}
