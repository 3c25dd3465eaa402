//! A plan in a file: `plan --out` writes it, `apply PLANFILE` carries out exactly that or refuses and
//! says what moved. It holds no secret.
//!
//! The file is JSON. Its last line is the SHA-256 of all bytes before that line's comma, so that a
//! file that was edited or cut off is told from a whole one. What it was made from is bound by the
//! lock's hash and each stock's content hash.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::identity::{ContentSha256, OutRequestNo, StockName, push_hex};
use crate::lockfile::{Lock, write};
use crate::plan::{Action, Change, Plan};
use crate::render::plan_json::PlanJson;

/// The version of the file's format.
const VERSION: u32 = 1;
/// What stands between the plan and its hash.
const SEAL: &str = ",\n\"sha256\":\"";
/// Largest file that can be a plan: one of 100,000 stocks has about 300 MB.
pub const MOST_BYTES: u64 = 1 << 30;

/// Why a file is not a plan to carry out.
#[derive(Debug, Error)]
pub enum SavedPlanError {
    /// Not a whole saved plan.
    #[error(
        "this is not a saved plan as couponctl wrote it (edited, cut off, or another file): {why}; \
         make it again with `couponctl plan --out`"
    )]
    NotWhole {
        /// In which way.
        why: String,
    },
    /// A later couponctl wrote it.
    #[error(
        "a later couponctl made it (plan version {0}); apply it with that version, or plan again"
    )]
    Newer(u32),
    /// Of another brand.
    #[error("it was made for brand {made_for}, and this workspace is of brand {here}")]
    OtherBrand {
        /// The plan's brand.
        made_for: String,
        /// The workspace's.
        here: String,
    },
    /// For the sandbox, or not.
    #[error("it was made {}; {}", if *.0 { "for the sandbox" } else { "for the API, not for the sandbox" },
        if *.0 { "give `--sandbox` to apply it there" } else { "apply it without `--sandbox`" })]
    OtherSide(bool),
    /// Files or lock are not as they were.
    #[error("what it was made from has changed since:\n{}\nPlan again; nothing was sent", .0.join("\n"))]
    Moved(Vec<String>),
}

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    couponctl_plan: u32,
    made_by: &'static str,
    made_at: &'a str,
    sandbox: bool,
    lock_sha256: String,
    plan: PlanJson<'a>,
}

/// What is read of it: that by which it is held against what would be done now.
#[derive(Debug)]
pub struct SavedPlan {
    /// When it was made, RFC 3339.
    pub made_at: String,
    sandbox: bool,
    lock_sha256: String,
    plan: Planned,
    /// The plan as it stands in the file, for what is not done by it but read by others.
    text: Box<RawValue>,
}

#[derive(Deserialize)]
struct Read {
    made_at: String,
    sandbox: bool,
    lock_sha256: String,
    plan: Box<RawValue>,
}

/// What a plan says of itself, as it is written. Not what differs from run to run of the same plan:
/// which guardrails are overridden, and when an open request was sent.
#[derive(Deserialize)]
struct Said {
    summary: Box<RawValue>,
    commitment: Box<RawValue>,
    changes: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Planned {
    brand_id: String,
    #[serde(default)]
    targets: Vec<String>,
    changes: Vec<PlannedChange>,
    open_requests: Vec<OpenRequest>,
}

#[derive(Debug, Deserialize)]
struct PlannedChange {
    action: Action,
    name: StockName,
    #[serde(default)]
    renamed_from: Option<StockName>,
    file: Option<String>,
    stock_id: Option<String>,
    out_request_no: OutRequestNo,
    content_sha256: ContentSha256,
}

#[derive(Debug, Deserialize)]
struct OpenRequest {
    out_request_no: OutRequestNo,
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    push_hex(&mut text, &Sha256::digest(bytes));
    text
}

/// A hash of what a lock says, results of the journal folded in.
fn lock_sha256(lock: &Lock) -> String {
    sha256(&write::to_bytes(lock))
}

/// The file of a plan.
#[must_use]
pub fn to_text(plan: &Plan, lock: &Lock, sandbox: bool, made_at: &str) -> String {
    let written = Written {
        couponctl_plan: VERSION,
        made_by: concat!("couponctl ", env!("CARGO_PKG_VERSION")),
        made_at,
        sandbox,
        lock_sha256: lock_sha256(lock),
        plan: PlanJson::from(plan),
    };
    // Strings, integers and JSON text: none of them can fail to serialise.
    let mut text = serde_json::to_string(&written).unwrap_or_default();
    text.pop();
    let hash = sha256(text.as_bytes());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{SEAL}{hash}\"}}");
    text
}

/// Whether a file begins as a saved plan of any version does.
///
/// # Errors
/// When it cannot be read.
pub fn is_one(file: &Path) -> io::Result<bool> {
    const BEGIN: &[u8] = b"{\"couponctl_plan\":";
    let mut begin = Vec::new();
    File::open(file)?.take(BEGIN.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == BEGIN)
}

