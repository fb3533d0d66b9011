create schema if not exists "analytics"."revetl";

create table if not exists "analytics"."revetl"."revetl_syncs" (sync varchar, account varchar, account_name varchar, destination varchar, object varchar, model varchar, ledger varchar, plan_id varchar, checksum varchar, layout varchar, state_format bigint, updated_at timestamp(6), settled_at timestamp(6), claimed varchar, mark varchar, built varchar);

create table if not exists "analytics"."revetl"."revetl_accounts" (fingerprint varchar, account varchar, account_name varchar, url varchar, seen_at timestamp(6));

create table if not exists "analytics"."revetl"."revetl_runs" (run_id varchar, sync varchar, account varchar, model varchar, destination varchar, object varchar, mode varchar, target varchar, status varchar, model_rows bigint, planned bigint, created bigint, updated bigint, deleted bigint, unchanged bigint, invalid bigint, rejected bigint, held bigint, skipped bigint, not_attempted bigint, requests bigint, started_at timestamp(6), finished_at timestamp(6), message varchar, dbt_invocation_id varchar, revetl_version varchar, command varchar, released varchar, bytes_processed bigint);

create table if not exists "analytics"."revetl"."revetl_outcomes" (run_id varchar, sync varchar, account varchar, seq bigint, row_key varchar, action varchar, status varchar, code varchar, message varchar, destination_id varchar, attempt bigint, recorded_at timestamp(6));

create table if not exists "analytics"."revetl"."revetl_changes" (run_id varchar, sync varchar, account varchar, seq bigint, row_key varchar, action varchar, field varchar, old_value varchar, new_value varchar, destination_id varchar, recorded_at timestamp(6));

create table if not exists "analytics"."revetl"."revetl_leases" (sync varchar, account varchar, run_id varchar, holder varchar, acquired_at timestamp(6), expires_at timestamp(6));

create table if not exists "analytics"."revetl"."revetl_format" (state_format bigint, revetl_version varchar, written_at timestamp(6));

create table if not exists "analytics"."revetl"."revetl_queue" (invocation_id varchar, unique_id varchar, relation varchar, status varchar, tested varchar, command varchar, target varchar, package_version varchar, started_at timestamp(6), queued_at timestamp(6), state varchar, worker varchar, leased_until timestamp(6), attempts bigint, run_id varchar, message varchar, finished_at timestamp(6));
