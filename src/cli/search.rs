//! `agenttrace search`

use super::Context;
use super::events::{self, EventsArgs};
use crate::error::{Error, Result};
use crate::filter::{Expr, Filter};

/// What `--help` says below the options.
const AFTER_HELP: &str = "\
Words that must all stand in the event: in its type, resource, actor or one of its states. Several words in one argument
are a phrase; wor* is the beginning of a word; a.b finds what stands for a.b, a_b or \"a b\". Other terms of a filter may
stand among them:
  agenttrace search rotate
  agenttrace search 'prompt injection' since:-30d -actor:svc-*";

/// Arguments of `search`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct SearchArgs {
    /// The same as those of `events`.
    #[command(flatten)]
    pub listing: EventsArgs,
}

/// Runs it.
///
/// # Errors
/// As `events`; exit 2 without anything to search for.
pub(super) async fn run(context: &Context, mut args: SearchArgs) -> Result<()> {
    let words = &mut args.listing.filter.filter;
    if words.iter().all(|word| word.trim().is_empty()) {
        return Err(Error::usage("there is nothing to search for").hint("agenttrace search WORDS"));
    }
    for word in words.iter_mut() {
        if let Some(phrase) = as_phrase(word) {
            *word = phrase;
        }
    }
    let filter = args.listing.filter.read(&context.global)?;
    events::list(context, filter, &args.listing, true).await
}

/// The argument in quotes, if it is several words that the shell's quotes have kept together: as a filter it would ask
/// for each of them. What a filter reads otherwise, or refuses, is no phrase.
fn as_phrase(argument: &str) -> Option<String> {
    let filter = Filter::parse(argument).ok()?;
    let is_word = |expr: &Expr| matches!(expr, Expr::Words(words) if !words.prefix);
    let is_phrase = filter.conditions().len() > 1 && filter.conditions().iter().all(is_word);
    let phrase = format!("\"{}\"", argument.trim());
    let is_plain = !argument.contains('"') && filter == Filter::of(filter.conditions().to_vec());
    (is_phrase && is_plain).then_some(phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_words_in_one_argument_are_a_phrase() {
        assert_eq!(as_phrase("the deploy key").as_deref(), Some("\"the deploy key\""));
        assert_eq!(as_phrase(" user-17  logged in ").as_deref(), Some("\"user-17  logged in\""));
        for other in ["rotate", "type:login x", "\"a b\"", " -action:read", "(a OR b)", "   "] {
            assert_eq!(as_phrase(other), None, "{other}");
        }
        // A filter leaves out, offers a choice, or cannot be read: so it stays.
        for other in
            ["login -failed", "login not failed", "this or that", "key since:-7d", "one, two", "key rot*"]
        {
            assert_eq!(as_phrase(other), None, "{other}");
        }
    }
}
