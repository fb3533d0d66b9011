update analytics.revetl.revetl_leases as l set expires_at =
    dateadd(
        second,
        300,
        cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
        )
 where sync = 'people' and account = '1' and run_id = 'run-1';
