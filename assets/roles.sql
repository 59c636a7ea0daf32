-- Who owns the objects of agenttrace, and what each of its roles may do. Run by `db migrate --with-roles` in one
-- transaction, after the migrations; may be run again at any time. {schema} is the schema of audit_events, quoted.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '5s';
SET LOCAL client_min_messages = warning;

-- Roles belong to all databases of a server. They are groups: people and services log in under names of their own and
-- are made members. A role that is there already is left as it is.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY
        ARRAY['agenttrace_owner', 'agenttrace_reader', 'agenttrace_writer', 'agenttrace_maintainer'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- Made for another database a moment ago.
        END;
    END LOOP;
    -- Who is no superuser has to be a member of the new owner to hand objects over, and to migrate them later.
    IF NOT pg_has_role('agenttrace_owner', 'USAGE') THEN
        GRANT agenttrace_owner TO CURRENT_USER;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer',
                   current_database());
END
$$;

GRANT USAGE, CREATE ON SCHEMA {schema} TO agenttrace_owner;
GRANT USAGE ON SCHEMA {schema} TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer;

-- Everything belongs to a role under which nobody logs in: no service can take the guard away. What a third role has put
-- beside it under a name like ours stays that role's: a function of it would get the owner's rights.
DO $$
DECLARE
    object record;
    ours oid[] := ARRAY(SELECT oid FROM pg_roles WHERE rolsuper OR rolname = current_user
                        UNION SELECT relowner FROM pg_class WHERE oid = '{schema}.audit_events'::regclass);
BEGIN
    FOR object IN
        SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW'
                                        ELSE 'TABLE' END AS kind
        FROM pg_class c
        WHERE c.relkind IN ('r', 'p', 'm', 'v') AND c.relowner <> 'agenttrace_owner'::regrole
          AND (c.oid IN (SELECT relid FROM pg_partition_tree('{schema}.audit_events'))
               OR c.relowner = ANY (ours) AND c.relnamespace = '{schema}'::regnamespace
                  AND (c.relname ~ '^(audit|agenttrace)_' OR c.relname = '_sqlx_migrations'))
        ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO agenttrace_owner', object.kind, object.name);
    END LOOP;
    FOR object IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname ~ '^agenttrace_'
          AND p.proowner <> 'agenttrace_owner'::regrole AND p.proowner = ANY (ours)
        ORDER BY p.oid
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO agenttrace_owner', object.name);
    END LOOP;
END
$$;

-- Named grants. A writer adds events and moves the heads of chains; nobody may UPDATE or TRUNCATE events, and DELETE, for
-- retention, passes the guard only under the logged setting agenttrace.maintenance.
REVOKE ALL ON {schema}.audit_events, {schema}.audit_chain_heads, {schema}.audit_archive_segments FROM PUBLIC;
GRANT SELECT ON {schema}.audit_events, {schema}.audit_chain_heads, {schema}.audit_archive_segments
    TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer;
DO $$
BEGIN
    -- Made by `db migrate`, not by the printed schema.
    IF to_regclass('{schema}._sqlx_migrations') IS NOT NULL THEN
        REVOKE ALL ON {schema}._sqlx_migrations FROM PUBLIC;
        GRANT SELECT ON {schema}._sqlx_migrations TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer;
    END IF;
END
$$;
GRANT INSERT ON {schema}.audit_events TO agenttrace_writer;
GRANT INSERT, UPDATE ON {schema}.audit_chain_heads TO agenttrace_writer;
GRANT DELETE ON {schema}.audit_events TO agenttrace_maintainer;
GRANT INSERT ON {schema}.audit_archive_segments TO agenttrace_maintainer;

-- A change of layout makes the view anew, after the table.
DO $$
BEGIN
    IF to_regclass('{schema}.audit_daily_summary') IS NOT NULL THEN
        REVOKE ALL ON {schema}.audit_daily_summary FROM PUBLIC;
        GRANT SELECT ON {schema}.audit_daily_summary TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer;
    END IF;
END
$$;

-- Verification reads partitions one by one. Rows get into them through the table only.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('{schema}.audit_events') WHERE relid <> '{schema}.audit_events'::regclass LOOP
        EXECUTE format('GRANT SELECT ON %s TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer', part);
    END LOOP;
END
$$;

-- What runs with the rights of the owner is for those only who need it.
REVOKE ALL ON ROUTINE {schema}.agenttrace_ensure_partition(TIMESTAMP WITH TIME ZONE) FROM PUBLIC;
GRANT EXECUTE ON ROUTINE {schema}.agenttrace_ensure_partition(TIMESTAMP WITH TIME ZONE)
    TO agenttrace_writer, agenttrace_maintainer;
