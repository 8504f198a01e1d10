//! Gives every test vector to every reader.

use crate::desk::{Desk, print};
use clap::Args;
use harness::plan::Filter;
use machine::{Error, files, small};
use policy::KnownDeviations;
use printable::Page;
use report::readers_picture;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use studies::{readers, vector_files};
use supply::adapters;
use vocabulary::Upshot;

/// Give every test vector to every GGUF reader, and say who accepts what, who ends or hangs, and who reads something else.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only vectors whose name has this part, or matches this glob ('keys/twice-*').
    filter: Option<String>,
    /// Only this reader, by the name of its column; may be repeated. All of them where none is given.
    #[arg(long = "reader", value_name = "READER")]
    readers: Vec<String>,
    /// Print a row for each vector, instead of totals and what no finding explains.
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON: every cell, with the reader's own words.
    #[arg(long)]
    json: bool,
    /// Draw the cells as SVG into this file as well.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Explanations of deviations from this file instead of the ones that ship with ggauge.
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
    /// Write the vectors' files into this folder instead, for readers that are not here.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["readers", "verbose", "json", "picture", "findings"])]
    write: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Upshot> {
    let desk = Desk::open(arguments.json || arguments.write.is_some())?;
    let mut groups = vector_files::groups()?;
    if let Some(shown) = &arguments.filter {
        let filter = Filter::parse(shown)?;
        for group in &mut groups {
            let name = group.group.clone();
            group.tests.retain(|vector| filter.keeps(&format!("{name}/{}", vector.name)));
        }
        if groups.iter().all(|group| group.tests.is_empty()) {
            let next = "`ggauge vectors --verbose` lists every vector";
            return Err(Error::input(shown, "no vector's name fits it", next).into());
        }
    }
    if let Some(folder) = &arguments.write {
        let count = vector_files::write_all(&groups, folder)?;
        print(&Page::of(format_args!("{count} vectors in {}", folder.display())))?;
        return Ok(Upshot::Good);
    }
    // Those of this executable are always there: what a reader takes is held against what the first of them takes that takes the file.
    let asked = readers::chosen(&arguments.readers)?;
    let is_asked = |name: &str| asked.iter().any(|column| column.name == name);
    let mut columns = Vec::new();
    let mut absent = Vec::new();
    for column in readers::columns() {
        match adapters::command(&column.subject, &desk.cache) {
            None => columns.push((column, None)),
            Some(_) if !is_asked(column.name) => {}
            Some(Ok(command)) => columns.push((column, Some(command))),
            Some(Err(why)) => absent.push((column.name, why)),
        }
    }
    let mut rows = readers::survey(&groups, &columns, &desk.program, desk.scratch()?, &desk.progress)?;
    desk.progress.finish_and_clear();
    for row in &mut rows {
        row.cells.retain(|cell| is_asked(&cell.reader));
    }
    if let Some(path) = &arguments.picture {
        files::write_whole(path, readers_picture::svg(&rows)?.as_bytes())?;
    }
    let findings = findings(arguments.findings.as_deref())?;
    let surveyed = |name: &str| rows.iter().any(|row| row.cell(name).is_some());
    let others: Vec<&str> = readers::columns().iter().map(|column| column.name).filter(|name| !surveyed(name)).collect();
    let coverage = findings.coverage(&rows, arguments.filter.is_none(), &others);
    print(&if arguments.json {
        let absent: BTreeMap<_, _> = absent.into_iter().collect();
        Page::json(&serde_json::json!({ "rows": rows, "absent": absent, "coverage": coverage }))?
    } else {
        report::readers::report(&rows, &coverage, &absent, arguments.verbose)
    })?;
    Ok(if rows.iter().all(|row| row.cells.is_empty()) {
        Upshot::NothingJudged
    } else if coverage.unexplained.is_empty() && coverage.stale.is_empty() {
        Upshot::Good
    } else {
        Upshot::Bad
    })
}

/// The explanations of deviations that are in a file, or ship with ggauge.
fn findings(path: Option<&Path>) -> Result<KnownDeviations, Error> {
    let Some(path) = path else { return KnownDeviations::shipped() };
    let next = "give the path of a file such as corpora/vectors/FINDINGS.md";
    let text = small::read_text(path).map_err(|error| Error::input(path.display(), error, next))?;
    KnownDeviations::parse(&text, &path.display().to_string())
}
