delete from analytics.revetl.revetl_leases as l where sync = 'people' and account = '1' and expires_at < cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz);

insert into analytics.revetl.revetl_leases (sync, account, run_id, holder, acquired_at, expires_at)
select 'people', '1', 'run-1', 'here pid 1', cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz),
    dateadd(
        second,
        300,
        cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
        )
 from (select 1 as one) as one where not exists (select 1 from analytics.revetl.revetl_leases where sync = 'people' and account = '1');
