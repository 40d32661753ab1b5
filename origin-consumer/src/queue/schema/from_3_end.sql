-- From version 3, with the table `objects` of this version. The objects that it knows were named by Spillway 0.1.
INSERT INTO objects (
    object_key, object_id, tenant, spans, payload_bytes, received_at_ms, received_minute_ms, notification, state,
    source, notified_at_ms, priority, look_first, failures, not_before_ms, enqueued_at_ms, ended_at_ms, batch_id,
    shorts, reason, copied,
    resend_of
)
SELECT
    object_key, object_id, tenant, spans, payload_bytes, received_at_ms, received_minute_ms, notification, state,
    source, notified_at_ms, priority, look_first, failures, not_before_ms, enqueued_at_ms, ended_at_ms, batch_id,
    shorts, reason, copied,
    CASE WHEN state = 'duplicate'
        THEN (SELECT requests.object_key FROM requests WHERE requests.object_id = objects_of_version_3.object_id) END
FROM objects_of_version_3;
DROP TABLE objects_of_version_3;
INSERT INTO requests (object_id, object_key, received_at_ms)
SELECT '~' || object_id, object_key, received_at_ms FROM requests;
