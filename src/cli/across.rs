//! `agenttrace summary --all-orgs ip:ADDRESS`

use super::asked::Window;
use super::summary::SummaryArgs;
use super::{Context, asked};
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::across::{self, Counted, MAX_ORGANIZATIONS, Tally};
use crate::store::listing::bounds::BoundsError;
use std::io::Write;

/// Counts the events from one address in every organisation that the role may read, and says loudly that it does.
///
/// # Errors
/// Exit 2 for another filter, exit 3 when the database cannot be read, exit 4 when the time did not suffice for all
/// organisations or there is none, exit 5 for very many organisations.
pub(super) async fn run(context: &Context, args: &SummaryArgs) -> Result<()> {
    let as_json = asked::wants_json(context, "summary")?;
    if context.global.org.is_some() {
        return Err(Error::usage("--org names one organisation, --all-orgs asks all of them")
            .hint("leave out one of the two"));
    }
    let filter = args.asked.read(&context.global)?;
    if !across::is_one_address(&filter) {
        return Err(Error::usage(
            "--all-orgs counts the events from one address and takes no other condition",
        )
        .hint("agenttrace summary --all-orgs ip:203.0.113.70, with --since, --until or --all-time")
        .hint("--org ID asks anything of one organisation"));
    }
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let organizations = across::organizations(&reader.db, &cancel).await?;
    let number = grouped(organizations.len() as u64);
    if organizations.is_empty() {
        return Err(Error::new(Kind::Incomplete, "this database holds no events that the role may read"));
    }
    if organizations.len() > MAX_ORGANIZATIONS && !args.force {
        let most = grouped(MAX_ORGANIZATIONS as u64);
        let text = format!("there are {number} organisations, more than {most} that are asked one by one");
        return Err(
            Error::new(Kind::Refused, text).hint("--force asks all of them; --timeout 10m gives it longer")
        );
    }
    let role = reader.db.facts().await?.role;
    let row_security = reader.db.capabilities(&cancel).await?.row_security;
    let asked_for = filter.canonical();
    let asked = warning(&asked_for, &number, &role, row_security);
    // Also with --quiet: whoever reads the output later must see that it crossed tenants.
    let out = super::out::Out { quiet: false, ..context.out };
    out.remark(Safe::from_untrusted(&asked));
    let now = Timestamp::from(chrono::Utc::now());
    let budget = reader.db.settings().statement_timeout;
    let window = (now, reader.choice.window.as_duration());
    let tallies = across::count(&reader.db, organizations, &filter, window, budget, &cancel).await;
    let tallies = tallies.map_err(|error| match error {
        BoundsError::Store(error) => error.into(),
        other => Error::usage(other.to_string()),
    })?;
    if !filter.has_window() {
        out.remark(format_args!(
            "window: in each organisation the last {} before its newest event; --since or --all-time choose another",
            reader.choice.window
        ));
    }
    let shown = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let uncounted = tallies.iter().filter(|tally| tally.counted.is_none()).count();
    let mut results = context.out.results();
    if as_json {
        let document = document(&asked_for, &role, row_security, &tallies);
        json::write_line(&mut results, &document)?;
    } else {
        for tally in tallies.iter().take(shown) {
            writeln!(results, "{}", line(tally))?;
        }
        let more = tallies.len().saturating_sub(shown);
        if more > 0 {
            context.out.remark(format_args!("{more} more organisations; --limit shows more lines"));
        }
    }
    results.flush()?;
    if uncounted > 0 {
        return Err(Error::new(
            Kind::Incomplete,
            format!("{uncounted} of {number} organisations were not counted: the time did not suffice"),
        )
        .hint("--timeout 10m gives it longer; --since narrows the time that is looked at"));
    }
    Ok(())
}

/// What is said before anything is asked.
fn warning(filter: &str, number: &str, role: &str, row_security: bool) -> String {
    let which = if row_security {
        format!("the {number} that row-level security shows to role '{role}'")
    } else {
        format!("all {number} (row-level security does not confine role '{role}')")
    };
    format!(
        "warning: this CROSSES ORGANISATIONS: {filter} is counted in {which}; events themselves are not shown"
    )
}

/// `acme     41  2026-11-17T22:04:10.000000Z  2026-11-18T01:30:55.000000Z`
fn line(tally: &Tally) -> String {
    let organization = Safe::from_untrusted(tally.organization.as_str());
    let padding = 24_usize.saturating_sub(organization.width());
    let counted = match tally.counted {
        Some(Counted { events, times: Some((first, last)) }) => {
            format!("{:>10}  {}  {}", grouped(events), first.to_rfc3339(), last.to_rfc3339())
        }
        Some(Counted { events, times: None }) => format!("{:>10}", grouped(events)),
        None => format!("{:>10}  not counted: the time did not suffice", "?"),
    };
    format!("{organization}{}{counted}", " ".repeat(padding))
}

fn document<'a>(
    filter: &'a str,
    role: &'a str,
    row_security: bool,
    tallies: &'a [Tally],
) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        crosses_organizations: bool,
        filter: &'a str,
        role: &'a str,
        row_level_security: bool,
        /// Whether every organisation was counted.
        complete: bool,
        organizations: Vec<One<'a>>,
    }
    #[derive(serde::Serialize)]
    struct One<'a> {
        organization_id: &'a str,
        window: Option<Window>,
        /// `null`: not counted.
        events: Option<u64>,
        first: Option<String>,
        last: Option<String>,
    }
    let one = |tally: &'a Tally| {
        let times = tally.counted.and_then(|counted| counted.times);
        One {
            organization_id: tally.organization.as_str(),
            window: tally.range.map(Window::from),
            events: tally.counted.map(|counted| counted.events),
            first: times.map(|(first, _)| first.to_rfc3339()),
            last: times.map(|(_, last)| last.to_rfc3339()),
        }
    };
    json::general_document(Body {
        crosses_organizations: true,
        filter,
        role,
        row_level_security: row_security,
        complete: tallies.iter().all(|tally| tally.counted.is_some()),
        organizations: tallies.iter().map(one).collect(),
    })
}
