"""What can be set on the stand-in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ZendeskOptions:
    """What can be set. The limit of a minute is that of a Professional plan; it and the one on updates of a user are
    enforced only when asked for."""

    per_minute: int = 400
    enforce_limits: bool = False
    bulk_imports: bool = True  # whether Zendesk's support has enabled bulk imports of users
    job_polls: int = 1  # how often a job says that it is working
    token_seconds: int = 1800
