-- One row per sender (device, locale and user agent): platform, make and model in one spelling; what is not known here stays as sent.
with spellings as (
    select
        * replace (
            nullif(trim(platform), '') as platform,
            nullif(trim(platform_version), '') as platform_version,
            nullif(trim(make), '') as make,
            nullif(trim(model), '') as model
        ),
        map {
            'ios': 'ios', 'iphone os': 'ios', 'iphoneos': 'ios', 'ipados': 'ios', 'iphone': 'ios', 'ipad': 'ios',
            'android': 'android', 'android os': 'android',
            'web': 'web', 'browser': 'web', 'javascript': 'web',
            'macos': 'macos', 'mac os x': 'macos', 'mac os': 'macos', 'os x': 'macos', 'osx': 'macos', 'mac': 'macos', 'macintel': 'macos',
            'windows': 'windows', 'windows nt': 'windows', 'win32': 'windows', 'win64': 'windows', 'winnt': 'windows',
            'linux': 'linux', 'gnu/linux': 'linux', 'ubuntu': 'linux', 'debian': 'linux', 'fedora': 'linux'
        } as platforms,
        map {
            'apple': 'Apple', 'apple inc.': 'Apple', 'apple inc': 'Apple', 'samsung': 'Samsung', 'samsung electronics': 'Samsung',
            'google': 'Google', 'google inc.': 'Google', 'xiaomi': 'Xiaomi', 'redmi': 'Redmi', 'poco': 'POCO', 'huawei': 'Huawei',
            'honor': 'Honor', 'oneplus': 'OnePlus', 'oppo': 'OPPO', 'vivo': 'vivo', 'realme': 'realme', 'tecno': 'TECNO',
            'infinix': 'Infinix', 'motorola': 'Motorola', 'lenovo': 'Lenovo', 'lg': 'LG', 'lge': 'LG', 'lg electronics': 'LG',
            'htc': 'HTC', 'sony': 'Sony', 'sonyericsson': 'Sony', 'nokia': 'Nokia', 'hmd global': 'Nokia', 'asus': 'ASUS',
            'zte': 'ZTE', 'tcl': 'TCL', 'sharp': 'Sharp', 'fairphone': 'Fairphone', 'nothing': 'Nothing', 'amazon': 'Amazon',
            'microsoft': 'Microsoft', 'dell': 'Dell', 'hp': 'HP', 'acer': 'Acer'
        } as makes,
        map {
            'iphone': 'iPhone', 'ipad': 'iPad', 'ipod': 'iPod', 'ipod touch': 'iPod touch', 'mac': 'Mac', 'macintosh': 'Mac'
        } as models
    from input
)
select
    * exclude (platforms, makes, models) replace (
        coalesce(platforms[lower(platform)], platform) as platform,
        coalesce(makes[lower(make)], make) as make,
        coalesce(
            models[lower(model)],
            -- Some SDKs put the maker in front of the model.
            case when starts_with(lower(model), lower(make) || ' ') then ltrim(model[length(make) + 1:]) end,
            model
        ) as model
    )
from spellings
