-- Analysts name people by their address: without this it is a walk through the timeline. In lower case as compared.
CREATE INDEX idx_audit_email
    ON audit_events (organization_id, lower(actor_email COLLATE "C"), timestamp DESC, event_id DESC)
    WHERE actor_email IS NOT NULL;
