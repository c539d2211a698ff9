-- One row per app_id and part, the channel, of the endpoints that may be reached now; part null is all channels.
-- Numerator: endpoints ACTIVE that have not opted out. Denominator: none. Clock: now. Zone: none.
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
-- Whom a campaign may reach.
where endpoint_status = 'ACTIVE' and opt_out = 'NONE'
group by grouping sets ((app_id), (app_id, channel_type))
