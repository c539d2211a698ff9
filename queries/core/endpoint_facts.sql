-- One row per app_id and endpoint that is not deleted, without what it shares with other endpoints of its user.
select
    app_id,
    endpoint_key,
    endpoint_id,
    channel_type,
    address,
    endpoint_status,
    coalesce(opt_out, 'NONE') as opt_out,
    effective_date,
    coalesce(creation_date, first_appended_at) as creation_date,
    request_id,
    -- Of the key alone, so that an endpoint is in the same cohort in every app and every engine.
    coalesce(cohort_id, (('0x' || left(md5(endpoint_key), 8))::ubigint % 100)::integer) as cohort_id,
    app_version,
    locale,
    make,
    model,
    model_version,
    platform,
    platform_version,
    timezone,
    city,
    country,
    region,
    postal_code,
    latitude,
    longitude,
    user_id,
    attributes,
    metrics,
    coalesce(user_attributes, map {}::map(varchar, varchar[])) as user_attributes,
    extra,
    _appended_at as updated_at
from core.endpoint_states
-- Users and removals are no endpoints.
where kind = 'endpoint'
