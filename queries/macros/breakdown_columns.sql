-- A value: the columns that the macro breakdown knows, VARCHAR[]; any other name is an attribute's.
create macro breakdown_columns() as
    [
        'app_id', 'platform', 'platform_version', 'make', 'model', 'app_version_name', 'country', 'language', 'channel', 'campaign_id',
        'treatment_id', 'journey_id', 'traffic'
    ]
