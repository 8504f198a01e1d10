//! Lists the rules of the format.

use crate::desk::{layout, print};
use clap::Args;
use printable::Page;
use record::inspection::RuleRow;
use report::rules;
use studies::inspection;
use vocabulary::Upshot;

/// List the rules of the format: what each asks for, what breaking it means, and what the runtimes do then.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this rule.
    #[arg(value_parser = parse_rule)]
    id: Option<RuleRow>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    print(&match (&arguments.id, arguments.json) {
        (Some(rule), true) => Page::json(rule)?,
        (Some(rule), false) => rules::one(rule, layout(true)),
        (None, true) => Page::json(&inspection::rules())?,
        (None, false) => rules::list(&inspection::rules(), layout(true)),
    })?;
    Ok(Upshot::Good)
}

fn parse_rule(id: &str) -> Result<RuleRow, String> {
    let known = inspection::rules().into_iter().find(|rule| rule.id == id);
    known.ok_or_else(|| format!("there is no rule `{id}`; `ggauge rules` lists them"))
}
