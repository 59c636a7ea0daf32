//! Which index the pages of a filter come from: chosen from what the table offers, so that the statement can be written
//! in the one form that this index serves.

use crate::filter::{Expr, Field, Filter, Match, Matcher, Selection};
use crate::store::connection::capabilities::{Capabilities, Index, Key, Predicate};

/// Most index ranges that are merged into one page.
const MAX_BRANCHES: usize = 64;
/// Most words of a column's CHECK that stand in for a condition on that column.
const MAX_WORDS: usize = 8;

/// The address of an actor as it is compared: in lower case.
const EMAIL: &str = r#"lower(actor_email COLLATE "C")"#;

/// How the rows of a page are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// In the order of the timeline from index ranges, one for each branch, which are merged.
    Ordered {
        /// Never empty.
        branches: Vec<Branch>,
        /// No other condition is left; else each row on the way is compared with the filter.
        covered: bool,
    },
    /// A few rows by an index that knows no time; sorted afterwards.
    Lookup {
        /// What the index is asked for; never empty.
        branches: Vec<Branch>,
    },
    /// A few rows by the words they hold; sorted afterwards.
    Words {
        /// The index on the search vector.
        index: String,
        /// Row-level security keeps the role from the index; this function asks it instead.
        function: Option<String>,
    },
    /// No index on time: the whole table is read.
    Scan,
    /// A view or a foreign table, of which nothing is known.
    Opaque,
}

/// A range of an index: one value for each of its leading columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Branch {
    /// The index.
    pub(in crate::store) index: String,
    /// Columns and values, organisation not among them.
    pub(in crate::store) equals: Vec<(&'static str, Value)>,
    /// Actors whose events other branches hold.
    pub(in crate::store) except: Vec<String>,
}

/// A value to compare a column with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Value {
    /// Of a text column.
    Text(String),
    /// Of an `inet` column: one address.
    Address(String),
    /// Of a text column: any of these.
    AnyOf(Vec<String>),
}

