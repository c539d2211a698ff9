-- One row per app_id, type of attributes and name or pattern that is not taken from updates any more.
select app_id, removed_type, removed_name
from core.endpoint_states
-- The other kinds remove nothing.
where kind = 'removal'
