-- A value: what an event is broken down by, as text; null when `name` is null or the event does not say.
-- name VARCHAR: one of the columns given here by its name, else the name of an attribute of the event.
create macro breakdown(
    name, attributes, app_id, platform, platform_version, make, model, app_version_name, country, language, channel, campaign_id, treatment_id,
    journey_id, traffic
) as
    case name
        when 'app_id' then app_id
        when 'platform' then platform
        when 'platform_version' then platform_version
        when 'make' then make
        when 'model' then model
        when 'app_version_name' then app_version_name
        when 'country' then country
        when 'language' then language
        when 'channel' then channel
        when 'campaign_id' then campaign_id
        when 'treatment_id' then treatment_id
        when 'journey_id' then journey_id
        when 'traffic' then traffic
        else attributes[name]
    end
