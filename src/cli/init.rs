//! `couponctl init`: a workspace to begin with. What is there already is left as it is.

mod git;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::terminal::Terminal;
use super::{Ended, Global, Status, workspace};
use crate::config::FILE_NAME;
use crate::desired::schema;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl init               a workspace in this folder; what is there already is kept
  couponctl init my-coupons    in another one, which is made when it is not there

In a git repository it also has git merge couponctl.lock entry by entry: a line in .gitattributes, and \
`git config` in this clone. Run it again in every other clone; what is there already is kept.")]
pub struct InitArgs {
    /// The folder; otherwise the one named with -C, or the current one
    dir: Option<PathBuf>,
    /// The brand to write into couponctl.yaml
    #[arg(long, value_name = "ID", default_value = "120344")]
    brand_id: String,
}

const SAMPLE: &str = include_str!("init/sample-stock.yaml");
const SETTINGS: &str = include_str!("init/couponctl.yaml");
/// What does not belong into git. Keys stand there so that no secret gets in by accident.
const IGNORED: &str = "/.couponctl/\n/couponctl.lock.journal*\n/secrets/\n*.pem\n";

pub fn run(terminal: &Terminal, global: &Global, args: &InitArgs) -> Ended {
    let root = args.dir.clone().or(global.workspace.clone()).unwrap_or_else(|| PathBuf::from("."));
    if !args.brand_id.bytes().all(|b| b.is_ascii_alphanumeric()) || args.brand_id.is_empty() {
        bail!("--brand-id: a brand id is letters and digits");
    }
    fs::create_dir_all(root.join("stocks"))
        .with_context(|| format!("{} cannot be made", root.join("stocks").display()))?;
    let scratch = workspace::scratch(&root)
        .with_context(|| format!("{} cannot be made", root.join(workspace::SCRATCH).display()))?;
    let settings = SETTINGS.replace("120344", &args.brand_id);
    let mut said = Vec::new();
    for (name, content) in
        [(FILE_NAME, settings.as_str()), ("stocks/sample.yaml", SAMPLE), (".gitignore", IGNORED)]
    {
        said.push(format!(
            "{} {name}",
            if create(&root.join(name), content)? { "made" } else { "kept" }
        ));
    }
    said.push(git::attributes(terminal, &root)?);
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let missing: Vec<_> =
        IGNORED.lines().filter(|line| !ignored.lines().any(|known| known == *line)).collect();
    if !missing.is_empty() {
        terminal.warn(&format!(
            ".gitignore was there already; add these lines to keep keys and scratch out of git:\n  {}",
            missing.join("\n  ")
        ));
    }
    // Scratch, and the schema is this version's: written anew each time.
    let path = scratch.join("stock.schema.json");
    fs::write(&path, format!("{:#}\n", schema::json()))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    said.push(format!("made {}/stock.schema.json", workspace::SCRATCH));
    terminal.result(&format!("{}\n", said.join("\n")))?;
    git::merge_driver(terminal, &root);
    let place =
        if root == Path::new(".") { String::new() } else { format!(" -C {}", root.display()) };
    terminal.say(&format!(
        "\nNext: edit stocks/sample.yaml, then\n  couponctl{place} plan\n  couponctl{place} apply --sandbox"
    ));
    Ok(Status::Done)
}

/// Writes a file that is not there; says whether it did.
fn create(path: &Path, content: &str) -> Result<bool> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()));
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
}
