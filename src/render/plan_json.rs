//! A plan as JSON, for scripts: `couponctl plan --format json`.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::plan::commitment::Commitment;
use crate::plan::guardrails::Breach;
use crate::plan::{Action, Plan, Summary};
use crate::wechatpay::stock::Stock;

/// The format's version.
const FORMAT_VERSION: &str = "1";

/// A plan in its JSON form.
#[derive(Debug, Serialize)]
pub struct PlanJson<'a> {
    format_version: &'static str,
    brand_id: &'a str,
    summary: Summary,
    commitment: Commitment,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    targets: &'a [String],
    guardrail_breaches: &'a [Breach],
    changes: Vec<ChangeJson<'a>>,
    open_requests: Vec<OpenRequest<'a>>,
}

#[derive(Debug, Serialize)]
struct ChangeJson<'a> {
    action: Action,
    name: &'a StockName,
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_from: Option<&'a StockName>,
    file: Option<&'a str>,
    product_coupon_id: &'a str,
    generation: i64,
    stock_id: Option<&'a str>,
    out_request_no: &'a OutRequestNo,
    content_sha256: &'a ContentSha256,
    before: Option<&'a RawValue>,
    after: Option<&'a Stock>,
}

#[derive(Debug, Serialize)]
struct OpenRequest<'a> {
    name: &'a StockName,
    product_coupon_id: &'a str,
    out_request_no: &'a OutRequestNo,
    sent_at: &'a str,
}

/// The plan as one line of JSON with a line feed.
#[must_use]
pub fn render(plan: &Plan) -> String {
    // Strings, integers and JSON text: none of them can fail to serialise.
    let mut text = serde_json::to_string(&PlanJson::from(plan)).unwrap_or_default();
    text.push('\n');
    text
}

impl<'a> From<&'a Plan> for PlanJson<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            brand_id: &plan.brand_id,
            summary: plan.summary(),
            commitment: plan.commitment,
            targets: &plan.targets,
            guardrail_breaches: &plan.breaches,
            changes: plan
                .changes
                .iter()
                .map(|change| ChangeJson {
                    action: change.action,
                    name: &change.name,
                    renamed_from: change.renamed_from.as_ref(),
                    file: change.file.as_deref(),
                    product_coupon_id: &change.product_coupon_id,
                    generation: change.generation,
                    stock_id: change.stock_id.as_deref(),
                    out_request_no: &change.out_request_no,
                    content_sha256: &change.content_sha256,
                    before: change.before.as_ref().map(|before| &*before.stock),
                    after: change.after.as_ref(),
                })
                .collect(),
            open_requests: plan
                .open
                .iter()
                .map(|intent| OpenRequest {
                    name: &intent.name,
                    product_coupon_id: &intent.product_coupon_id,
                    out_request_no: &intent.out_request_no,
                    sent_at: &intent.sent_at,
                })
                .collect(),
        }
    }
}
