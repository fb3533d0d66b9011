delete from `analytics`.`revetl`.`revetl_leases` as l where sync = 'people' and account = '1' and expires_at < convert_timezone('UTC', localtimestamp());

insert into `analytics`.`revetl`.`revetl_leases` (sync, account, run_id, holder, acquired_at, expires_at)
select 'people', '1', 'run-1', 'here pid 1', convert_timezone('UTC', localtimestamp()), convert_timezone('UTC', localtimestamp()) + interval '300' second from (select 1 as one) as one where not exists (select 1 from `analytics`.`revetl`.`revetl_leases` where sync = 'people' and account = '1');
