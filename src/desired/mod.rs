//! From stock files to desired stocks, or to problems that point into the source.

pub mod diagnostic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::{ContentSha256, StockName};
use crate::wechatpay::stock::{Stock, Text};

/// One YAML document of a stock file, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockDocument {
    /// Unique in the workspace. 批次名称,工作区内唯一。
    pub name: Text,
    /// The product coupon that the stock belongs to. 商品券 ID。
    pub product_coupon_id: Text,
    /// Raise it to make the same content once more. 代数:内容不变而需再建一个批次时加一。
    #[serde(default = "first_generation")]
    #[schemars(range(min = 1), example = 1)]
    pub generation: i64,
    /// The `stock` object of *add stock*. 批次内容。
    pub stock: Stock,
}

fn first_generation() -> i64 {
    1
}

/// A stock that the files ask for: valid, named and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredStock {
    /// Unique in the workspace.
    pub name: StockName,
    /// The file it stands in, relative to the workspace, with `/` between folders.
    pub file: String,
    /// The product coupon that it belongs to.
    pub product_coupon_id: String,
    /// Raised to make the same content once more.
    pub generation: i64,
    /// What to make.
    pub stock: Stock,
    /// Hash of product coupon and stock.
    pub content_sha256: ContentSha256,
}
