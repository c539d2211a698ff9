-- One row per dead letter that was sent again more than a day ago and neither landed nor is dead again.
-- Severity: warn
select topic, origin_topic_id, origin_partition, origin_offset, state, replay_id, begun_at, sent_at
from core.dead_letter_replays
-- What landed is well, what died again has a dead letter of its own, the rest may be on its way.
where state in ('begun', 'sent') and epoch(get_current_timestamp()) - epoch(begun_at) > 86400
