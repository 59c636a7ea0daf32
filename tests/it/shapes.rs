//! Somebody else's tables: the same answers from the schema of the seed as its document writes it, from its partitioned
//! form, and from a table with nothing but a primary key.

use crate::support::{self, Collation, TestDatabase};
use crate::timeline::{self as fixture, Ids, never};

use agenttrace::store::connection::capabilities::{TextSearch, Ties};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Looked, Pace, Seek};
use agenttrace::store::schema::{self, Layout};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The columns and constraints of the document, word by word, without its primary key.
pub(crate) const COLUMNS: &str = "
    event_id VARCHAR(64) {key}, timestamp TIMESTAMP WITH TIME ZONE NOT NULL, organization_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64), actor_type VARCHAR(20) NOT NULL, actor_id VARCHAR(64) NOT NULL, actor_email VARCHAR(255),
    actor_ip INET, actor_user_agent TEXT, event_category VARCHAR(20) NOT NULL, event_type VARCHAR(100) NOT NULL,
    event_severity VARCHAR(20) NOT NULL, resource_type VARCHAR(100) NOT NULL, resource_id VARCHAR(64) NOT NULL,
    resource_name VARCHAR(255), action VARCHAR(20) NOT NULL, previous_state JSONB, new_state JSONB,
    request_id VARCHAR(64) NOT NULL, session_id VARCHAR(64), hash VARCHAR(64) NOT NULL,
    previous_hash VARCHAR(64) NOT NULL DEFAULT '',
    CONSTRAINT valid_actor_type CHECK (actor_type IN ('user', 'service', 'system')),
    CONSTRAINT valid_event_category CHECK (event_category IN ('auth', 'data', 'config', 'admin', 'eval')),
    CONSTRAINT valid_action CHECK (action IN ('create', 'read', 'update', 'delete', 'export')),
    CONSTRAINT valid_severity CHECK (event_severity IN ('info', 'warning', 'critical'))";

/// The indexes of the document.
const INDEXES: &str = "
    CREATE INDEX idx_audit_org_timestamp ON audit_events (organization_id, timestamp DESC, event_id);
    CREATE INDEX idx_audit_actor ON audit_events (organization_id, actor_id, timestamp DESC);
    CREATE INDEX idx_audit_resource ON audit_events (organization_id, resource_type, resource_id, timestamp DESC);
    CREATE INDEX idx_audit_event_type ON audit_events (organization_id, event_category, event_type, timestamp DESC);
    CREATE INDEX idx_audit_severity ON audit_events (organization_id, event_severity, timestamp DESC)
        WHERE event_severity = 'critical';
    CREATE INDEX idx_audit_hash ON audit_events (organization_id, timestamp ASC, hash, previous_hash);
    CREATE INDEX idx_audit_search ON audit_events USING GIN (to_tsvector('english',
        COALESCE(event_type, '') || ' ' || COALESCE(resource_name, '') || ' ' || COALESCE(new_state::text, '')));";

/// A table that the program has to cope with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Ours,
    Seed,
    SeedByMonth,
    Bare,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Seed, Self::SeedByMonth, Self::Bare];

    fn ids(self) -> Ids {
        match self {
            Self::Ours | Self::Bare => Ids::Fall,
            Self::Seed | Self::SeedByMonth => Ids::Rise,
        }
    }

    /// A database with an empty table of this shape.
    pub(crate) async fn database(self) -> TestDatabase {
        if self == Self::Ours {
            return support::database().await;
        }
        let test = support::bare_database().await;
        self.fill_in(&test).await;
        test
    }

    /// As [`Self::database`], sorting text so.
    pub(crate) async fn database_in(self, collation: Collation) -> TestDatabase {
        let test = support::bare_database_in(collation).await;
        self.fill_in(&test).await;
        test
    }

    /// Makes the table of this shape in an empty database.
    pub(crate) async fn fill_in(self, test: &TestDatabase) {
        if self == Self::Ours {
            let db = WriteDb::connect(test.options.clone()).await.unwrap();
            schema::migrate(&db).await.unwrap();
            return db.close().await;
        }
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        let sql = match self {
            Self::Ours => unreachable!(),
            Self::Seed => {
                format!("CREATE TABLE audit_events ({}); {INDEXES}", COLUMNS.replace("{key}", "PRIMARY KEY"))
            }
            Self::Bare => format!("CREATE TABLE audit_events ({})", COLUMNS.replace("{key}", "PRIMARY KEY")),
            // The document's own statement is refused: the key must contain the time.
            Self::SeedByMonth => {
                let mut sql = format!(
                    "CREATE TABLE audit_events ({}, PRIMARY KEY (event_id, timestamp)) PARTITION BY RANGE (timestamp);",
                    COLUMNS.replace("{key}", "")
                );
                for (name, from, to) in [
                    ("2025_12", "2025-12-01", "2026-01-01"),
                    ("2026_01", "2026-01-01", "2026-02-01"),
                    ("2026_02", "2026-02-01", "2026-03-01"),
                ] {
                    sql.push_str(&format!(
                        "CREATE TABLE audit_events_{name} PARTITION OF audit_events FOR VALUES FROM ('{from}Z') TO ('{to}Z');"
                    ));
                }
                sql + INDEXES
            }
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
        c.close().await.unwrap();
    }
}

