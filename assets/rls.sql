-- Row-level security: a role sees the organisations that agenttrace_grants names for it, or for a role that it is a
-- member of, and no others, whatever statements it sends. Run by `db migrate --rls` after roles.sql, in the same
-- transaction; may be run again at any time. {schema} is the schema of audit_events, quoted.

-- Written by members of agenttrace_owner only. A role that does not exist (any more) sees nothing.
DO $$
DECLARE
    taken text := (
        SELECT string_agg(format('%s %s of %s', kind, name, holder), ', ') FROM (
            SELECT 'the relation' AS kind, c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS holder
            FROM pg_class c
            WHERE c.oid IN (to_regclass('{schema}.agenttrace_grants'), to_regclass('{schema}.audit_daily_summary_granted'))
            UNION ALL
            SELECT 'the function', p.oid::regprocedure::text, pg_get_userbyid(p.proowner)
            FROM pg_proc p
            WHERE p.pronamespace = '{schema}'::regnamespace
              AND p.proname IN ('agenttrace_organizations', 'agenttrace_search')) there
        WHERE holder NOT IN ('agenttrace_owner', current_user));
BEGIN
    -- Whoever owns the grants decides what is granted, and triggers and overloads of others would run.
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'names of ours are taken: %; drop them', taken USING ERRCODE = '42710';
    END IF;
END
$$;
CREATE TABLE IF NOT EXISTS {schema}.agenttrace_grants (
    role_name TEXT COLLATE "C" NOT NULL,
    organization_id VARCHAR(64) COLLATE "C" NOT NULL,
    granted_by TEXT NOT NULL DEFAULT session_user,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (role_name, organization_id)
);
COMMENT ON TABLE {schema}.agenttrace_grants IS 'agenttrace: which organisations a role sees under row-level security';
ALTER TABLE {schema}.agenttrace_grants OWNER TO agenttrace_owner;
REVOKE ALL ON {schema}.agenttrace_grants FROM PUBLIC, agenttrace_reader, agenttrace_writer, agenttrace_maintainer;

-- The organisations of whoever logged in: session_user, which unlike current_user changes neither by SET ROLE nor in
-- functions of the owner. The setting agenttrace.organization_id can only narrow them down, as an application does that
-- serves several tenants under one role.
CREATE OR REPLACE FUNCTION {schema}.agenttrace_organizations() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(DISTINCT g.organization_id::text), '{}')
    FROM {schema}.agenttrace_grants g JOIN pg_roles r ON r.rolname = g.role_name
    WHERE pg_has_role(session_user, r.oid, 'USAGE')
      AND coalesce(current_setting('agenttrace.organization_id', true), '') IN ('', g.organization_id)
$$;
ALTER FUNCTION {schema}.agenttrace_organizations() OWNER TO agenttrace_owner;

-- The newest events of an organisation that match `words`, in a time range, older than a given one where that is named.
-- The operator @@ is not leakproof, so that under a policy it cannot be a condition of an index; here it can.
-- EXECUTE, because only a plan for the values at hand knows whether a word is rare.
CREATE OR REPLACE FUNCTION {schema}.agenttrace_search(
    organization text, words tsquery, since timestamptz, until timestamptz, before_time timestamptz, before_id text,
    newest bigint
) RETURNS TABLE (event_id varchar, event_time timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF organization = ANY ({schema}.agenttrace_organizations()) IS NOT TRUE THEN
        RAISE EXCEPTION 'organisation % is not granted to %', coalesce(quote_literal(organization), 'NULL'), session_user
            USING ERRCODE = '42501';
    END IF;
    RETURN QUERY EXECUTE
        'SELECT e.event_id, e.timestamp FROM {schema}.audit_events e WHERE e.organization_id = $1 AND e.search_vector @@ $2'
        || CASE WHEN since IS NOT NULL THEN ' AND e.timestamp >= $3' ELSE '' END
        || CASE WHEN until IS NOT NULL THEN ' AND e.timestamp < $4' ELSE '' END
        || CASE WHEN before_time IS NOT NULL
                THEN ' AND e.timestamp <= $5 AND (e.timestamp, e.event_id) < ($5, $6)' ELSE '' END
        || ' ORDER BY e.timestamp DESC, e.event_id DESC LIMIT $7'
        USING organization, words, since, until, before_time, before_id, newest;
END
$$;
ALTER FUNCTION {schema}.agenttrace_search(text, tsquery, timestamptz, timestamptz, timestamptz, text, bigint)
    OWNER TO agenttrace_owner;

-- A materialised view takes no policy: its rows are read through a view. Both belong to the owner.
DO $$
BEGIN
    IF to_regclass('{schema}.audit_daily_summary') IS NOT NULL THEN
        REVOKE ALL ON {schema}.audit_daily_summary FROM agenttrace_reader, agenttrace_writer, agenttrace_maintainer;
        CREATE OR REPLACE VIEW {schema}.audit_daily_summary_granted WITH (security_barrier) AS
            SELECT * FROM {schema}.audit_daily_summary WHERE organization_id = ANY ((SELECT {schema}.agenttrace_organizations())::text[]);
        ALTER VIEW {schema}.audit_daily_summary_granted OWNER TO agenttrace_owner;
        REVOKE ALL ON {schema}.audit_daily_summary_granted FROM PUBLIC;
        GRANT SELECT ON {schema}.audit_daily_summary_granted TO agenttrace_reader, agenttrace_writer, agenttrace_maintainer;
    END IF;
END
$$;

-- The policies, on partitions too: there is no other wall before a partition that is named itself. The organisations
-- are asked for once a statement. Reading is confined for every role but those two, who need the whole table: a writer
-- looks for ids that are taken, retention knows no organisation. FORCE would blind the view and the functions above.
DO $$
DECLARE
    confined regclass;
BEGIN
    FOR confined IN
        SELECT relid FROM pg_partition_tree('{schema}.audit_events')
        UNION SELECT unnest(ARRAY['{schema}.audit_events', '{schema}.audit_chain_heads', '{schema}.audit_archive_segments']::regclass[])
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('DROP POLICY IF EXISTS agenttrace_read ON %s', confined);
        EXECUTE format('DROP POLICY IF EXISTS agenttrace_write ON %s', confined);
        EXECUTE format('DROP POLICY IF EXISTS agenttrace_maintain ON %s', confined);
        EXECUTE format('CREATE POLICY agenttrace_read ON %s FOR SELECT
                        USING (organization_id = ANY ((SELECT {schema}.agenttrace_organizations())::text[]))', confined);
        EXECUTE format('CREATE POLICY agenttrace_write ON %s TO agenttrace_writer USING (true) WITH CHECK (true)', confined);
        EXECUTE format('CREATE POLICY agenttrace_maintain ON %s TO agenttrace_maintainer USING (true) WITH CHECK (true)',
                       confined);
    END LOOP;
END
$$;
