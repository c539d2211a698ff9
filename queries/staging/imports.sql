-- One row per finished import of a file.
select * from lake.imports
