-- From version 3, before the table `objects` is made anew: SQLite cannot change a CHECK.
ALTER TABLE objects RENAME TO objects_of_version_3;
DROP INDEX objects_pending;
DROP INDEX objects_of_batch;
DROP INDEX objects_stored;
DROP INDEX objects_audited;
DROP INDEX objects_set_aside;
DROP INDEX objects_duplicate;
DROP INDEX objects_by_minute;
