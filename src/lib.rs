//! couponctl: GitOps for WeChat Pay coupon batches. The command-line program is `main.rs`; this
//! library holds the rooms it is made of, from the files to the API and back.

pub mod desired;
pub mod identity;
pub mod validate;
pub mod wechatpay;
