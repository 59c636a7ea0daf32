-- Months that others have made, such as pg_partman (`audit_events_p2026_01`), count by their bounds, whatever they are
-- called: the function made a month of its own beside them, which the server refuses. Where others hold a part of a month,
-- what is left of it around the instant is made. Rows that stand in a DEFAULT partition stay there.
DO $do$ BEGIN
    EXECUTE replace($function$
CREATE OR REPLACE FUNCTION {home}.agenttrace_ensure_partition(at TIMESTAMP WITH TIME ZONE) RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    parent REGCLASS := to_regclass('{home}.audit_events');
    home TEXT := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent);
    low TIMESTAMP WITH TIME ZONE := date_trunc('month', at, 'UTC');
    high TIMESTAMP WITH TIME ZONE := (date_trunc('month', at AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    part TEXT := 'audit_events_' || to_char(low AT TIME ZONE 'UTC', 'YYYY_MM');
    held RECORD;
    rest TEXT;
    is_in_rest BOOLEAN;
    month_low CONSTANT TIMESTAMP WITH TIME ZONE := low;
    month_high CONSTANT TIMESTAMP WITH TIME ZONE := high;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = parent AND partstrat = 'r') THEN
        RETURN NULL;
    END IF;
    IF NOT isfinite(at) OR at < '1970-01-01 00:00:00+00' OR at >= '3000-01-01 00:00:00+00' THEN
        RAISE EXCEPTION 'the time % lies outside the months that can be made (1970 to 2999)', at USING ERRCODE = '22008';
    END IF;
    -- A look without a lock first: months are almost always there.
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent AND inhrelid = to_regclass(format('%I.%I', home, part))) THEN
        RETURN part;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('agenttrace_partition ' || home || '.' || part, 0));
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent AND inhrelid = to_regclass(format('%I.%I', home, part))) THEN
        RETURN part;
    END IF;
    -- A bound that is none (MINVALUE, MAXVALUE) is no text in quotes.
    FOR held IN SELECT c.relname::text AS name, format('%I.%I', n.nspname, c.relname) AS full_name, b.bounds = 'DEFAULT' AS is_rest,
                       coalesce(substring(b.bounds FROM '^FOR VALUES FROM \(''([^'']+)''\)')::timestamptz, '-infinity') AS first,
                       coalesce(substring(b.bounds FROM ' TO \(''([^'']+)''\)$')::timestamptz, 'infinity') AS behind
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
                     LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) b
                WHERE i.inhparent = parent LOOP
        IF held.is_rest THEN
            rest := held.full_name;
        ELSIF at >= held.first AND at < held.behind THEN
            RETURN held.name;
        ELSIF held.behind <= at THEN
            low := greatest(low, held.behind);
        ELSE
            high := least(high, held.first);
        END IF;
    END LOOP;
    IF (low, high) <> (month_low, month_high) THEN
        part := part || to_char(low AT TIME ZONE 'UTC', '_DD_HH24MISSUS');
    END IF;
    IF rest IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE timestamp >= %L AND timestamp < %L)', rest, low, high) INTO is_in_rest;
        IF is_in_rest THEN
            RETURN rest;
        END IF;
    END IF;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS '
        'INCLUDING STORAGE INCLUDING COMPRESSION, '
        'CONSTRAINT agenttrace_bound CHECK (timestamp >= %L AND timestamp < %L))', home, part, parent, low, high);
    -- Row triggers are cloned from the table, those on TRUNCATE are not.
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION %I.agenttrace_refuse()', home, part, home);
    EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER refuse_truncate', home, part);
    -- Whoever may read the table may read its partitions one by one, as verification does, under the same policies.
    FOR held IN SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
                FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.oid = parent AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner LOOP
        EXECUTE format('GRANT SELECT ON %I.%I TO %s', home, part, held.role);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = parent) THEN
        EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', home, part);
        FOR held IN SELECT policyname, permissive, cmd, qual, with_check,
                           (SELECT string_agg(CASE r WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(r) END, ', ')
                            FROM unnest(roles) r) AS roles
                    FROM pg_policies WHERE schemaname = home AND tablename = 'audit_events' LOOP
            EXECUTE format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s', held.policyname, home, part, held.permissive,
                           held.cmd, held.roles)
                || coalesce(' USING (' || held.qual || ')', '') || coalesce(' WITH CHECK (' || held.with_check || ')', '');
        END LOOP;
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)', parent, home, part, low, high);
    EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT agenttrace_bound', home, part);
    RETURN part;
END
$$ $function$, '{home}', quote_ident(current_schema()));
END $do$;
