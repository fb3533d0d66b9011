"""`python -m revetl_dbt` is `revetl`."""

from revetl_dbt.cli.main import main

if __name__ == "__main__":
    main()