#[test]
fn every_shape_gives_every_event_of_a_filter_exactly_once_in_both_directions() {
    let runtime = Runtime::new().unwrap();
    for shape in [Shape::Seed, Shape::SeedByMonth, Shape::Bare] {
        let test = runtime.block_on(async {
            let test = shape.database().await;
            fixture::fill(&test.options, 3000, 700).await;
            test
        });
        for walk in [50_000, 300] {
            fixture::agree_with_the_oracle(&runtime, &test.options, 16, walk, shape.ids());
        }
        runtime.block_on(test.drop_now());
    }
}

#[tokio::test]
async fn the_catalogue_says_what_a_table_offers() {
    for shape in Shape::ALL {
        let test = shape.database().await;
        let db = fixture::reader(&test.options).await;
        let found = db.capabilities(&never()).await.unwrap();
        assert_eq!(found.missing_columns(), [""; 0], "{shape:?}");
        assert!(found.can_insert && !found.is_replica && !found.row_security);
        assert_eq!(found.estimated_rows, None, "never analysed");
        let words: Vec<_> =
            found.domains.iter().map(|(column, words)| (column.as_str(), words.len())).collect();
        assert_eq!(words, [("action", 5), ("actor_type", 3), ("event_category", 5), ("event_severity", 3)]);
        let time_index = found.time_index().map(|index| index.name.as_str());
        let (layout, partitions, index, ties) = match shape {
            Shape::Ours => (Layout::Plain, 1, Some("idx_audit_org_timestamp"), Ties::Aligned),
            Shape::Seed => (Layout::Plain, 1, Some("idx_audit_org_timestamp"), Ties::Mirrored),
            Shape::SeedByMonth => (Layout::Range, 3, Some("idx_audit_org_timestamp"), Ties::Mirrored),
            Shape::Bare => (Layout::Plain, 1, None, Ties::Aligned),
        };
        assert_eq!(
            (found.layout, found.partitions, time_index, found.ties()),
            (layout, partitions, index, ties)
        );
        match (shape, found.text_search()) {
            (Shape::Ours, TextSearch::Stored("search_vector")) | (Shape::Bare, TextSearch::None) => {}
            (Shape::Seed | Shape::SeedByMonth, TextSearch::Expression(text)) => {
                assert!(text.starts_with("to_tsvector('english'::regconfig"), "{text}");
            }
            (shape, other) => panic!("{shape:?}: {other:?}"),
        }
        assert_eq!(found.daily_summary.is_some(), shape == Shape::Ours);
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn a_walk_tells_how_far_it_has_come_stops_when_told_and_goes_on_from_there() {
    for shape in [Shape::Ours, Shape::SeedByMonth] {
        let test = shape.database().await;
        fixture::fill(&test.options, 6000, 400).await;
        let settings = ReadSettings { walk: 300, ..ReadSettings::default() };
        let db = ReadDb::connect(test.options.clone(), settings).await.unwrap();
        // One event in 23, known to no index.
        let query = fixture::query("o-1", "resource_id:r/1 sess:*");
        let all = timeline::page(&db, &query, &Seek::Newest, 1000, &never()).await.unwrap();
        assert!(all.rows.len() > 100 && all.looked.unwrap().resume.is_none());

        // Impatient: what was found so far, and where to go on.
        let mut rows = Vec::new();
        let mut seek = Seek::Newest;
        let mut pages = 0;
        loop {
            let told = Mutex::new(0);
            let progress = |looked: &Looked| *told.lock().unwrap() = looked.events;
            let pace = Pace { patience: Some(Duration::ZERO), progress: Some(&progress) };
            let page = timeline::page_at(&db, &query, &seek, 1000, pace, &never()).await.unwrap();
            pages += 1;
            rows.extend(page.rows);
            let looked = page.looked.unwrap();
            assert_eq!(page.has_older, looked.resume.is_some());
            let Some(key) = looked.resume else { break };
            assert_eq!(*told.lock().unwrap(), looked.events);
            seek = Seek::OlderThan(key);
        }
        assert!(pages > 50, "{pages}");
        assert_eq!(rows, all.rows);

        // Stopped in the middle: nothing goes on behind it.
        let stop = never();
        let told = Mutex::new(0);
        let progress = |_: &Looked| {
            *told.lock().unwrap() += 1;
            if *told.lock().unwrap() == 3 {
                stop.cancel();
            }
        };
        let pace = Pace { patience: None, progress: Some(&progress) };
        let stopped = timeline::page_at(&db, &query, &Seek::Newest, 1000, pace, &stop).await;
        assert!(matches!(stopped, Err(StoreError::Cancelled)), "{stopped:?}");
        assert_eq!(*told.lock().unwrap(), 3);
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        support::until_idle(&mut c).await;
        c.close().await.unwrap();
        db.close().await;
        test.drop_now().await;
    }
}