impl SavedPlan {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is not a whole saved plan of this version.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        let not_whole = |why: &str| SavedPlanError::NotWhole { why: why.to_owned() };
        let (body, seal) =
            text.rsplit_once(SEAL).ok_or_else(|| not_whole("its last line is missing"))?;
        if seal.trim_end() != format!("{}\"}}", sha256(body.as_bytes())) {
            return Err(not_whole("its hash is another one"));
        }
        let body = format!("{body}}}");
        match serde_json::from_str::<Version>(&body) {
            Ok(Version { couponctl_plan }) if couponctl_plan > VERSION => {
                return Err(SavedPlanError::Newer(couponctl_plan));
            }
            Ok(Version { couponctl_plan: VERSION }) => {}
            _ => return Err(not_whole("it has no version")),
        }
        let wrong = |error: serde_json::Error| not_whole(&error.to_string());
        let Read { made_at, sandbox, lock_sha256, plan: text } =
            serde_json::from_str(&body).map_err(wrong)?;
        let plan = serde_json::from_str(text.get()).map_err(wrong)?;
        Ok(Self { made_at, sandbox, lock_sha256, plan, text })
    }

    /// The patterns of `--target` that it was made with.
    #[must_use]
    pub fn targets(&self) -> &[String] {
        &self.plan.targets
    }

    /// Checks that it is for this brand, and for the API or the sandbox.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_for(&self, brand_id: &str, sandbox: bool) -> Result<(), SavedPlanError> {
        if self.plan.brand_id != brand_id {
            let (made_for, here) = (self.plan.brand_id.clone(), brand_id.to_owned());
            return Err(SavedPlanError::OtherBrand { made_for, here });
        }
        if self.sandbox != sandbox {
            return Err(SavedPlanError::OtherSide(self.sandbox));
        }
        Ok(())
    }

    /// Holds what would be done now against it.
    ///
    /// # Errors
    /// When anything is different, with all that is.
    pub fn check_against(&self, now: &Plan, lock: &Lock) -> Result<(), SavedPlanError> {
        let mut moved = Vec::new();
        if self.lock_sha256 != lock_sha256(lock) {
            moved.push("- the lock holds other entries".to_owned());
        }
        let open: Vec<_> =
            self.plan.open_requests.iter().map(|open| &open.out_request_no).collect();
        if !now.open.iter().map(|intent| &intent.out_request_no).eq(open) {
            moved.push("- an apply was interrupted or settled".to_owned());
        }
        let mut ours: BTreeMap<&StockName, &PlannedChange> =
            self.plan.changes.iter().map(|change| (&change.name, change)).collect();
        for change in &now.changes {
            let file = change.file.as_deref().unwrap_or("no file");
            let name = &change.name;
            match ours.remove(name) {
                None => moved.push(format!(
                    "- {file}: `{name}` is to be {} now, which the plan does not say",
                    done(change.action)
                )),
                Some(planned) => {
                    moved.extend(
                        planned.difference(change).map(|what| format!("- {file}: `{name}` {what}")),
                    );
                }
            }
        }
        for (name, planned) in ours {
            let file = planned.file.as_deref().unwrap_or("no file");
            moved
                .push(format!("- {file}: `{name}` is not to be {} any more", done(planned.action)));
        }
        if moved.is_empty() && !self.says_the_same(now) {
            moved.push(
                "- it says something else of what it does than this couponctl says".to_owned(),
            );
        }
        if moved.is_empty() { Ok(()) } else { Err(SavedPlanError::Moved(moved)) }
    }

    /// Whether the file says of the plan what is said of it now, down to the byte: somebody may have
    /// approved of what the file says.
    fn says_the_same(&self, now: &Plan) -> bool {
        let Ok(now) = serde_json::to_string(&PlanJson::from(now)) else { return false };
        let said = |text: &str| -> Option<[Box<str>; 3]> {
            let Said { summary, commitment, changes } = serde_json::from_str(text).ok()?;
            Some([summary, commitment, changes].map(Box::<str>::from))
        };
        said(&now).is_some_and(|now| said(self.text.get()) == Some(now))
    }
}

#[derive(Deserialize)]
struct Version {
    couponctl_plan: u32,
}

impl PlannedChange {
    fn difference(&self, now: &Change) -> Option<String> {
        if self.action != now.action || self.renamed_from != now.renamed_from {
            Some(format!("is to be {} now, and was to be {}", done(now.action), done(self.action)))
        } else if self.content_sha256 != now.content_sha256 {
            Some("has another content now".to_owned())
        } else if self.out_request_no != now.out_request_no || self.stock_id != now.stock_id {
            Some("is another request now (its generation, or the stock in the lock)".to_owned())
        } else if self.file != now.file {
            Some(format!("was in {} then", self.file.as_deref().unwrap_or("no file")))
        } else {
            None
        }
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Rename => "renamed",
        Action::Orphan => "reported as an orphan",
    }
}
