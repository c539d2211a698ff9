-- One row per row of `records` (_row, value: one JSON text): the columns of PARSED as sent, and four figures that prove them.
-- A row whose figures equal those counted in its bytes (agents/signature.py) has every one of its members in a column.
with
  decoded as (
    -- One text that cannot be read makes its own row null, not the statement fail.
    select _row, try(json_transform(value, $structure)) as sent
    from records
  ),
  -- Numbers stay JSON text until here: json_transform would take "12", 12.5 and true for a whole number too.
  numbers as (
    select
      _row,
      sent,
      try_cast(sent.event_timestamp as bigint) as event_ms,
      try_cast(sent.arrival_timestamp as bigint) as arrival_ms,
      try_cast(sent.session.start_timestamp as bigint) as start_ms,
      try_cast(sent.session.stop_timestamp as bigint) as stop_ms,
      try_cast(sent.headwater.sent_at as bigint) as sent_ms,
      try_cast(sent.headwater.received_at as bigint) as received_ms,
      try(json_transform(sent.metrics, '"map(varchar, double)"')) as metrics
    from decoded
  ),
  -- A time is taken when its text is the whole number itself and a date from 1900 to 9999.
  clocks as (
    select
      _row,
      sent,
      metrics,
      case when event_ms between $ms_min and $ms_max and event_ms::varchar = sent.event_timestamp
        then epoch_ms(event_ms) end as event_timestamp,
      case when arrival_ms between $ms_min and $ms_max and arrival_ms::varchar = sent.arrival_timestamp
        then epoch_ms(arrival_ms) end as arrival_timestamp,
      case when start_ms between $ms_min and $ms_max and start_ms::varchar = sent.session.start_timestamp
        then epoch_ms(start_ms) end as session_start_timestamp,
      case when stop_ms between $ms_min and $ms_max and stop_ms::varchar = sent.session.stop_timestamp
        then epoch_ms(stop_ms) end as session_stop_timestamp,
      case when sent_ms between $ms_min and $ms_max and sent_ms::varchar = sent.headwater.sent_at
        then epoch_ms(sent_ms) end as sent_at,
      case when received_ms between $ms_min and $ms_max and received_ms::varchar = sent.headwater.received_at
        then epoch_ms(received_ms) end as received_at
    from numbers
  ),
  named as (
    select
      _row,
      nullif(sent.event_id, '') as event_id,
      sent.event_type as event_type,
      event_timestamp,
      arrival_timestamp,
      sent.event_version as event_version,
      sent.application.app_id as app_id,
      sent.application.cognito_identity_pool_id as app_cognito_identity_pool_id,
      sent.application.package_name as app_package_name,
      sent.application.title as app_title,
      sent.application.version_name as app_version_name,
      sent.application.version_code as app_version_code,
      sent.application.sdk.name as sdk_name,
      sent.application.sdk.version as sdk_version,
      sent.client.client_id as endpoint_id,
      sent.client.cognito_id as cognito_id,
      sent.device.locale.code as locale_code,
      sent.device.locale.country as locale_country,
      sent.device.locale.language as locale_language,
      sent.device.make as make,
      sent.device.model as model,
      sent.device.platform.name as platform,
      sent.device.platform.version as platform_version,
      sent.session.session_id as session_id,
      session_start_timestamp,
      session_stop_timestamp,
      coalesce(sent.attributes, map()) as attributes,
      coalesce(metrics, map()) as metrics,
      sent.client_context.custom.endpoint as endpoint,
      sent.client_context.custom.legacy_identifier as legacy_identifier,
      sent.awsAccountId as aws_account_id,
      sent.facets::varchar as facets,
      sent.headwater.client_ip as client_ip,
      sent.headwater.user_agent as user_agent,
      sent_at,
      received_at,
      sent.headwater.source as source,
      sent
    from clocks
  ),
  counted as (
    select
      *,
      -- Members whose value is text, if it is: the figures below rule out all else.
      (sent.event_id is not null)::usmallint + (event_type is not null)::usmallint + (event_version is not null)::usmallint
        + (app_id is not null)::usmallint + (app_cognito_identity_pool_id is not null)::usmallint
        + (app_package_name is not null)::usmallint + (app_title is not null)::usmallint
        + (app_version_name is not null)::usmallint + (app_version_code is not null)::usmallint
        + (sdk_name is not null)::usmallint + (sdk_version is not null)::usmallint
        + (endpoint_id is not null)::usmallint + (cognito_id is not null)::usmallint
        + (locale_code is not null)::usmallint + (locale_country is not null)::usmallint + (locale_language is not null)::usmallint
        + (make is not null)::usmallint + (model is not null)::usmallint
        + (platform is not null)::usmallint + (platform_version is not null)::usmallint
        + (session_id is not null)::usmallint
        + (endpoint is not null)::usmallint + (legacy_identifier is not null)::usmallint
        + (aws_account_id is not null)::usmallint
        + (client_ip is not null)::usmallint + (user_agent is not null)::usmallint + (source is not null)::usmallint
        + cardinality(attributes)::integer as text_count,
      (event_timestamp is not null)::usmallint + (arrival_timestamp is not null)::usmallint
        + (session_start_timestamp is not null)::usmallint + (session_stop_timestamp is not null)::usmallint
        + (sent_at is not null)::usmallint + (received_at is not null)::usmallint
        + cardinality(metrics)::integer as number_count,
      (sent.application is not null)::usmallint + (sent.application.sdk is not null)::usmallint
        + (sent.client is not null)::usmallint
        + (sent.device is not null)::usmallint + (sent.device.locale is not null)::usmallint
        + (sent.device.platform is not null)::usmallint
        + (sent.session is not null)::usmallint
        + (sent.attributes is not null)::usmallint + coalesce(starts_with(sent.metrics, '{'), false)::usmallint
        + (sent.client_context is not null)::usmallint + (sent.client_context.custom is not null)::usmallint
        + (sent.headwater is not null)::usmallint as object_count,
      -- json_transform makes an empty structure of an empty object, and of a text that stands where an object should.
      (sent.application.sdk is not null and sdk_name is null and sdk_version is null)
        or (sent.client is not null and endpoint_id is null and cognito_id is null)
        or (sent.device is not null and make is null and model is null and sent.device.locale is null and sent.device.platform is null)
        or (sent.device.locale is not null and locale_code is null and locale_country is null and locale_language is null)
        or (sent.device.platform is not null and platform is null and platform_version is null)
        or (sent.session is not null and session_id is null
          and session_start_timestamp is null and session_stop_timestamp is null)
        or (sent.client_context is not null and sent.client_context.custom is null)
        or (sent.client_context.custom is not null and endpoint is null and legacy_identifier is null)
        or (sent.headwater is not null and client_ip is null and user_agent is null and source is null
          and sent_at is null and received_at is null) as has_hollow
    from named
  )
select
  * exclude (sent, text_count, has_hollow),
  text_count + number_count + object_count as member_count,
  coalesce(
    event_type <> '' and app_id <> '' and event_timestamp is not null and facets is null
      -- A value of a metric starts like a number: no text, no literal, no object.
      and not coalesce(regexp_matches(sent.metrics, ':[^0-9-]'), false)
      -- An empty object under a text's name is the text '{}' here and would stand in for a hollow structure in the count.
      and case when has_hollow
        then not list_contains(
          [sent.event_id, event_type, event_version, app_id, app_cognito_identity_pool_id, app_package_name, app_title,
            app_version_name, app_version_code, sdk_name, sdk_version, endpoint_id, cognito_id, locale_code, locale_country, locale_language, make,
            model, platform, platform_version, session_id, endpoint, legacy_identifier, aws_account_id, client_ip, user_agent, source],
          '{}') and not list_contains(map_values(attributes), '{}')
        else true end,
    false) as is_provable
from counted
