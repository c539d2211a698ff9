-- One row per import whose rows are not all sent, rejected or set aside as identical.
-- Severity: fail
select file, content_hash, finished_at, rows, acknowledged, rejected, identical
from staging.imports
-- Every row has one of the three outcomes; a row that is identical to one that was rejected has two.
where rows - acknowledged - rejected not between 0 and case when identical_policy = 'one' then identical else 0 end
