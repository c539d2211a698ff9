-- One row per user agent that opens or clicks messages for people.
-- `agent_pattern` is a pattern of ILIKE, whatever the case. `reason` is why its opens and clicks are a machine's: prefetch fetches ahead of the reader, proxy is a gateway that
-- looks into messages; null is a proxy that asks at the very moment when a person opens, and counts as that person.
select agent_pattern, agent_name, reason
from (
    values
        -- The whole text: Apple's privacy proxies say no more than that, and ask long before somebody reads, if anybody does.
        ('Mozilla/5.0', 'Apple Mail Privacy Protection', 'prefetch'),
        ('%Edge/12.246 Mozilla/5.0', 'Gmail, ahead of the reader', 'prefetch'),
        ('%YahooCacheSystem%', 'Yahoo Mail, ahead of the reader', 'prefetch'),
        ('%Barracuda%', 'Barracuda gateway', 'proxy'),
        ('%Mimecast%', 'Mimecast gateway', 'proxy'),
        ('%Proofpoint%', 'Proofpoint gateway', 'proxy'),
        ('%Symantec%', 'Symantec gateway', 'proxy'),
        ('%MessageLabs%', 'Symantec gateway', 'proxy'),
        ('%TrendMicro%', 'Trend Micro gateway', 'proxy'),
        ('%Sophos%', 'Sophos gateway', 'proxy'),
        ('%FortiMail%', 'Fortinet gateway', 'proxy'),
        ('%Cisco IronPort%', 'Cisco gateway', 'proxy'),
        ('%Microsoft Office Protection%', 'Microsoft Defender', 'proxy'),
        ('%SafeLinks%', 'Microsoft Defender', 'proxy'),
        ('%bingbot%', 'Microsoft''s crawler', 'proxy'),
        ('%HeadlessChrome%', 'a browser without a window', 'proxy'),
        ('%GoogleImageProxy%', 'Gmail, for a reader', null),
        ('%YahooMailProxy%', 'Yahoo Mail, for a reader', null)
) as known (agent_pattern, agent_name, reason)
