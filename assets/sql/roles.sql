-- Roles of agenttrace. They have no password and cannot log in: grant them to those that do.
--
--   agenttrace_owner       owns the tables; no service should be a member of it
--   agenttrace_reader      reads: GRANT agenttrace_reader TO analyst;
--   agenttrace_writer      adds events, and nothing else
--   agenttrace_maintainer  may pass the append-only guard with a reason, which is logged
--
-- Can be run again at any time.
DO $$
DECLARE
    home TEXT := current_schema();
    wanted TEXT;
    thing RECORD;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['agenttrace_owner', 'agenttrace_reader', 'agenttrace_writer', 'agenttrace_maintainer'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, 'agenttrace_owner', 'MEMBER') THEN
        EXECUTE format('GRANT agenttrace_owner TO %I', current_user);
    END IF;

    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO agenttrace_owner', home);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer', home);

    -- On the table, never on its partitions: row-level security of the table does not hold for them.
    GRANT SELECT ON audit_events, audit_chain_heads, audit_archive_segments, audit_daily_summary, _sqlx_migrations
        TO agenttrace_reader;
    GRANT SELECT, INSERT ON audit_events TO agenttrace_writer;
    GRANT SELECT, INSERT, UPDATE ON audit_chain_heads TO agenttrace_writer;
    GRANT EXECUTE ON FUNCTION agenttrace_ensure_partition(TIMESTAMP WITH TIME ZONE) TO agenttrace_writer;
    GRANT SELECT, DELETE, TRUNCATE ON audit_events TO agenttrace_maintainer;
    GRANT SELECT, INSERT ON audit_archive_segments TO agenttrace_maintainer;

    FOR thing IN
        SELECT c.oid::regclass AS name, c.relkind FROM pg_class c
        WHERE c.oid IN (SELECT relid FROM pg_partition_tree('audit_events'))
            OR c.oid IN (to_regclass('audit_events'), to_regclass('audit_chain_heads'),
                         to_regclass('audit_archive_segments'), to_regclass('audit_daily_summary'))
    LOOP
        EXECUTE format(CASE thing.relkind WHEN 'm' THEN 'ALTER MATERIALIZED VIEW %s OWNER TO agenttrace_owner'
            ELSE 'ALTER TABLE %s OWNER TO agenttrace_owner' END, thing.name);
    END LOOP;
    -- It runs with its owner's rights.
    ALTER FUNCTION agenttrace_ensure_partition(TIMESTAMP WITH TIME ZONE) OWNER TO agenttrace_owner;
END $$;
