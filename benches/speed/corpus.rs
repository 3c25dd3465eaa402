//! Workspaces of any size to measure with: the same number gives the same bytes on every machine.
//! Three kinds of stock in turn, of about 2 KB each, 100 files a folder and 150 stocks a product
//! coupon.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use couponctl::desired;
use couponctl::lockfile::{Lock, Made, write};
use couponctl::plan;
use jiff::Timestamp;
use serde_json::value::RawValue;

/// Patterns of stock files, as the settings have them by default.
pub fn patterns() -> Vec<String> {
    couponctl::config::STOCKS.iter().map(|pattern| (*pattern).to_owned()).collect()
}

/// Where a stock's file is in its workspace.
pub fn path(number: usize) -> String {
    format!("stocks/campaign-{:04}/batch-{number:06}.yaml", number / 100)
}

/// The text of a stock's file. With `edit` other than 0, another content.
pub fn text(number: usize, edit: usize) -> String {
    let count = 1000 + number % 9000 + edit;
    let (period, rule) = match number % 3 {
        0 => (WEEKLY, "    normal_coupon:\n      threshold: 10000\n      discount_amount: 1000\n"),
        1 => (DAYS, "    discount_coupon:\n      threshold: 2000\n      percent_off: 30\n"),
        _ => (DAYS, "    exchange_coupon: { threshold: 0, exchange_price: 100 }\n"),
    };
    let mut text = String::with_capacity(2048);
    let _ = write!(
        text,
        "# yaml-language-server: $schema=../../.couponctl/stock.schema.json

# Batch {number} of a campaign that runs through spring, for guests who come in the afternoon.
name: batch-{number:06}
product_coupon_id: \"2{:08}\"
stock:
  remark: 春季活动批次{number}
  coupon_code_mode: WECHATPAY
  stock_send_rule:
    max_count: {count}
    max_count_per_day: 200
    max_count_per_user: 4
  single_usage_rule:
{period}{rule}{DISPLAY}",
        number / 150
    );
    text
}

const WEEKLY: &str = "    coupon_available_period:
      available_begin_time: \"2099-03-01T00:00:00+08:00\"
      available_end_time: \"2099-05-31T23:59:59+08:00\"
      weekly_available_period:
        day_list: [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]
        day_period_list:
          - { begin_time: 50400, end_time: 61200 } # 14:00 to 17:00
";

const DAYS: &str = "    coupon_available_period:
      available_begin_time: \"2099-03-01T00:00:00+08:00\"
      available_end_time: \"2099-05-31T23:59:59+08:00\"
      available_days: 30
      wait_days_after_receive: 1
";

const DISPLAY: &str = "  usage_rule_display_info:
    coupon_usage_method_list: [OFFLINE, MINI_PROGRAM]
    mini_program_appid: wx1234567890
    mini_program_path: /pages/order/index
    usage_description: 周一至周五 14:00 至 17:00 可用。每位顾客每天限用一张，不与其他优惠同享，最终解释权归品牌所有。适用于全部茶饮、咖啡与现烤点心，礼盒、周边商品及外卖订单除外。到店后在收银台出示券码，由店员扫码核销，也可在小程序下单时选用。券码仅限本人使用，不可转让、兑换现金或找零；订单取消后，未过期的券将在二十四小时内退回卡包，已过期的不再退回。部分机场与高铁站门店不参加活动，名单以小程序内公布为准。如遇系统维护或网络故障，请向店员说明，由门店登记后补核销。
    coupon_available_store_info:
      description: 上海、杭州、苏州全部门店
      mini_program_appid: wx1234567890
      mini_program_path: /pages/stores/index
  coupon_display_info:
    code_display_mode: BARCODE
    background_color: Color060
    entrance_mini_program:
      appid: wx1234567890
      path: /pages/order/index
      entrance_wording: 立即点单
      guidance_wording: 到店自取
  notify_config:
    notify_appid: wx4fd12345678
  store_scope: ALL
";

/// Writes a workspace of so many stocks, none of them made yet.
pub fn workspace(root: &Path, stocks: usize) -> io::Result<()> {
    fs::create_dir_all(root)?;
    fs::write(root.join("couponctl.yaml"), "brand_id: \"120344\"\n")?;
    fs::write(root.join(".gitignore"), ".couponctl/\ncouponctl.lock.journal\n")?;
    for number in 0..stocks {
        let file = root.join(path(number));
        if number % 100 == 0
            && let Some(folder) = file.parent()
        {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text(number, 0))?;
    }
    Ok(())
}

/// Makes every file of a workspace wrong in one place.
pub fn spoil(root: &Path, stocks: usize) -> io::Result<()> {
    for number in 0..stocks {
        let wrong = text(number, 0).replacen("max_count_per_user: 4", "max_count_per_user: 400", 1);
        fs::write(root.join(path(number)), wrong)?;
    }
    Ok(())
}

/// Writes the lock that an apply of the workspace leaves.
pub fn lock(root: &Path) -> anyhow::Result<()> {
    let loaded = desired::load(root, &patterns(), Timestamp::now())?;
    let mut lock = Lock::empty("120344");
    let plan = plan::plan(&loaded.stocks, &lock, Vec::new());
    for (number, change) in plan.changes.into_iter().enumerate() {
        let Some(stock) = &change.after else { continue };
        let made = Made {
            product_coupon_id: change.product_coupon_id,
            stock_id: format!("{}", 1_000_000_000_000 + number),
            out_request_no: change.out_request_no,
            generation: change.generation,
            content_sha256: change.content_sha256,
            created_at: "2026-11-23T02:00:00Z".to_owned(),
            stock: RawValue::from_string(couponctl::identity::canonical_stock(stock))?,
            name: change.name.clone(),
        };
        lock.stocks.insert(change.name, made.into());
    }
    write::write(&root.join(couponctl::lockfile::FILE_NAME), &lock)?;
    Ok(())
}
