"""A dbt plugin that checks the syncs of a project whenever dbt writes its manifest; only where it is asked for.

    REVETL_DBT_PLUGIN=warn dbt parse     # what is wrong is a warning
    REVETL_DBT_PLUGIN=error dbt build    # and here an error, before anything is built

dbt looks for plugins in top-level modules named `dbt_*`, and imports this one with every command: it does nothing then
but to look at that variable. dbt calls its interface for plugins experimental; dbt v2 has none. `revetl validate`
checks more, outputs of destinations.yml among it.
"""

from __future__ import annotations

import os
from typing import Any

VARIABLE = "REVETL_DBT_PLUGIN"
plugins: list[type] = []


def _plugin(mode: str) -> type:
    from dbt.plugins.manager import dbt_hook, dbtPlugin

    class RevetlPlugin(dbtPlugin):  # type: ignore[misc]
        """Checks `config.meta.revetl` of all models."""

        def initialize(self) -> None:
            """Refuse a mode that does not exist; dbt tells it."""
            if mode not in ("warn", "error"):
                raise ValueError(f"{VARIABLE} is `{mode}`; expected: `warn` or `error`")

        @dbt_hook  # type: ignore[untyped-decorator]
        def get_manifest_artifacts(self, manifest: Any) -> dict[str, Any]:  # noqa: ARG002 - it has just been written
            """Tell what is wrong with the syncs; write nothing."""
            _check(mode)
            return {}

    return RevetlPlugin


def _check(mode: str) -> None:
    from dbt.flags import get_flags
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.functions import fire_event
    from dbt_common.events.types import Note

    from revetl_dbt.spec.load import check_manifest

    flags = get_flags()
    found = check_manifest(flags.PROJECT_DIR, getattr(flags, "TARGET_PATH", None), flags.VARS)
    errors = [item for item in found if not item.warning]
    if errors and mode == "error":
        raise ValueError("\n\n".join(item.render() for item in errors))
    for item in found:
        fire_event(Note(msg=item.render()), level=EventLevel.WARN)


if os.environ.get(VARIABLE):
    plugins.append(_plugin(os.environ[VARIABLE].strip().lower()))