/// Values that fix columns; one of them holds for every row of a condition.
type Alternatives = Vec<Vec<(&'static str, Value)>>;

/// A condition that fixes columns, and its number among the conditions of the filter.
#[derive(Debug, Clone)]
struct Fixed {
    condition: usize,
    columns: Vec<&'static str>,
    alternatives: Alternatives,
}

impl Access {
    /// In the order of the timeline: by the index that fixes the most columns.
    pub(in crate::store) fn ordered(capabilities: &Capabilities, filter: &Filter) -> Self {
        if !capabilities.is_table() {
            return Self::Opaque;
        }
        let Some(time_index) = capabilities.time_index() else { return Self::Scan };
        let conditions = filter.conditions().len();
        let mut fixed = fixed(filter);
        let found = match actor_by_address(filter) {
            // Whose id or address it is: the two have an index each.
            Some(ByAddress { ids, addresses, except }) => {
                let mut by_address = fixed.clone();
                let condition = ids.condition;
                fixed.push(ids);
                by_address.push(addresses);
                let serves = |found: &(Vec<Branch>, Vec<usize>)| found.1.contains(&condition);
                let ids = best(capabilities, &fixed).filter(serves);
                let addresses = best(capabilities, &by_address).filter(serves);
                match (ids, addresses) {
                    (Some((mut branches, used)), Some((others, used_by_others)))
                        if used == used_by_others =>
                    {
                        let others =
                            others.into_iter().map(|branch| Branch { except: except.clone(), ..branch });
                        branches.extend(others);
                        Some((branches, used))
                    }
                    _ => {
                        fixed.pop();
                        best(capabilities, &fixed)
                    }
                }
            }
            None => best(capabilities, &fixed),
        };
        match found {
            Some((branches, used)) if branches.len() <= MAX_BRANCHES => {
                Self::Ordered { branches, covered: used.len() == conditions }
            }
            _ => Self::Ordered {
                branches: vec![Branch {
                    index: time_index.name.clone(),
                    equals: Vec::new(),
                    except: Vec::new(),
                }],
                covered: conditions == 0,
            },
        }
    }

    /// By an index of few rows a value, such as that on requests. Whether there are few has to be asked.
    pub(in crate::store) fn lookup(capabilities: &Capabilities, filter: &Filter) -> Option<Self> {
        if !capabilities.is_table() {
            return None;
        }
        let fixed = fixed(filter);
        capabilities.indexes.iter().filter(|index| index.is_ordered()).find_map(|index| {
            let mut prefix: Vec<&str> = index.keys.iter().map(name).collect();
            let has_organization = prefix.first() == Some(&"organization_id");
            if has_organization {
                prefix.remove(0);
            }
            let has_time = prefix.contains(&"timestamp");
            prefix.truncate(prefix.iter().position(|name| *name == "timestamp").unwrap_or(prefix.len()));
            // An id says all by itself; other indexes with a time give pages in order, which is better.
            let is_id = prefix == ["event_id"];
            if prefix.is_empty() || !is_id && (has_time || !has_organization) {
                return None;
            }
            let (branches, _) = branches(capabilities, index, &prefix, &fixed)?;
            Some(Self::Lookup { branches })
        })
    }

    /// Whether its indexes are asked for values of columns, not for the time alone.
    pub(super) fn fixes_columns(&self) -> bool {
        match self {
            Self::Ordered { branches, .. } | Self::Lookup { branches } => {
                branches.iter().any(|branch| !branch.equals.is_empty())
            }
            Self::Words { .. } | Self::Scan | Self::Opaque => false,
        }
    }

    /// Names of the indexes that are counted on.
    pub(in crate::store) fn indexes(&self) -> Vec<&str> {
        let mut names: Vec<&str> = match self {
            Self::Ordered { branches, .. } | Self::Lookup { branches } => {
                branches.iter().map(|b| b.index.as_str()).collect()
            }
            Self::Words { function: Some(_), .. } => Vec::new(),
            Self::Words { index, .. } => vec![index],
            Self::Scan | Self::Opaque => Vec::new(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The index ranges that serve the most conditions, and the numbers of those; of two that serve the same conditions,
/// the fewer ranges.
fn best(capabilities: &Capabilities, fixed: &[Fixed]) -> Option<(Vec<Branch>, Vec<usize>)> {
    let candidates = capabilities.indexes.iter().filter_map(|index| {
        let prefix = prefix_before_time(index)?;
        // Under row-level security no function may be asked before the policy has been: the index is of no use then.
        if capabilities.row_security && prefix.contains(&EMAIL) {
            return None;
        }
        let (branches, mut used) = branches(capabilities, index, &prefix, fixed)?;
        used.sort_unstable();
        (!used.is_empty()).then_some((branches, used))
    });
    candidates.max_by_key(|(branches, used)| (used.len(), std::cmp::Reverse(branches.len())))
}

/// What a column of an index is called here.
fn name(key: &Key) -> &str {
    if key.of == r#"lower(actor_email::text COLLATE "C")"# { EMAIL } else { &key.of }
}

/// The columns between organisation and time, where the index has both in that order.
fn prefix_before_time(index: &Index) -> Option<Vec<&str>> {
    let mut names = index.keys.iter().map(name);
    if !index.is_ordered() || names.next() != Some("organization_id") {
        return None;
    }
    let names: Vec<&str> = names.collect();
    let time = names.iter().position(|name| *name == "timestamp")?;
    names.get(..time).map(<[&str]>::to_vec)
}

/// The ranges of the index that hold every row of the conditions it serves, and the numbers of those conditions.
fn branches(
    capabilities: &Capabilities,
    index: &Index,
    prefix: &[&str],
    fixed: &[Fixed],
) -> Option<(Vec<Branch>, Vec<usize>)> {
    let mut used = Vec::new();
    let mut ranges: Vec<Vec<(&'static str, Value)>> = vec![Vec::new()];
    let mut open: Vec<&str> = prefix.to_vec();
    let multiply = |ranges: Vec<Vec<(&'static str, Value)>>, by: &Alternatives| {
        let joined = ranges.iter().flat_map(|range| {
            by.iter().map(move |more| range.iter().chain(more).cloned().collect::<Vec<_>>())
        });
        joined.collect::<Vec<_>>()
    };
    for condition in fixed {
        if condition.columns.iter().all(|column| open.contains(column)) {
            open.retain(|column| !condition.columns.contains(column));
            used.push(condition.condition);
            ranges = multiply(ranges, &condition.alternatives);
        }
        if ranges.len() > MAX_BRANCHES {
            return None;
        }
    }
    for column in open {
        // Not named by the filter, but the table admits only a few words there: each of them.
        let (_, words) = capabilities.domains.iter().find(|(name, _)| name == column)?;
        let column = domain_column(column).filter(|_| words.len() <= MAX_WORDS && !used.is_empty())?;
        let words: Alternatives =
            words.iter().map(|word| vec![(column, Value::Text(word.clone()))]).collect();
        ranges = multiply(ranges, &words);
    }
    if ranges.len() > MAX_BRANCHES || !ranges.iter().all(|range| holds(index, range)) {
        return None;
    }
    let branch = |equals| Branch { index: index.name.clone(), equals, except: Vec::new() };
    Some((ranges.into_iter().map(branch).collect(), used))
}

/// The column of a few words, under a name of ours. They are never null.
fn domain_column(name: &str) -> Option<&'static str> {
    ["actor_type", "event_category", "event_severity", "action"].into_iter().find(|column| *column == name)
}

/// Whether a partial index holds all rows of the range.
fn holds(index: &Index, range: &[(&'static str, Value)]) -> bool {
    match &index.predicate {
        None => true,
        Some(Predicate::NotNull(column)) => {
            range.iter().any(|(name, _)| name == column || *name == EMAIL && column == "actor_email")
        }
        Some(Predicate::OneOf(column, values)) => range.iter().any(|(name, value)| {
            name == column && matches!(value, Value::Text(text) if values.contains(text))
        }),
        Some(Predicate::Other(_)) => false,
    }
}

fn fixed(filter: &Filter) -> Vec<Fixed> {
    let conditions = filter.conditions().iter().enumerate();
    conditions.filter_map(|(condition, expr)| fix(condition, expr)).collect()
}

/// The columns between organisation and time of an index that would serve more of a filter than those there are do:
/// those of its first condition on single values, unless one of its conditions has an index already, or the table admits
/// only a few words there.
pub(in crate::store) fn wanted(capabilities: &Capabilities, filter: &Filter) -> Option<Vec<&'static str>> {
    let mut candidates = fixed(filter);
    if !capabilities.row_security
        && let Some(ByAddress { ids, addresses, .. }) = actor_by_address(filter)
    {
        candidates.splice(0..0, [addresses, ids]);
    }
    candidates.retain(|fixed| {
        let is_of_few_words = |column: &&str| {
            capabilities.domains.iter().any(|(name, words)| name == column && words.len() <= MAX_WORDS)
        };
        !fixed.columns.iter().all(is_of_few_words)
    });
    let is_served = |fixed: &Fixed| {
        capabilities.indexes.iter().any(|index| {
            let prefix = prefix_before_time(index).filter(|prefix| !prefix.is_empty());
            prefix.is_some_and(|prefix| {
                branches(capabilities, index, &prefix, std::slice::from_ref(fixed)).is_some()
            })
        })
    };
    let (served, wanted): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_served);
    // An address is looked for by two indexes, of which one may be there.
    let wanted = wanted.into_iter().find(|w| served.iter().all(|s| s.condition == w.condition))?;
    Some(wanted.columns)
}

/// A condition on actors that names addresses: events of these ids, and those of these addresses but not these ids.
struct ByAddress {
    ids: Fixed,
    addresses: Fixed,
    except: Vec<String>,
}

/// The one condition of that kind, if there is one.
fn actor_by_address(filter: &Filter) -> Option<ByAddress> {
    let mut found = filter.conditions().iter().enumerate().filter_map(|(condition, expr)| {
        let Expr::Match(Match { field: Field::Actor, any_of }) = expr else { return None };
        let values = any_of.iter().map(|m| if let Matcher::Equals(v) = m { Some(v.clone()) } else { None });
        let except: Vec<String> = values.collect::<Option<_>>()?;
        let mut ids = Alternatives::new();
        let mut addresses = Alternatives::new();
        for value in &except {
            let id = vec![("actor_id", Value::Text(value.clone()))];
            if !ids.contains(&id) {
                ids.push(id);
            }
            let address = vec![(EMAIL, Value::Text(value.to_ascii_lowercase()))];
            if value.contains('@') && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let fixed = |column, alternatives| Fixed { condition, columns: vec![column], alternatives };
        let is_address = !addresses.is_empty();
        is_address.then(|| ByAddress {
            ids: fixed("actor_id", ids),
            addresses: fixed(EMAIL, addresses),
            except,
        })
    });
    let only = found.next();
    only.filter(|_| found.next().is_none())
}

/// What a condition fixes; `None` when it holds for more than single values.
fn fix(condition: usize, expr: &Expr) -> Option<Fixed> {
    let mut alternatives = Alternatives::new();
    match expr {
        Expr::Match(found) => fix_match(found, &mut alternatives)?,
        // `actor:a OR actor:b` is `actor:a,b`.
        Expr::Or(parts) => {
            for part in parts {
                let Expr::Match(found) = part else { return None };
                fix_match(found, &mut alternatives)?;
            }
        }
        // In one range, since there may be thousands.
        Expr::Local(local) => {
            let Some(Selection::Only(ids)) = &local.answer else { return None };
            alternatives.push(vec![("event_id", Value::AnyOf(ids.clone()))]);
        }
        _ => return None,
    }
    let columns: Vec<_> = alternatives.first()?.iter().map(|(column, _)| *column).collect();
    let same = |other: &Vec<(&'static str, Value)>| {
        other.iter().map(|(column, _)| *column).eq(columns.iter().copied())
    };
    alternatives.iter().all(same).then_some(Fixed { condition, columns, alternatives })
}

/// Adds the values that a match allows, one of which holds; `None` when it allows more than single values.
fn fix_match(Match { field, any_of }: &Match, alternatives: &mut Alternatives) -> Option<()> {
    for matcher in any_of {
        let alternative = match matcher {
            // Such a value is also looked for among the addresses.
            Matcher::Equals(value) if *field == Field::Actor && value.contains('@') => return None,
            Matcher::Equals(value) if *field == Field::ActorEmail => {
                vec![(EMAIL, Value::Text(value.to_ascii_lowercase()))]
            }
            Matcher::Equals(value) => vec![(field.text_column()?, Value::Text(value.clone()))],
            Matcher::Network(network) => {
                let text = network.to_string();
                if text.contains('/') {
                    return None;
                }
                vec![("actor_ip", Value::Address(text))]
            }
            Matcher::Resource { resource_type, id, prefix: false } => vec![
                ("resource_type", Value::Text(resource_type.clone())),
                ("resource_id", Value::Text(id.clone())),
            ],
            _ => return None,
        };
        // A value that is named twice would be merged twice.
        if !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    Some(())
}
