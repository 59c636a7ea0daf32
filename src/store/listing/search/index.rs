//! An index on words that is not ours: on an expression, which only helps where it is repeated verbatim.

use crate::store::connection::capabilities::{Capabilities, Index};
use crate::store::listing::filter_sql::SEARCHED;

/// A GIN index on `to_tsvector(configuration, text)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextIndex {
    /// Its name.
    pub name: String,
    /// The table, in SQL.
    pub(in crate::store) table: String,
    /// The expression, as the server prints it. Made of nothing but columns, literals and functions of PostgreSQL that
    /// are harmless: it becomes part of statements.
    pub(in crate::store) expression: String,
    /// The literal of the configuration in it, such as `'english'::regconfig`.
    pub(in crate::store) configuration: String,
    /// The columns in it.
    pub columns: Vec<String>,
    /// The words of `event_category`, where an index on category and type finds all types of an organisation quickly.
    pub(in crate::store) categories: Option<Vec<String>>,
}

/// What may stand in the expression besides columns.
const HARMLESS: [&str; 13] = [
    "to_tsvector",
    "coalesce",
    "left",
    "lower",
    "upper",
    "replace",
    "translate",
    "regconfig",
    "text",
    "character",
    "varying",
    "jsonb",
    "json",
];

impl TextIndex {
    /// The one that the table has.
    pub(in crate::store) fn of(capabilities: &Capabilities) -> Option<Self> {
        let usable = |index: &&Index| index.valid && index.method == "gin" && index.predicate.is_none();
        let columns: Vec<&str> = capabilities.columns.iter().map(|c| c.name.as_str()).collect();
        capabilities.indexes.iter().filter(usable).find_map(|index| {
            let found = index.keys.iter().find_map(|key| read(&key.of, &columns))?;
            Some(Self {
                name: index.name.clone(),
                table: capabilities.relation.sql().to_owned(),
                categories: categories(capabilities),
                ..found
            })
        })
    }

    /// Columns with text that it does not hold.
    pub fn missing(&self) -> Vec<&'static str> {
        SEARCHED.into_iter().filter(|column| !self.columns.iter().any(|c| c == column)).collect()
    }
}

/// Reads the expression of an index; `None` where it is none, or has something unknown in it.
fn read(expression: &str, columns: &[&str]) -> Option<TextIndex> {
    let configuration = expression.strip_prefix("to_tsvector(")?.split_once(',')?.0;
    let literal = configuration.strip_suffix("::regconfig")?;
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    if inner.contains('\'') {
        return None;
    }
    let mut used = Vec::new();
    // What stands between single quotes is a literal, doubled quotes included.
    for code in expression.split('\'').step_by(2) {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if !code.chars().all(|c| is_name(c) || "(),:|\" ".contains(c)) {
            return None;
        }
        for word in code.split(|c| !is_name(c)).filter(|word| !word.is_empty()) {
            if columns.contains(&word) {
                if !used.iter().any(|column| column == word) {
                    used.push(word.to_owned());
                }
            } else if !HARMLESS.iter().any(|known| known.eq_ignore_ascii_case(word))
                && !word.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
        }
    }
    Some(TextIndex {
        name: String::new(),
        table: String::new(),
        expression: expression.to_owned(),
        configuration: configuration.to_owned(),
        columns: used,
        categories: None,
    })
}

fn categories(capabilities: &Capabilities) -> Option<Vec<String>> {
    let (_, words) = capabilities.domains.iter().find(|(column, _)| column == "event_category")?;
    let serves = |index: &&Index| {
        let keys = index.keys.iter().map(|key| key.of.as_str());
        index.is_ordered()
            && index.predicate.is_none()
            && keys.take(3).eq(["organization_id", "event_category", "event_type"])
    };
    capabilities.indexes.iter().find(serves).map(|_| words.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "to_tsvector('english'::regconfig, (((COALESCE(event_type, ''::character varying)::text || ' '::text) || \
         COALESCE(resource_name, ''::character varying)::text) || ' '::text) || COALESCE(new_state::text, ''::text))";

    #[test]
    fn the_expression_of_the_seed_is_read() {
        let columns = ["event_type", "resource_name", "new_state", "previous_state"];
        let index = read(SEED, &columns).unwrap();
        assert_eq!(index.configuration, "'english'::regconfig");
        assert_eq!(index.columns, ["event_type", "resource_name", "new_state"]);
        assert_eq!(index.expression, SEED);
        assert_eq!(
            index.missing(),
            ["resource_type", "resource_id", "actor_id", "actor_email", "previous_state"]
        );
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_not_repeated() {
        for expression in [
            "to_tsvector(language, new_state)",
            "to_tsvector('english'::regconfig, their_function(new_state))",
            "to_tsvector('english'::regconfig, new_state); DROP TABLE x",
            "to_tsvector('english'::regconfig, new_state -> 'a')",
            "to_tsvector('it''s'::regconfig, new_state)",
            "setweight(to_tsvector('english'::regconfig, new_state), 'A'::\"char\")",
            "new_state",
            "",
        ] {
            assert_eq!(read(expression, &["new_state", "language"]), None, "{expression}");
        }
    }
}
