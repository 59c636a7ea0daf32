-- Days are UTC days (`DATE(timestamp)` would depend on the session's zone); the key is unique, as REFRESH MATERIALIZED
-- VIEW CONCURRENTLY demands. Distinct actors of a day must not be summed over days or categories.
CREATE MATERIALIZED VIEW audit_daily_summary AS
SELECT organization_id,
       (timestamp AT TIME ZONE 'UTC')::date AS date,
       event_category,
       count(*) AS event_count,
       count(DISTINCT actor_id) AS unique_actors
FROM audit_events
GROUP BY organization_id, (timestamp AT TIME ZONE 'UTC')::date, event_category;
CREATE UNIQUE INDEX idx_audit_daily_summary ON audit_daily_summary (organization_id, date, event_category);
