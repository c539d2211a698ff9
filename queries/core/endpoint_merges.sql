-- One row per endpoint, user or removal of attributes that the updates after the snapshot touched.
-- The rules stand in queries/README.md. Columns are those of staging.endpoint_states, and is_deleted for what is no more.
-- What was not touched is not read but for its keys, so the cost is that of the updates, not of all endpoints.
--
-- For example, three updates of one endpoint after a snapshot that says 1: {city: Rome}:
--   2: {city: Oslo, attributes: {a: [x]}}    3: delete    4: {make: acme, attributes: {b: [y]}}
--   lives            2 in life 0, 3 and 4 in life 1, for a delete begins the next life; of last_lives it is 1
--   sayings          the snapshot and 2 of life 0, 4 of life 1
--   standings        each of them with the user, the channel and the address as it leaves them, none here
--   attributes_said  (b, [y]) from 4, the only saying of the last life; attributes_now has the last of each name
--   endpoints        {make: acme}: the last of each value in the last life; city was of the life before
with
-- The update numbers of deletes of a user's endpoint that was another's by then: they delete nothing.
-- A stretch begins with an update that names a user, or a delete that names none: in it the user is the same, until the first delete of
-- that user's, after which there is nobody.
stretches as (
    select
        *,
        count(*) filter (where (operation = 'update') = (user_id is not null)) over (
            partition by app_id, endpoint_key order by update_number
        ) as stretch
    from (
        select app_id, endpoint_key, user_id, 'update' as operation, 0 as update_number
        from staging.endpoint_states
        -- Users and removals have no key.
        where kind = 'endpoint' and user_id is not null
        union all by name
        select app_id, endpoint_key, user_id, operation, update_number
        from core.endpoint_tail
        -- What changes whose an endpoint is.
        where operation = 'delete' or (operation = 'update' and user_id is not null)
    )
    semi join (
        select app_id, endpoint_key
        from core.endpoint_tail
        -- Only these ask whose the endpoint is.
        where operation = 'delete' and user_id is not null
    ) as asked using (app_id, endpoint_key)
),

strays as (
    select update_number
    from (
        select
            *,
            max(user_id) filter (where operation = 'update') over (partition by app_id, endpoint_key, stretch) as owner_id,
            row_number() over (partition by app_id, endpoint_key, stretch, operation, user_id order by update_number) as place
        from stretches
    )
    -- Of the others the user is the endpoint's.
    where operation = 'delete' and user_id is not null and (user_id is distinct from owner_id or place > 1)
),

tail as (
    select * from core.endpoint_tail
    anti join strays using (update_number)
),

lives as (
    select
        *,
        count(*) filter (where operation = 'delete') over (partition by app_id, endpoint_key order by update_number) as life
    from tail
    -- Only these are of one endpoint.
    where operation in ('update', 'delete') and endpoint_key is not null
),

last_lives as (
    select app_id, endpoint_key, max(life) as life from lives group by all
),

-- What is said of the endpoints touched, the snapshot first.
sayings as (
    select states.*, 0 as life, 0 as update_number
    from staging.endpoint_states as states
    semi join last_lives using (app_id, endpoint_key)
    -- Users and removals have no key.
    where states.kind = 'endpoint'
    union all by name
    select
        * replace (
            -- Of this update alone: what an earlier one said of itself must not outlive it.
            coalesce(effective_date, _appended_at) as effective_date,
            coalesce(request_id, update_id) as request_id
        ),
        _appended_at as first_appended_at
    from lives
    -- A delete says nothing more than that a life is over.
    where operation = 'update'
),

-- Whose the endpoint is and where it is reached, as each saying leaves it.
standings as (
    select
        app_id,
        endpoint_key,
        life,
        update_number,
        user_attributes,
        coalesce(endpoint_status, 'ACTIVE') as endpoint_status,
        last_value(user_id ignore nulls) over life_so_far as user_id,
        last_value(channel_type ignore nulls) over life_so_far as channel_type,
        last_value(address ignore nulls) over life_so_far as address
    from sayings
    window life_so_far as (
        partition by app_id, endpoint_key, life order by update_number rows between unbounded preceding and current row
    )
),

claims as (
    select app_id, channel_type, address, max(update_number) as claim_number
    from standings
    -- What the snapshot's endpoints claimed is settled in it; an inactive endpoint claims nothing, nor one that cannot be reached.
    where update_number > 0 and endpoint_status = 'ACTIVE' and channel_type is not null and address is not null
    group by all
),

forgotten as (
    select app_id, user_id, max(update_number) as forget_number
    from tail
    -- What was said of the user before does not count.
    where operation = 'delete_user'
    group by all
),

