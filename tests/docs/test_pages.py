"""The documentation says what the code does: generated pages are current, examples are valid, links lead somewhere."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from jsonschema import Draft202012Validator
from shop import Shop

from docs import generate, pages
from docs.sources import DOCS, ROOT, diagnostic_codes, row_codes
from revetl_dbt.cli.main import COMMANDS, cli
from revetl_dbt.spec.schema import schema

FRONT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "example_dbt_project/README.md")]
TEXTS = [*FRONT, *sorted(DOCS.rglob("*.md"))]
PAGES = [path for path in TEXTS if not path.name.endswith(".notes.md")]
DESTINATIONS = "".join(
    f"{kind}: {{outputs: {{dev: {{type: {kind}, sandbox: true}}}}}}\n" for kind in pages.LIVE if kind != "http"
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def examples() -> Iterator[tuple[str, str]]:
    """Every YAML block, and where it stands; those of a generated page stand in its notes too."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)```yaml\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            line = text[: found.start()].count("\n") + 1
            yield f"{name(path)}:{line}", textwrap.dedent(found[2])


EXAMPLES = dict(examples())
MODELS = {place: text for place, text in EXAMPLES.items() if "models" in yaml.safe_load(text)}
# Files of dbt's, and of what runs it, that are shown too.
CHANNELS = {place: text for place, text in EXAMPLES.items() if place.startswith("docs/guides/notifications.md")}
OTHERS = {"exposures", "sources", "selectors", "packages", "on-run-end", "repos", "jobs", "steps"}
OUTPUTS = {
    place: text
    for place, text in EXAMPLES.items()
    if place not in MODELS | CHANNELS and not (isinstance(data := yaml.safe_load(text), dict) and OTHERS & data.keys())
}


# -- generated pages -------------------------------------------------------------------------------


def test_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pages, "errors", lambda: "something else")
    assert generate.main(["--check"]) == 1
    assert "docs/reference/errors.md" in capsys.readouterr().err


@pytest.mark.parametrize("group", ["diagnostics", "rows"])
@pytest.mark.parametrize("change", ["missing", "left over"])
def test_every_code_has_a_sentence(monkeypatch: pytest.MonkeyPatch, group: str, change: str) -> None:
    sentences = pages.words("errors")
    if change == "missing":
        code = sentences[group].popitem()[0]
    else:
        sentences[group][code := "no-such-code"] = "Never."
    monkeypatch.setattr(pages, "words", lambda _: sentences)
    with pytest.raises(ValueError, match=code):
        pages.errors()


def test_codes_are_found_in_the_source() -> None:
    assert {"unknown-column", "manifest-missing", "unknown-field", "env-var-missing", "output-missing"} <= (
        diagnostic_codes()
    )
    assert {"interrupted", "value", "record_too_large", "lookup_missing", "timeout"} <= row_codes()


def test_every_state_table_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = pages.words("tables")
    del sentences["revetl_runs"]["planned"]
    monkeypatch.setattr(pages, "words", lambda _: sentences)
    with pytest.raises(ValueError, match="planned"):
        pages.state_tables()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_flag_is_documented(command: str) -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert f"## revetl {command}\n" in text
    for found in with_subcommands(command):
        flags = [flag for item in found.params for flag in (*item.opts, *item.secondary_opts) if flag.startswith("-")]
        assert flags or isinstance(found, click.Group)
        assert [flag for flag in flags if f"`{flag}`" not in text] == []


def with_subcommands(name: str) -> list[click.Command]:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return [found, *(found.commands.values() if isinstance(found, click.Group) else ())]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"(?:^ {4}(?:\$ )?|`)revetl ([a-z]+)((?: [^\n`#]*)?)", text, re.MULTILINE)
    for command, rest in shown:
        assert command in COMMANDS, command
        found, *below = with_subcommands(command)
        named = [item for item in below if item.name == rest.split()[0]] if rest.split() else []
        assert named or not below or not rest.split(), f"revetl {command}{rest}"
        known = {
            flag for item in (found, *named) for each in item.params for flag in (*each.opts, *each.secondary_opts)
        }
        known |= {"--help"}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= known, f"revetl {command}{rest}"


