-- One row per event without an app or without a type.
-- Severity: fail
select app_id, event_type, event_id, _topic_id, _partition, _offset
from staging.events
-- Both are required of every event; a record without them is a dead letter.
where coalesce(app_id, '') = '' or coalesce(event_type, '') = ''
