"""Jinja as dbt renders profiles.yml."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from revetl_dbt.project.render import Renderer, RenderError

ENV = {
    "HOST": "db.example.com",
    "PORT": "5432",
    "FLAG": "true",
    "DBT_ENV_SECRET_TOKEN": "{{ s3cret }} \x00 'quoted'",
    "EMPTY": "",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("5432", "5432"),
        ("{{ env_var('HOST') }}", "db.example.com"),
        ("https://{{ env_var('HOST') }}:{{ env_var('PORT') }}/", "https://db.example.com:5432/"),
        ("{{ env_var('PORT') }}", "5432"),
        ("{{ env_var('PORT') | as_number }}", 5432),
        ("{{ env_var('PORT') | as_native }}", 5432),
        ("{{ env_var('PORT') | as_text }}", "5432"),
        ("{{ env_var('FLAG') | lower | as_native }}", "true"),
        ("{{ 'True' | as_bool }}", True),
        ("{{ env_var('NO', 'False') | as_bool }}", False),
        ("{{ env_var('NO', 'x') }}", "x"),
        ("{{ env_var('EMPTY') }}", ""),
        ("{{ env_var('NO', 7) }}", 7),
        ("{{ env_var('PORT') | int + 1 }}", 5433),
        ("{{ var('region') }}", "eu"),
        ("{{ var('no', 'us') }}", "us"),
        ("{% if env_var('FLAG') == 'true' %}yes{% else %}no{% endif %}", "yes"),
        ("{# nothing #}", ""),
        (7, 7),
        (None, None),
    ],
)
def test_renders(text: Any, value: Any) -> None:
    rendered = Renderer({"region": "eu"}, ENV).render(text)
    assert rendered == value
    assert type(rendered) is type(value)


def test_secrets_are_filled_in_untouched_by_filters_and_never_rendered_again() -> None:
    renderer = Renderer({}, ENV)
    assert renderer.render("Bearer {{ env_var('DBT_ENV_SECRET_TOKEN') }}") == "Bearer " + ENV["DBT_ENV_SECRET_TOKEN"]
    assert "s3" not in renderer.render("{{ env_var('DBT_ENV_SECRET_TOKEN')[:3] }}")


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("{{ env_var('NOPE') }}", "env-var-missing", "`NOPE`"),
        ("{{ env_var('DBT_ENV_SECRET_NOPE') }}", "env-var-missing", "`DBT_ENV_SECRET_NOPE`"),
        ("{{ var('nope') }}", "var-missing", "`nope`"),
        ("{{ target.name }}", "jinja-error", "target"),
        ("{{ nope }}", "jinja-error", "nope"),
        ("{{ env_var('HOST') | as_number }}", "jinja-error", "number"),
        ("{{ env_var('PORT') | as_bool }}", "jinja-error", "boolean"),
        ("{{ env_var('HOST').__class__.__mro__ }}", "jinja-error", "unsafe"),
        ("{{ env_var('HOST') ", "jinja-error", "render"),
        ("{{ 1 / 0 }}", "jinja-error", "ZeroDivisionError"),
    ],
)
def test_refuses_with_a_reason_and_without_values(text: str, code: str, word: str) -> None:
    with pytest.raises(RenderError) as error:
        Renderer({}, ENV).render(text)
    assert error.value.code == code
    assert word in str(error.value)
    assert "db.example.com" not in str(error.value)


def test_renders_trees_and_reports_every_problem_with_its_path() -> None:
    problems: list[tuple[Any, str]] = []
    data = {"a": ["{{ env_var('HOST') }}", {"b": "{{ env_var('X') }}"}], "c": "{{ env_var('Y') }}", "d": 1}
    rendered = Renderer({}, ENV).render_tree(data, lambda at, error: problems.append((at, error.code)))
    assert rendered == {"a": ["db.example.com", {"b": "{{ env_var('X') }}"}], "c": "{{ env_var('Y') }}", "d": 1}
    assert problems == [(("a", 1, "b"), "env-var-missing"), (("c",), "env-var-missing")]


def test_agrees_with_dbt(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The same expressions, rendered by dbt's own renderer in a process of its own."""
    import json
    import os
    import subprocess

    texts = [
        "{{ env_var('PORT') }}",
        "{{ env_var('PORT') | as_number }}",
        "{{ env_var('NO', 'True') | as_bool }}",
        "x{{ env_var('PORT') | as_number }}",
        "{{ env_var('NO', 7) }}",
        "{{ 'True' | as_bool }}",
        "[1, 2]",
        "007",
        "{{ env_var('LIST') | as_native }}",
        "a {{ env_var('DBT_ENV_SECRET_TOKEN') }} b",
        "two\nlines {{ env_var('PORT') }}\n",
    ]
    program = (
        "import json, os, sys\n"
        "from dbt_common.context import set_invocation_context\n"
        "set_invocation_context(os.environ)\n"
        "from dbt.config.renderer import ProfileRenderer\n"
        "print(json.dumps([ProfileRenderer({}).render_value(text) for text in json.load(sys.stdin)]))"
    )
    environ = {"PORT": "5432", "LIST": "[1, 'a']", "DBT_ENV_SECRET_TOKEN": "t0ken"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(texts),
        env={**os.environ, **environ},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    renderer = Renderer({}, environ)
    assert [renderer.render(text) for text in texts] == json.loads(done.stdout)
