-- Of PostgreSQL only: a file has no timeline, and one that is put in the place of another is
-- noticed by its inode. The number is kept so that both logs have the same.
select 1;