users as (
    select app_id, user_id
    from standings
    -- The snapshot's attributes of a user stand in a row of their own.
    where update_number > 0 and user_id is not null and cardinality(user_attributes) > 0
    union
    select app_id, user_id from forgotten
),

removals as (
    select app_id, removed_type as attribute_type, removed_name, 0 as update_number
    from staging.endpoint_states
    -- The other kinds remove nothing.
    where kind = 'removal'
    union all
    select app_id, removed_type as attribute_type, unnest(removed_names) as removed_name, update_number
    from tail
    -- The others have no names to remove.
    where operation = 'remove_attributes'
),

-- An attribute's owner is an endpoint or a user: `kind` says which, `owner_key` its key or id.
attributes_said as (
    select
        app_id,
        'endpoint' as kind,
        endpoint_key as owner_key,
        update_number,
        'endpoint-custom-attributes' as attribute_type,
        unnest(map_keys(attributes)) as attribute_name,
        unnest(map_values(attributes)) as texts,
        null::double as number
    from sayings
    semi join last_lives using (app_id, endpoint_key, life)
    union all
    select
        app_id,
        'endpoint' as kind,
        endpoint_key as owner_key,
        update_number,
        'endpoint-metric-attributes' as attribute_type,
        unnest(map_keys(metrics)) as attribute_name,
        null::varchar[] as texts,
        unnest(map_values(metrics)) as number
    from sayings
    semi join last_lives using (app_id, endpoint_key, life)
    union all
    select
        app_id,
        'endpoint' as kind,
        endpoint_key as owner_key,
        update_number,
        'endpoint-user-attributes' as attribute_type,
        unnest(map_keys(user_attributes)) as attribute_name,
        unnest(map_values(user_attributes)) as texts,
        null::double as number
    from standings
    semi join last_lives using (app_id, endpoint_key, life)
    -- Said while nobody was known behind the endpoint: its own.
    where user_id is null
    union all
    select
        app_id,
        'user' as kind,
        user_id as owner_key,
        update_number,
        'endpoint-user-attributes' as attribute_type,
        unnest(map_keys(user_attributes)) as attribute_name,
        unnest(map_values(user_attributes)) as texts,
        null::double as number
    from standings
    -- Said of the user, and so it stays when the endpoint is deleted or moves on. The snapshot's come below.
    where user_id is not null and update_number > 0
    union all
    select
        app_id,
        'user' as kind,
        user_id as owner_key,
        0 as update_number,
        'endpoint-user-attributes' as attribute_type,
        unnest(map_keys(user_attributes)) as attribute_name,
        unnest(map_values(user_attributes)) as texts,
        null::double as number
    from staging.endpoint_states
    semi join users using (app_id, user_id)
    -- Endpoints have the user's id too.
    where kind = 'user'
),

attribute_names as (
    select distinct app_id, attribute_type, attribute_name from attributes_said
),

