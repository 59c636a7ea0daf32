-- Row-level security: who reads sees the organisations that are granted, whatever SQL is sent and whatever is SET.
--
--   INSERT INTO agenttrace_grants VALUES ('analyst', 'acme');
--
-- The grants are looked up once a statement. Owners and superusers see everything. COPY into a table with row-level
-- security is refused: the role that writes needs BYPASSRLS. Can be run again at any time.
CREATE TABLE IF NOT EXISTS agenttrace_grants (
    role_name NAME NOT NULL,
    organization_id VARCHAR(64) COLLATE "C" NOT NULL,
    PRIMARY KEY (role_name, organization_id)
);
COMMENT ON TABLE agenttrace_grants IS 'agenttrace: which role may read which organisation, where row-level security is in force';
ALTER TABLE agenttrace_grants OWNER TO agenttrace_owner;
REVOKE ALL ON agenttrace_grants FROM PUBLIC;

-- Of whoever logged in: a function that runs with its owner's rights has no other way to know.
CREATE OR REPLACE FUNCTION agenttrace_granted() RETURNS VARCHAR[] LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT coalesce(array_agg(DISTINCT g.organization_id), '{}') FROM agenttrace_grants g
        JOIN pg_catalog.pg_roles r ON r.rolname = g.role_name
    WHERE pg_catalog.pg_has_role(session_user, r.oid, 'USAGE')
$$;
ALTER FUNCTION agenttrace_granted() OWNER TO agenttrace_owner;
DO $$
DECLARE
    guarded TEXT;
BEGIN
    EXECUTE format('ALTER FUNCTION agenttrace_granted() SET search_path = pg_catalog, %I, pg_temp', current_schema());
    FOREACH guarded IN ARRAY ARRAY['audit_events', 'audit_chain_heads', 'audit_archive_segments'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('DROP POLICY IF EXISTS agenttrace_granted ON %I', guarded);
        EXECUTE format('CREATE POLICY agenttrace_granted ON %I '
            'USING (organization_id = ANY ((SELECT agenttrace_granted())::varchar[]))', guarded);
    END LOOP;
END $$;
-- A materialised view has no policies; days are then added up from the table.
REVOKE ALL ON audit_daily_summary FROM agenttrace_reader, PUBLIC;
