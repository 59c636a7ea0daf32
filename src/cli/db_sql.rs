//! `agenttrace db sql`: statements for whoever administers the database. They are printed, never run.

/// What the SQL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Topic {
    /// The whole schema of agenttrace, as `db migrate` makes it
    Schema,
    /// Indexes that serve every filter, for a table that somebody else made
    Indexes,
    /// The materialised view of days, in UTC, that can be refreshed beside its readers
    Summary,
    /// A table with a partition for each month
    Partitions,
    /// Roles, ownership and grants, as `db migrate --with-roles` makes them
    Roles,
    /// Row-level security over the organisations, as `db migrate --rls` makes it; after the roles
    Rls,
    /// Compression and storage of the states
    Storage,
    /// Statistics, visibility map, freezing
    Maintenance,
    /// Units and timers of systemd for what has to be done again and again
    Timers,
}

const SCHEMA: [&str; 7] = [
    include_str!("../../assets/migrations/0001_audit_events.sql"),
    include_str!("../../assets/migrations/0002_indexes.sql"),
    include_str!("../../assets/migrations/0003_daily_summary.sql"),
    include_str!("../../assets/migrations/0004_partitions.sql"),
    include_str!("../../assets/migrations/0005_email_index.sql"),
    include_str!("../../assets/migrations/0006_partition_path.sql"),
    include_str!("../../assets/migrations/0007_partitions_of_others.sql"),
];

const PARTITIONS: &str = "\
-- The key must contain the column that partitions: PRIMARY KEY (event_id) is refused. Nothing then keeps an event_id
-- from being in two months; the writer of agenttrace looks before it writes. No DEFAULT partition: with one, pages are
-- merged from all partitions instead of read from the newest.
-- On a schema of agenttrace, `agenttrace db migrate --layout monthly` does all of this, with the events there are.
CREATE TABLE audit_events (
    LIKE the_table_there_is INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (organization_id, event_id, timestamp)
) PARTITION BY RANGE (timestamp);

-- A month to come. CREATE TABLE … PARTITION OF would wait behind every reader and hold up those that come after it.
CREATE TABLE audit_events_2026_02 (
    LIKE audit_events INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE,
    CONSTRAINT bound CHECK (timestamp >= '2026-02-01 00:00:00+00' AND timestamp < '2026-03-01 00:00:00+00')
);
ALTER TABLE audit_events ATTACH PARTITION audit_events_2026_02
    FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-03-01 00:00:00+00');
ALTER TABLE audit_events_2026_02 DROP CONSTRAINT bound;

-- Autovacuum analyses partitions, never the table above them.
ANALYZE audit_events;
";

const STORAGE: &str = "\
-- States are compressed unless somebody switched that off: SET STORAGE EXTERNAL does, it does not compress better.
-- Both statements hold for rows written from now on.
ALTER TABLE audit_events ALTER COLUMN previous_state SET STORAGE EXTENDED, ALTER COLUMN new_state SET STORAGE EXTENDED;
-- Faster to read than pglz, a little larger. (ALTER TABLE … SET (toast_compression = lz4) does not exist.)
ALTER TABLE audit_events ALTER COLUMN previous_state SET COMPRESSION lz4, ALTER COLUMN new_state SET COMPRESSION lz4;
";

const MAINTENANCE: &str = "\
-- Statistics for the planner; after CREATE INDEX on an expression too, else it guesses 0.5 % for every word.
ANALYZE audit_events;
-- The visibility map: without it, index-only scans read the table for every row.
VACUUM (ANALYZE) audit_events;
-- Inserts alone trigger autovacuum from PostgreSQL 13 on; a large append-only table needs a smaller share.
ALTER TABLE audit_events SET (autovacuum_vacuum_insert_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.01);
-- Which indexes are used, and since when that is counted. An index that enforces uniqueness is never unused.
SELECT s.indexrelname, s.idx_scan, pg_size_pretty(pg_relation_size(s.indexrelid)) AS size, d.stats_reset
FROM pg_stat_user_indexes s JOIN pg_stat_database d ON d.datname = current_database()
WHERE s.relname = 'audit_events' ORDER BY s.idx_scan;
";

