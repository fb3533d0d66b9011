"""Files that commands write into the user's project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revetl_dbt.errors import InputError
from revetl_dbt.project.yamlfile import shown


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around the writing of a file: an OSError becomes InputError `file-unwritable`, but for FileExistsError."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise InputError.single(
            "file-unwritable", f"Cannot write the file: {error.strerror}", path=shown(path)
        ) from None
