-- One row per app_id and part, the channel, of the endpoints that may be reached now; part null is all channels.
-- Numerator: endpoints ACTIVE with a channel and an address that have not opted out. Denominator: none. Clock: now. Zone: none.
-- What was targetable before is not known: value_before and change are null.
select
    app_id,
    channel_type as part,
    count(*)::double as numerator,
    null::double as denominator,
    count(*)::double as value,
    null::double as value_before,
    null::double as change
from core.endpoints
-- Whom a campaign may reach: nobody without a channel, and only in an app without an address.
where endpoint_status = 'ACTIVE' and opt_out = 'NONE'
  and channel_type <> ''
  and (channel_type = 'IN_APP' or address <> '')
group by grouping sets ((app_id), (app_id, channel_type))
