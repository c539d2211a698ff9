-- One row per sender (device, locale and user agent): the device out of the user agent where the record has none, and the browser.
select
    * replace (
        -- A device that the client described is never mixed with one that was read off its user agent.
        case when has_device then platform else agent_platform end as platform,
        case when has_device then platform_version else agent_platform_version end as platform_version,
        case when has_device then make else agent_make end as make,
        case when has_device then model else agent_model end as model,
        agent_browser as browser
    )
from (
    select *, concat(trim(platform), trim(make), trim(model)) <> '' as has_device
    from input
)
