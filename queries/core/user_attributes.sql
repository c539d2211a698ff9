-- One row per app_id and user_id that attributes are known of; all endpoints of the user share them.
-- The user's endpoints may all be deleted.
select app_id, user_id, user_attributes
from core.endpoint_states
-- An endpoint has attributes of its user only while it has no user.
where kind = 'user'
