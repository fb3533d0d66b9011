update `analytics`.`revetl`.`revetl_leases` as l set expires_at = convert_timezone('UTC', localtimestamp()) + interval '300' second where sync = 'people' and account = '1' and run_id = 'run-1';
