-- The seed's names, both sort columns in one direction: pages inside equal timestamps need no sort and no re-read.
CREATE INDEX idx_audit_org_timestamp ON audit_events (organization_id, timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_actor ON audit_events (organization_id, actor_id, timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_resource
    ON audit_events (organization_id, resource_type, resource_id, timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_event_type
    ON audit_events (organization_id, event_category, event_type, timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_severity ON audit_events (organization_id, event_severity, timestamp DESC, event_id DESC)
    WHERE event_severity IN ('warning', 'critical');
CREATE INDEX idx_audit_search ON audit_events USING GIN (search_vector);
-- Predecessor and successor look-ups: eight bytes of hash, checked against the whole hash; a fifth of a text index.
CREATE INDEX idx_audit_hash ON audit_events (hashtextextended(hash, 0));
-- Pivots.
CREATE INDEX idx_audit_previous_hash ON audit_events (hashtextextended(previous_hash, 0));
CREATE INDEX idx_audit_session ON audit_events (organization_id, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX idx_audit_request ON audit_events (organization_id, request_id);
CREATE INDEX idx_audit_ip ON audit_events (organization_id, actor_ip, timestamp DESC, event_id DESC)
    WHERE actor_ip IS NOT NULL;
