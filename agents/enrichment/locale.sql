-- One row per sender (device, locale and user agent): locale, language and country in one spelling, from whichever was sent.
with split as (
    select
        *,
        nullif(trim(locale_code), '') as sent_code,
        lower(nullif(trim(locale_language), '')) as sent_language,
        upper(nullif(trim(locale_country), '')) as sent_country,
        -- Language, script, country or region; what follows (a POSIX encoding, a BCP 47 extension, an Apple keyword) is left off.
        regexp_extract(
            trim(locale_code),
            '^([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_.@#].*)?$',
            ['language', 'script', 'region']
        ) as code
    from input
),
spelled as (
    select
        *,
        coalesce(nullif(lower(code.language), ''), sent_language) as code_language,
        nullif(upper(code.script[:1]) || lower(code.script[2:]), '') as code_script,
        coalesce(nullif(upper(code.region), ''), sent_country) as code_region,
        -- Java and older Android still send the codes that ISO 639 withdrew in 1989.
        map {'iw': 'he', 'in': 'id', 'ji': 'yi'} as withdrawn
    from split
)
select
    * exclude (sent_code, sent_language, sent_country, code, code_language, code_script, code_region, withdrawn) replace (
        case
            -- A code that is none ('C', 'default') stays as sent.
            when sent_code is not null and code.language = '' then sent_code
            when code_language is not null
                then concat_ws('_', coalesce(withdrawn[code_language], code_language), code_script, code_region)
        end as locale,
        coalesce(
            withdrawn[coalesce(sent_language, code_language)], sent_language, code_language
        ) as language,
        -- A region of three digits ('es-419') is no country.
        coalesce(sent_country, case when length(code_region) = 2 then code_region end) as country
    )
from spelled
