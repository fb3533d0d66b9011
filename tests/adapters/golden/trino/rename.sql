alter table "analytics"."revetl"."ledger__people" rename to "analytics"."revetl"."ledger__staff";
