-- A value: the three names of a list that are nearest to one, nearest first, VARCHAR[]; all of them when there are no more.
-- name VARCHAR; known VARCHAR[], empty texts of which do not count.
create macro near_names(name, known) as
    list_transform(
        list_sort(list_transform(
            list_filter(list_distinct(known), lambda one: one <> ''),
            lambda one: {'distance': 1 - jaro_winkler_similarity(lower(one), lower(name)), 'name': one}
        ))[1:3],
        lambda near: near.name
    )
