delete from "analytics"."revetl"."revetl_leases" where exists (
  select 1 from (select l.sync as _such_1, l.account as _such_2, l.run_id as _such_3 from "analytics"."revetl"."revetl_leases" as l where sync = 'people' and account = '1' and expires_at < cast(getdate() as timestamp)) as such
  where such._such_1 = sync and such._such_2 = account and such._such_3 = run_id
);

insert into "analytics"."revetl"."revetl_leases" (sync, account, run_id, holder, acquired_at, expires_at)
select 'people', '1', 'run-1', 'here pid 1', cast(getdate() as timestamp),
    dateadd(
        second,
        300,
        cast(getdate() as timestamp)
        )
 from (select 1 as one) as one where not exists (select 1 from "analytics"."revetl"."revetl_leases" where sync = 'people' and account = '1');
