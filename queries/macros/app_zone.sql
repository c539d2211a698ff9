-- A value: the time zone of an app, VARCHAR; of an app that APP_ZONES does not name, the zone of reports.
-- app_id: VARCHAR.
create macro app_zone(app_id) as
    (select coalesce(zones.app_zones[app_id], zones.report_zone) from main.settings as zones)
