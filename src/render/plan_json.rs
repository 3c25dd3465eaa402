//! A plan as JSON, for scripts: `couponctl plan --format json`.

use std::io;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::parallel;
use crate::plan::commitment::Commitment;
use crate::plan::guardrails::Breach;
use crate::plan::{Action, Plan, Summary};
use crate::wechatpay::stock::Stock;

/// The format's version.
const FORMAT_VERSION: &str = "1";

/// A plan in its JSON form.
#[derive(Debug, Serialize)]
pub struct PlanJson<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    changes: Vec<ChangeJson<'a>>,
    open_requests: Vec<OpenRequest<'a>>,
}

#[derive(Debug, Serialize)]
struct Head<'a> {
    format_version: &'static str,
    brand_id: &'a str,
    summary: Summary,
    commitment: Commitment,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    targets: &'a [String],
    guardrail_breaches: &'a [Breach],
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

/// Changes that are written at a time.
const BLOCK: usize = 2048;

/// Writes the plan as one line of JSON with a line feed: what a [`PlanJson`] is, with its changes
/// written on all cores, a block at a time.
///
/// # Errors
/// When it cannot be written.
pub fn write(plan: &Plan, mut out: impl io::Write) -> io::Result<()> {
    let PlanJson { head, changes, open_requests } = PlanJson::from(plan);
    let mut begin = serde_json::to_vec(&head)?;
    // The object goes on.
    begin.pop();
    out.write_all(&begin)?;
    out.write_all(b",\"changes\":[")?;
    for (index, block) in changes.chunks(BLOCK).enumerate() {
        let parts = parallel::map_parts(block, |part| {
            let mut text = Vec::with_capacity(part.len() * 2048);
            for change in part {
                text.push(b',');
                serde_json::to_writer(&mut text, change)?;
            }
            Ok::<_, serde_json::Error>(text)
        });
        for (part, text) in parts.into_iter().enumerate() {
            let text = text?;
            let is_first = index == 0 && part == 0;
            out.write_all(if is_first { &text[1..] } else { &text })?;
        }
    }
    out.write_all(b"],\"open_requests\":")?;
    serde_json::to_writer(&mut out, &open_requests)?;
    out.write_all(b"}\n")
}

impl<'a> From<&'a Plan> for PlanJson<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            head: Head {
                format_version: FORMAT_VERSION,
                brand_id: &plan.brand_id,
                summary: plan.summary(),
                commitment: plan.commitment,
                targets: &plan.targets,
                guardrail_breaches: &plan.breaches,
            },
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
                    after: change.after.as_deref(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ContentSha256;
    use crate::plan::Change;

    #[test]
    fn what_is_written_in_blocks_is_what_the_type_serialises_to() {
        let change = |number: usize| Change {
            action: Action::Orphan,
            name: StockName::parse(&format!("s-{number}")).unwrap(),
            renamed_from: None,
            file: None,
            product_coupon_id: "1".to_owned(),
            generation: 1,
            stock_id: None,
            out_request_no: OutRequestNo::parse("cc1-000000").unwrap(),
            content_sha256: ContentSha256::parse(&"0".repeat(64)).unwrap(),
            before: None,
            after: None,
            gives_back: None,
        };
        for count in [0, 1, 2, BLOCK - 1, BLOCK, 2 * BLOCK + 1] {
            let plan = Plan {
                brand_id: "120344".to_owned(),
                changes: (0..count).map(change).collect(),
                unchanged: 3,
                commitment: Commitment::default(),
                open: Vec::new(),
                conflicts: Vec::new(),
                breaches: Vec::new(),
                targets: Vec::new(),
            };
            let mut written = Vec::new();
            write(&plan, &mut written).unwrap();
            let whole = serde_json::to_string(&PlanJson::from(&plan)).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("{whole}\n"));
        }
    }
}
