alter table "analytics"."revetl"."ledger__people" rename to "ledger__staff";