-- Names compared once each, not once for each endpoint; * and ? are the wildcards, all else means itself.
refusals as (
    select app_id, attribute_type, attribute_name, min(removals.update_number) as refuse_number
    from attribute_names
    inner join removals using (app_id, attribute_type)
    where attribute_names.attribute_name like
        replace(replace(replace(replace(replace(removals.removed_name, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_')
        escape '\'
    group by all
),

attributes_now as (
    select
        app_id,
        kind,
        owner_key,
        attribute_type,
        attribute_name,
        arg_max(coalesce(texts, []), update_number) as texts,
        arg_max(number, update_number) as number
    from attributes_said as said
    left join refusals using (app_id, attribute_type, attribute_name)
    left join forgotten on said.kind = 'user' and said.app_id = forgotten.app_id and said.owner_key = forgotten.user_id
    -- Removed names are not taken from later updates; of a user who was forgotten only what came after counts.
    where said.update_number <= coalesce(refusals.refuse_number, said.update_number)
      and said.update_number > coalesce(forgotten.forget_number, -1)
    group by app_id, kind, owner_key, attribute_type, attribute_name
),

maps as (
    select
        app_id,
        kind,
        owner_key,
        map_from_entries(list({'key': attribute_name, 'value': texts} order by attribute_name) filter (
            where attribute_type = 'endpoint-custom-attributes'
        )) as attributes,
        map_from_entries(list({'key': attribute_name, 'value': number} order by attribute_name) filter (
            where attribute_type = 'endpoint-metric-attributes'
        )) as metrics,
        map_from_entries(list({'key': attribute_name, 'value': texts} order by attribute_name) filter (
            where attribute_type = 'endpoint-user-attributes'
        )) as user_attributes
    from attributes_now
    -- A name with no values is removed.
    where len(texts) > 0 or number is not null
    group by app_id, kind, owner_key
),

-- The last of each that was said in this life; arg_max passes over nulls.
endpoints as (
    select
        app_id,
        endpoint_key,
        max(update_number) as update_number,
        arg_max(endpoint_id, update_number) as endpoint_id,
        arg_max(channel_type, update_number) as channel_type,
        arg_max(address, update_number) as address,
        arg_max(coalesce(endpoint_status, 'ACTIVE'), update_number) as endpoint_status,
        arg_max(opt_out, update_number) as opt_out,
        arg_max(effective_date, update_number) as effective_date,
        arg_min(creation_date, update_number) as creation_date,
        arg_max(request_id, update_number) as request_id,
        arg_max(cohort_id, update_number) as cohort_id,
        arg_max(app_version, update_number) as app_version,
        arg_max(locale, update_number) as locale,
        arg_max(make, update_number) as make,
        arg_max(model, update_number) as model,
        arg_max(model_version, update_number) as model_version,
        arg_max(platform, update_number) as platform,
        arg_max(platform_version, update_number) as platform_version,
        arg_max(timezone, update_number) as timezone,
        arg_max(city, update_number) as city,
        arg_max(country, update_number) as country,
        arg_max(region, update_number) as region,
        arg_max(postal_code, update_number) as postal_code,
        arg_max(latitude, update_number) as latitude,
        arg_max(longitude, update_number) as longitude,
        arg_max(user_id, update_number) as user_id,
        arg_max(extra, update_number) as extra,
        arg_min(first_appended_at, update_number) as first_appended_at,
        arg_max(_topic_id, update_number) as _topic_id,
        arg_max(_partition, update_number) as _partition,
        arg_max(_offset, update_number) as _offset,
        arg_max(_appended_at, update_number) as _appended_at
    from sayings
    semi join last_lives using (app_id, endpoint_key, life)
    group by app_id, endpoint_key
),

endpoints_touched as (
    select
        'endpoint' as kind,
        last_lives.app_id,
        last_lives.endpoint_key,
        endpoints.* exclude (app_id, endpoint_key, update_number) replace (
            -- Claimed by another since it was last updated itself: its own claim has its own number.
            case when claims.claim_number > endpoints.update_number then 'INACTIVE' else endpoints.endpoint_status end as endpoint_status
        ),
        coalesce(maps.attributes, map {}::map(varchar, varchar[])) as attributes,
        coalesce(maps.metrics, map {}::map(varchar, double)) as metrics,
        -- With a user behind it, the user's are shown.
        case when endpoints.user_id is null then maps.user_attributes end as user_attributes,
        endpoints.endpoint_key is null as is_deleted
    from last_lives
    left join endpoints using (app_id, endpoint_key)
    left join claims
        on endpoints.app_id = claims.app_id and endpoints.channel_type = claims.channel_type and endpoints.address = claims.address
    left join maps on maps.kind = 'endpoint' and last_lives.app_id = maps.app_id and last_lives.endpoint_key = maps.owner_key
),

endpoints_claimed as (
    select states.* replace ('INACTIVE' as endpoint_status), false as is_deleted
    from staging.endpoint_states as states
    semi join claims using (app_id, channel_type, address)
    anti join last_lives on states.app_id = last_lives.app_id and states.endpoint_key = last_lives.endpoint_key
    -- The others are as they were.
    where states.kind = 'endpoint' and states.endpoint_status = 'ACTIVE'
),

users_touched as (
    select
        'user' as kind,
        users.app_id,
        users.user_id,
        maps.user_attributes,
        maps.user_attributes is null as is_deleted
    from users
    left join maps on maps.kind = 'user' and users.app_id = maps.app_id and users.user_id = maps.owner_key
),

removals_new as (
    select distinct 'removal' as kind, app_id, attribute_type as removed_type, removed_name, false as is_deleted
    from removals
    anti join (
        select app_id, removed_type as attribute_type, removed_name
        from staging.endpoint_states
        -- The other kinds have no name.
        where kind = 'removal'
    ) as known using (app_id, attribute_type, removed_name)
    -- 0 is the snapshot's.
    where update_number > 0
)

-- The snapshot's columns and their types, whatever of them each part has.
select *, null::boolean as is_deleted from staging.endpoint_states where false
union all by name
select * from endpoints_touched
union all by name
select * from endpoints_claimed
union all by name
select * from users_touched
union all by name
select * from removals_new