# -- examples --------------------------------------------------------------------------------------


def test_there_are_examples() -> None:
    assert len(MODELS) >= 5
    assert len(OUTPUTS) >= 4


@pytest.mark.parametrize("place", MODELS)
def test_a_sync_that_is_shown_is_valid(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MODELS[place]
    Draft202012Validator(schema("models")).validate(yaml.safe_load(text))
    shop = Shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    shop.write("destinations.yml", DESTINATIONS)
    shop.write_models(text)
    assert shop.problems() == []
    assert shop.load().syncs


@pytest.mark.parametrize("place", CHANNELS)
def test_channels_that_are_shown_are_valid(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from revetl_dbt.project.options import Options
    from revetl_dbt.spec.notifications import load_channels

    for variable in re.findall(r"env_var\('(\w+)'\)", CHANNELS[place]):
        monkeypatch.setenv(variable, "https://example.com/hook")
    (tmp_path / "notifications.yml").write_text(CHANNELS[place], encoding="utf-8")
    channels, problems = load_channels(Options(profiles_dir=tmp_path), tmp_path, "prod")
    assert problems == []
    assert len(channels) == len(yaml.safe_load(CHANNELS[place]))


@pytest.mark.parametrize("place", OUTPUTS)
def test_destinations_that_are_shown_are_valid(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from revetl_dbt.spec.destinations import load_outputs

    text = OUTPUTS[place]
    data = yaml.safe_load(text)
    Draft202012Validator(schema("destinations")).validate(data)
    for variable in re.findall(r"env_var\('(\w+)'\)", text):
        monkeypatch.setenv(variable, "set")
    path = tmp_path / "destinations.yml"
    path.write_text(text, encoding="utf-8")
    for target in {target for entry in data.values() for target in entry["outputs"]}:
        names = [key for key, entry in data.items() if target in entry["outputs"]]
        outputs, problems = load_outputs(path, target, names, {})
        assert problems == []
        assert sorted(outputs) == sorted(names)


# -- form ------------------------------------------------------------------------------------------


def test_the_front_page_is_short_enough_to_be_read() -> None:
    assert 100 <= len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 230


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_front() -> None:
    front = ROOT / "README.md"
    seen, pending = {front}, [front]
    while pending:
        page = pending.pop()
        for link in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
            file = (page.parent / link).resolve()
            if not link.startswith("https://") and file not in seen:
                seen.add(file)
                pending.append(file)
    assert [name(page) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("picture", sorted((DOCS / "images").iterdir()), ids=name)
def test_pictures_are_small_and_need_no_network(picture: Path) -> None:
    content = picture.read_bytes()
    assert len(content) < 300_000
    if picture.suffix == ".svg":
        urls = set(re.findall(rb"https?://[^\"')\s]+", content))
        assert urls <= {b"http://www.w3.org/2000/svg"}


REGISTRIES = (("py", "pi"), ("python", "hosted"), ("npm", "js"), ("ana", "conda"), ("shields", ".io"))


@pytest.mark.parametrize("page", [*TEXTS, ROOT / "pyproject.toml", ROOT / "Makefile"], ids=name)
def test_no_package_registry_is_named(page: Path) -> None:
    text = page.read_text(encoding="utf-8").lower()
    assert [host for parts in REGISTRIES if (host := "".join(parts)) in text] == []


def test_the_tests_that_are_named_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (DOCS / "concepts" / "delivery.md").read_text(encoding="utf-8"))
    assert len(named) >= 8
    assert [path for path in named if "def test_" not in (ROOT / path).read_text(encoding="utf-8")] == []
