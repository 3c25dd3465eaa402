//! `couponctl explain`: a validation rule, or the list of all.

use anyhow::bail;
use clap::Args;

use super::terminal::Terminal;
use super::{Ended, Status};
use crate::render::explain;
use crate::validate::rule::Rule;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl explain                    all rules, a line each
  couponctl explain remark-too-long    one: what, why, an example, the source")]
pub struct ExplainArgs {
    /// The rule's id, as it stands in brackets behind `error` or `warning`; without it: all rules
    rule: Option<String>,
}

pub fn run(terminal: &Terminal, args: &ExplainArgs) -> Ended {
    let Some(id) = &args.rule else {
        terminal.result(&explain::list())?;
        return Ok(Status::Done);
    };
    let Some(rule) = Rule::by_id(id) else {
        let near = Rule::nearest(id).map(|near| format!("; did you mean `{near}`?"));
        bail!(
            "there is no rule `{}`{}; `couponctl explain` lists them all",
            crate::render::plain(id),
            near.unwrap_or_default()
        );
    };
    terminal.result(&explain::rule(rule))?;
    Ok(Status::Done)
}
