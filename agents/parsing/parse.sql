-- One row per row of `records` (_row, value: a JSON text or null): the columns of PARSED as sent, and what agents/parsing/proof.py needs.
with
  decoded as (
    select _row, json_transform(value, $structure) as sent
    from records
  ),
  -- Numbers stay JSON text until here, and are cast as text: json_transform and a cast of JSON take "12" and true for one too.
  numbers as (
    select
      _row,
      sent,
      try_cast(sent.event_timestamp::varchar as bigint) as event_ms,
      try_cast(sent.arrival_timestamp::varchar as bigint) as arrival_ms,
      try_cast(sent.session.start_timestamp::varchar as bigint) as start_ms,
      try_cast(sent.session.stop_timestamp::varchar as bigint) as stop_ms,
      try_cast(sent.headwater.sent_at::varchar as bigint) as sent_ms,
      try_cast(sent.headwater.received_at::varchar as bigint) as received_ms,
      json_transform(sent.metrics, '"map(varchar, double)"') as metrics
    from decoded
  ),
  -- A time is taken when its text is a whole number, without fraction or exponent, and a date from 1900 to 9999.
  clocks as (
    select
      _row,
      sent,
      metrics,
      case when event_ms between $ms_min and $ms_max and not contains(sent.event_timestamp, '.') and not contains(sent.event_timestamp, 'e')
        then epoch_ms(event_ms) end as event_timestamp,
      case when arrival_ms between $ms_min and $ms_max and not contains(sent.arrival_timestamp, '.') and not contains(sent.arrival_timestamp, 'e')
        then epoch_ms(arrival_ms) end as arrival_timestamp,
      case when start_ms between $ms_min and $ms_max and not contains(sent.session.start_timestamp, '.') and not contains(sent.session.start_timestamp, 'e')
        then epoch_ms(start_ms) end as session_start_timestamp,
      case when stop_ms between $ms_min and $ms_max and not contains(sent.session.stop_timestamp, '.') and not contains(sent.session.stop_timestamp, 'e')
        then epoch_ms(stop_ms) end as session_stop_timestamp,
      case when sent_ms between $ms_min and $ms_max and not contains(sent.headwater.sent_at, '.') and not contains(sent.headwater.sent_at, 'e')
        then epoch_ms(sent_ms) end as sent_at,
      case when received_ms between $ms_min and $ms_max and not contains(sent.headwater.received_at, '.') and not contains(sent.headwater.received_at, 'e')
        then epoch_ms(received_ms) end as received_at
    from numbers
  ),
  named as (
    select
      _row,
      sent.event_id as event_id,
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
      sent.metrics as metrics_sent,
      sent
    from clocks
  )
select
  * exclude (sent, metrics_sent),
  -- Places of the shape that were filled by an object, if it is one.
  (sent.application is not null)::utinyint + (sent.application.sdk is not null)::utinyint
    + (sent.client is not null)::utinyint
    + (sent.device is not null)::utinyint + (sent.device.locale is not null)::utinyint + (sent.device.platform is not null)::utinyint
    + (sent.session is not null)::utinyint
    + (sent.attributes is not null)::utinyint + coalesce(starts_with(metrics_sent, '{'), false)::utinyint
    + (sent.client_context is not null)::utinyint + (sent.client_context.custom is not null)::utinyint
    + coalesce(starts_with(facets, '{'), false)::utinyint
    + (sent.headwater is not null)::utinyint as object_count,
  -- json_transform makes an empty structure of an empty object, and of a text that stands where an object should.
  (sent.application.sdk is not null and sdk_name is null and sdk_version is null)
    or (sent.client is not null and endpoint_id is null and cognito_id is null)
    or (sent.device is not null and make is null and model is null and sent.device.locale is null and sent.device.platform is null)
    or (sent.device.locale is not null and locale_code is null and locale_country is null and locale_language is null)
    or (sent.device.platform is not null and platform is null and platform_version is null)
    or (sent.session is not null and session_id is null and session_start_timestamp is null and session_stop_timestamp is null)
    or (sent.client_context is not null and sent.client_context.custom is null)
    or (sent.client_context.custom is not null and endpoint is null and legacy_identifier is null)
    or (sent.headwater is not null and client_ip is null and user_agent is null and source is null
      and sent_at is null and received_at is null) as has_hollow,
  -- A value of a metric starts like a number: no text, no literal, no object.
  coalesce(
    event_type <> '' and app_id <> '' and event_timestamp is not null
      and not coalesce(regexp_matches(metrics_sent, ':[^0-9-]'), false),
    false) as is_provable
from named
