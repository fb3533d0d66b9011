update "analytics"."revetl"."revetl_leases" set expires_at = date_add('second', 300, cast(current_timestamp at time zone 'UTC' as timestamp(6))) where exists (
  select 1 from (select l.sync as _such_1, l.account as _such_2, l.run_id as _such_3 from "analytics"."revetl"."revetl_leases" as l where sync = 'people' and account = '1' and run_id = 'run-1') as such
  where such._such_1 = sync and such._such_2 = account and such._such_3 = run_id
);
