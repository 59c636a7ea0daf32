//! `agenttrace filters`: filters under a name, on this machine.

use super::filter::joined;
use super::{Context, Format};
use crate::case;
use crate::case::saved::{self, Saved};
use crate::domain::{Safe, unescaped};
use crate::error::{Error, Result};
use crate::export::json;
use clap::Subcommand;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// Longest file that is imported, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

const AFTER_HELP: &str = "\
A saved filter is one line of text, name = filter, and can be shared as such:
  agenttrace filters save off-hours 'sev>=warning tod:22:00..06:00 zone:Europe/Berlin'
  agenttrace events --saved off-hours since:-7d
  agenttrace filters export off-hours | ssh colleague agenttrace filters import -
In the console Ctrl-s saves the line that is typed, Ctrl-o chooses a saved one.";

/// Arguments of `filters`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct FiltersArgs {
    /// What to do
    #[command(subcommand)]
    pub what: FiltersCommand,
}

/// What can be done with them.
#[derive(Debug, Clone, Subcommand)]
pub enum FiltersCommand {
    /// All saved filters
    List,
    /// Save a filter under a name, in the place of one that has it
    Save {
        /// Letters, digits, - _ and .
        name: String,
        /// The filter; the words are joined by blanks
        #[arg(required = true)]
        filter: Vec<String>,
    },
    /// Forget a filter
    Delete {
        /// Its name
        name: String,
    },
    /// Write filters, a line each
    Export {
        /// Their names; none: all
        names: Vec<String>,
    },
    /// Read filters, a line each; nothing is saved when one of them cannot be read
    Import {
        /// The file; - is standard input
        file: PathBuf,
        /// Put them in the place of other filters of the same names
        #[arg(long)]
        replace: bool,
    },
}

/// Runs it.
///
/// # Errors
/// Exit 2 for names and filters that cannot be used, exit 3 when files cannot be read or written.
pub(super) fn run(context: &Context, args: FiltersArgs) -> Result<()> {
    let path = case::folder()?.join(saved::FILE);
    let usage = |e: saved::LineError| Error::usage(e.to_string());
    match args.what {
        FiltersCommand::List => list(context, &saved::load(&path)?),
        FiltersCommand::Save { name, filter } => {
            let saved = Saved::new(&name, &joined(&filter)).map_err(usage)?;
            saved::put(&path, std::slice::from_ref(&saved))?;
            context.out.remark(format_args!("saved: {}", Safe::composed(&saved.to_string())));
            Ok(())
        }
        FiltersCommand::Delete { name } => {
            let gone = saved::remove(&path, &name)?;
            context.out.remark(format_args!("forgotten: {}", Safe::composed(&gone.to_string())));
            Ok(())
        }
        FiltersCommand::Export { names } => {
            let wanted = if names.is_empty() {
                saved::load(&path)?
            } else {
                names.iter().map(|name| saved::named(&path, name)).collect::<Result<_>>()?
            };
            let mut out = context.out.results();
            for saved in &wanted {
                // `import` reads it back.
                writeln!(out, "{}", Safe::from_untrusted(&saved.to_string()))?;
            }
            Ok(out.flush()?)
        }
        FiltersCommand::Import { file, replace } => import(context, &path, &file, replace),
    }
}

fn list(context: &Context, all: &[Saved]) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        filters: Vec<Named<'a>>,
    }
    #[derive(serde::Serialize)]
    struct Named<'a> {
        name: &'a str,
        filter: &'a str,
    }
    let mut out = context.out.results();
    match context.global.format {
        None | Some(Format::Table) => {
            let width = all.iter().map(|saved| Safe::composed(&saved.name).width()).max().unwrap_or(0);
            for saved in all {
                let name = Safe::composed(&saved.name);
                let gap = width - name.width();
                writeln!(out, "{name}{:gap$}  {}", "", Safe::composed(&saved.filter))?;
            }
        }
        Some(Format::Json) => {
            let filters = all.iter().map(|s| Named { name: &s.name, filter: &s.filter }).collect();
            let document = json::general_document(Body { filters });
            json::write_line(&mut out, &document)?;
        }
        Some(_) => return Err(Error::usage("filters list writes --format table or json")),
    }
    if all.is_empty() {
        context.out.remark("no filter is saved; agenttrace filters save NAME FILTER saves one");
    }
    Ok(out.flush()?)
}

fn import(context: &Context, path: &std::path::Path, file: &std::path::Path, replace: bool) -> Result<()> {
    let is_input = file.as_os_str() == "-";
    let name = if is_input { "standard input".to_owned() } else { file.display().to_string() };
    let cannot = |e| Error::could_not_run(format!("cannot read {name}")).because(e);
    let source: Box<dyn std::io::Read> = if is_input {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(cannot)?)
    };
    let mut text = String::new();
    source.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::could_not_run(format!("{name} is longer than {LONGEST} bytes")));
    }
    let new = saved::parse(&unescaped(&text), &name)?;
    let there = saved::load(path)?;
    let conflict = new.iter().find_map(|saved| {
        let other = there.iter().find(|other| other.name == saved.name && other.filter != saved.filter)?;
        Some((saved, other))
    });
    if let (Some((new, other)), false) = (conflict, replace) {
        return Err(Error::usage(format!("'{}' is another filter here", new.name))
            .hint(format!("here:  {}", other.filter))
            .hint(format!("there: {}", new.filter))
            .hint("--replace puts the imported ones in their place"));
    }
    saved::put(path, &new)?;
    context.out.remark(format_args!("{} filters imported", new.len()));
    Ok(())
}