const INDEXES_HEAD: &str = "\
-- Each of them is built beside readers and writers. Both sort columns run in one direction, so that pages inside equal
-- timestamps need no sort. On a partitioned table: CREATE INDEX … ON ONLY the table, CONCURRENTLY on each partition,
-- then ALTER INDEX … ATTACH PARTITION. Afterwards: ANALYZE audit_events.
";

/// The statements.
pub(super) fn text(topic: Topic) -> String {
    match topic {
        Topic::Schema => SCHEMA.join("\n"),
        Topic::Indexes => indexes(),
        Topic::Summary => {
            let [_, _, summary, ..] = SCHEMA;
            format!(
                "{summary}\n-- Every hour or so:\nREFRESH MATERIALIZED VIEW CONCURRENTLY audit_daily_summary;\n"
            )
        }
        Topic::Partitions => PARTITIONS.to_owned(),
        Topic::Roles => in_one_transaction(include_str!("../../assets/roles.sql")),
        Topic::Rls => in_one_transaction(include_str!("../../assets/rls.sql")),
        Topic::Storage => STORAGE.to_owned(),
        Topic::Maintenance => MAINTENANCE.to_owned(),
        Topic::Timers => timers(),
    }
}

/// What is done again and again: name, when, what for, and the command.
const TIMED: [(&str, &str, &str, &str); 4] = [
    ("watch", "*:0/15", "compare remembered heads, verify what is new", "pin watch"),
    ("doctor", "*:7/30", "look for what is wrong with the database", "doctor --nagios"),
    ("partitions", "daily", "make the months to come", "db partitions ensure"),
    ("summary", "hourly", "refresh the view of days", "db summary refresh"),
];

/// Two units for each of them.
fn timers() -> String {
    let mut text = "\
# Each part is a file in /etc/systemd/system; then: systemctl daemon-reload && systemctl enable --now NAME.timer
# The account needs a configuration with the profile `prod`, and for the last two a writer_url. A run that finds something
# ends with an exit code: add OnFailure= to be told.
"
    .to_owned();
    for (name, when, what, command) in TIMED {
        text.push_str(&format!(
            "
# --- agenttrace-{name}.service
[Unit]
Description=agenttrace: {what}
After=network-online.target

[Service]
Type=oneshot
User=agenttrace
ExecStart=/usr/local/bin/agenttrace --profile prod {command}

# --- agenttrace-{name}.timer
[Unit]
Description=agenttrace: {what}

[Timer]
OnCalendar={when}
RandomizedDelaySec=60
Persistent=true

[Install]
WantedBy=timers.target
"
        ));
    }
    text
}

/// For the schema in which tables are made unless told otherwise.
fn in_one_transaction(script: &str) -> String {
    format!(
        "BEGIN;\nSET LOCAL search_path = pg_catalog, pg_temp;\n{}COMMIT;\n",
        script.replace("{schema}", "public")
    )
}

/// Our indexes under names of their own, without the one on the search vector, which other tables do not have.
fn indexes() -> String {
    let [_, ours, _, _, address, ..] = SCHEMA;
    let statements = [ours, address].concat();
    let statements =
        statements.split_inclusive(";\n").filter(|statement| !statement.contains("search_vector"));
    let concurrently = statements.map(|statement| {
        statement
            .replace("CREATE INDEX idx_audit_", "CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_agenttrace_")
    });
    let all: String = concurrently.collect();
    // The migration's own remarks are about the schema of agenttrace.
    INDEXES_HEAD.to_owned() + all.trim_start_matches(|c| c != '\n').trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_for_other_tables_are_built_beside_their_users() {
        let text = indexes();
        assert!(!text.contains("search_vector") && !text.contains("CREATE INDEX idx_"), "{text}");
        assert_eq!(text.matches("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_agenttrace_").count(), 11);
        assert!(!text.contains("seed"), "{text}");
    }
}
