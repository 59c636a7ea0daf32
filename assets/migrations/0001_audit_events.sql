-- The audit trail, layout `plain`: the 22 columns and CHECKs of the seed under their own names and types, a search
-- vector that cannot make an INSERT fail, the heads of the chains, and the append-only guard.
--
-- Everything inside function bodies is schema-qualified, because pg_dump restores with an empty search_path.

-- Full text over identifiers (weight A), the new state (B) and the previous state (C). Identifiers are split *before*
-- parsing: the parser would keep `api_key.rotate` as one host name, and is quadratic on runs of hyphens. Each part is
-- cut, since a tsvector holds at most 1 MB. Whatever a state contains, the INSERT succeeds: a state that cannot be
-- turned into text leaves the identifiers searchable. PARALLEL UNSAFE because of the exception handler.
-- A changed body needs a new name: stored vectors are not computed again.
CREATE FUNCTION agenttrace_search_vector_v1(ids text, new_state jsonb, previous_state jsonb) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS $$
BEGIN
    RETURN pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig,
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.left(ids, 4096), '.', ' '), '_', ' '), '-', ' '), ':', ' '), '@', ' '), '/', ' ')), 'A')
        || pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig,
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(coalesce(pg_catalog.left(new_state::text, 32768), ''), '.', ' '), '_', ' '), '-', ' '), ':', ' '), '@', ' '), '/', ' ')), 'B')
        || pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig,
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(coalesce(pg_catalog.left(previous_state::text, 32768), ''), '.', ' '), '_', ' '), '-', ' '), ':', ' '), '@', ' '), '/', ' ')), 'C');
EXCEPTION WHEN OTHERS THEN
    RETURN pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig,
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.left(ids, 4096), '.', ' '), '_', ' '), '-', ' '), ':', ' '), '@', ' '), '/', ' ')), 'A');
END
$$;

CREATE TABLE audit_events (
    -- Event identification
    event_id VARCHAR(64) COLLATE "C" PRIMARY KEY,
    timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    organization_id VARCHAR(64) COLLATE "C" NOT NULL,
    project_id VARCHAR(64) COLLATE "C",
    -- Actor
    actor_type VARCHAR(20) COLLATE "C" NOT NULL,
    actor_id VARCHAR(64) COLLATE "C" NOT NULL,
    actor_email VARCHAR(255) COLLATE "C",
    actor_ip INET,
    actor_user_agent TEXT COLLATE "C",
    -- Classification
    event_category VARCHAR(20) COLLATE "C" NOT NULL,
    event_type VARCHAR(100) COLLATE "C" NOT NULL,
    event_severity VARCHAR(20) COLLATE "C" NOT NULL,
    -- Resource
    resource_type VARCHAR(100) COLLATE "C" NOT NULL,
    resource_id VARCHAR(64) COLLATE "C" NOT NULL,
    resource_name VARCHAR(255) COLLATE "C",
    -- Change
    action VARCHAR(20) COLLATE "C" NOT NULL,
    previous_state JSONB,
    new_state JSONB,
    -- Request
    request_id VARCHAR(64) COLLATE "C" NOT NULL,
    session_id VARCHAR(64) COLLATE "C",
    -- Chain
    hash VARCHAR(64) COLLATE "C" NOT NULL,
    previous_hash VARCHAR(64) COLLATE "C" NOT NULL DEFAULT '',

    CONSTRAINT valid_actor_type CHECK (actor_type IN ('user', 'service', 'system')),
    CONSTRAINT valid_event_category CHECK (event_category IN ('auth', 'data', 'config', 'admin', 'eval')),
    CONSTRAINT valid_action CHECK (action IN ('create', 'read', 'update', 'delete', 'export')),
    CONSTRAINT valid_severity CHECK (event_severity IN ('info', 'warning', 'critical')),

    -- Last, as distribution by Citus wants it.
    search_vector TSVECTOR GENERATED ALWAYS AS (agenttrace_search_vector_v1(
        event_type || ' ' || resource_type || ' ' || resource_id || ' ' || coalesce(resource_name, '')
            || ' ' || actor_id || ' ' || coalesce(actor_email, ''),
        new_state, previous_state)) STORED
);

COMMENT ON TABLE audit_events IS 'agenttrace: hash-chained audit trail, append-only';
-- States are compressed with lz4 where the server has it (the seed's EXTERNAL would switch compression off).
DO $$ BEGIN
    ALTER TABLE audit_events ALTER COLUMN previous_state SET COMPRESSION lz4, ALTER COLUMN new_state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL;
END $$;

-- One row per organisation: the head of its chain. A writer holds the row's lock for the length of a batch, so that
-- two writers cannot give one event two successors.
CREATE TABLE audit_chain_heads (
    organization_id VARCHAR(64) COLLATE "C" PRIMARY KEY,
    event_id VARCHAR(64) COLLATE "C",
    hash VARCHAR(64) COLLATE "C" NOT NULL DEFAULT '',
    event_count BIGINT NOT NULL DEFAULT 0,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE audit_chain_heads IS 'agenttrace: newest event of each organisation''s chain, written by the writer under its lock';

-- What was moved to an archive, so that a chain which begins at an archived boundary verifies as such.
CREATE TABLE audit_archive_segments (
    segment_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id VARCHAR(64) COLLATE "C" NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    first_hash VARCHAR(64) COLLATE "C" NOT NULL,
    last_hash VARCHAR(64) COLLATE "C" NOT NULL,
    event_count BIGINT NOT NULL CHECK (event_count > 0),
    merkle_root VARCHAR(64) COLLATE "C" NOT NULL,
    file_sha256 VARCHAR(64) COLLATE "C" NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    archived_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (since < until)
);
COMMENT ON TABLE audit_archive_segments IS 'agenttrace: parts of chains that were archived, with what proves their fit';

-- Append-only guard. It stops accidents and applications; an owner or superuser can still remove it, which is what
-- the chain and remembered heads are there to show.
CREATE FUNCTION agenttrace_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(current_setting('agenttrace.maintenance', true), '') <> ''
        AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'agenttrace_maintainer')
        AND pg_has_role(session_user, 'agenttrace_maintainer', 'MEMBER') THEN
        RAISE LOG 'agenttrace maintenance: % on %.% by %: %', tg_op, tg_table_schema, tg_table_name, session_user,
            current_setting('agenttrace.maintenance');
        IF tg_level = 'STATEMENT' OR tg_op = 'DELETE' THEN RETURN old; END IF;
        RETURN new;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only: % refused on %', tg_op, tg_table_name USING ERRCODE = '42501';
END
$$;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION agenttrace_refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION agenttrace_refuse();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_truncate;
