"""Loading: manifests and code agree, plugins get what they asked for and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import Settings, SettingsError, ValidationError
from engine.queue.registry import Registry
from plugins import loader
from plugins.loader import CATALOG, catalog_names, load_catalog, load_plugin
from plugins.manifest import read_manifest
from plugins.services import House, Services, read_secrets


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Settings(home=tmp_path))


def services(house: House, name: str) -> Services:
    manifest = read_manifest(CATALOG / name)
    return Services(house, manifest, manifest.settings, CATALOG / name)


def test_the_catalog_registers_its_tasks_as_their_manifests_say(house: House) -> None:
    registry = Registry()
    manifests = load_catalog(registry, house)
    assert [m.name for m in manifests] == catalog_names() == ["documents", "maintenance", "webhooks"]
    assert registry.names() == ["documents.extract", "maintenance.prune", "webhooks.deliver"]
    for manifest in manifests:
        for declared in manifest.tasks:
            spec = registry.get(declared.name)
            assert (spec.queue, spec.max_attempts, spec.timeout) == (
                declared.queue,
                declared.max_attempts,
                declared.timeout,
            )
            assert spec.backoff.maximum == declared.backoff.maximum
            assert spec.wants_context and spec.doc


def test_only_the_plugins_that_are_named_are_loaded(house: House) -> None:
    registry = Registry()
    load_catalog(registry, house, ["webhooks"])
    assert registry.names() == ["webhooks.deliver"]
    with pytest.raises(
        SettingsError, match="no bundled plugin 'telepathy'; there are documents, maintenance, webhooks"
    ):
        load_catalog(registry, house, ["telepathy"])


def test_loading_twice_changes_nothing(house: House) -> None:
    registry = Registry()
    load_catalog(registry, house)
    load_catalog(registry, house)
    assert len(registry.names()) == 3


def test_arguments_are_checked_against_the_tasks_before_a_job_is_accepted(house: House) -> None:
    registry = Registry()
    load_catalog(registry, house)
    extract = registry.get("documents.extract").validator
    assert extract.convert({"content": "aGk="}) == {"content": b"hi"}
    with pytest.raises(ValidationError, match=r"args\.content"):
        extract.check({"content": "not base64!"})
    with pytest.raises(ValidationError, match=r"args\.days"):
        registry.get("maintenance.prune").validator.check({"days": 0})
    with pytest.raises(ValidationError, match=r"args\.method"):
        registry.get("webhooks.deliver").validator.check({"url": "https://a.example", "method": "DELETE"})


def test_a_setting_that_an_operator_got_wrong_stops_the_load(house: House, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "documents.toml").write_text("max_page = 3")
    with pytest.raises(SettingsError, match=r"documents.toml: max_page: no such setting; did you mean 'max_pages'\?"):
        load_catalog(Registry(), house)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for plugins that do not ship, importable as if they did."""
    import plugins.catalog

    folder = tmp_path / "catalog" / "juggling"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "plugin.toml").write_text(
        'name = "juggling"\nversion = "1.0.0"\ndescription = "d"\n[[tasks]]\nname = "juggling.juggle"\n'
    )
    monkeypatch.setattr(plugins.catalog, "__path__", [*plugins.catalog.__path__, str(folder.parent)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("plugins.catalog.juggling")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def tasks(services): return {}", "task 'juggling.juggle' is in its manifest, not in its code"),
        (
            "def tasks(services): return {'juggling.juggle': print, 'juggling.zap': print}",
            "task 'juggling.zap' is in its code, not in its manifest",
        ),
        (
            "import there_is_no_such_module",
            "plugin juggling: plugins.catalog.juggling.tasks cannot be loaded: ModuleNotF",
        ),
        ("1/0", "ZeroDivisionError"),
        ("", "has no attribute 'tasks'"),
        ("def tasks(services): return services.database()", "plugin juggling has no permission 'database'"),
    ],
)
def test_code_that_does_not_do_what_its_manifest_says_stops_the_load(
    foreign: Path, house: House, code: str, expected: str
) -> None:
    (foreign / "tasks.py").write_text(code)
    with pytest.raises(SettingsError) as caught:
        load_plugin(Registry(), house, foreign)
    assert expected in str(caught.value)


def test_a_plugin_is_refused_what_its_manifest_does_not_ask_for(house: House) -> None:
    with pytest.raises(SettingsError, match="plugin documents has no permission 'secrets'"):
        services(house, "documents").secret("default")
    with pytest.raises(SettingsError, match="plugin webhooks has no permission 'database'"):
        services(house, "webhooks").database()


def test_without_a_database_in_the_house_the_message_says_so(house: House) -> None:
    with pytest.raises(SettingsError, match="no history database in this process"):
        services(house, "maintenance").database()


def test_a_secret_comes_from_the_environment_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "webhooks.toml"
    file.parent.mkdir()
    file.write_text('shop = "from-file"\nother-shop = "second"\n')
    file.chmod(0o600)
    webhooks = services(
        House(Settings(home=tmp_path), environ={"HOLDFAST_SECRET_WEBHOOKS_SHOP": "from-environment"}), "webhooks"
    )
    assert webhooks.secret("shop") == "from-environment"
    assert webhooks.secret("other-shop") == "second"
    with pytest.raises(KeyError):
        webhooks.secret("third")


def test_a_file_of_secrets_that_others_may_read_or_that_is_no_toml_is_refused_without_showing_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "webhooks.toml"
    for text, mode, expected in (
        ('a = "hush"', 0o644, "others may read it; run: chmod 600"),
        ("a = hush", 0o600, "it is not valid TOML"),
        ("[hush]\na = 1", 0o600, 'expected lines of name = "secret"'),
    ):
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(SettingsError) as caught:
            read_secrets(file)
        assert expected in str(caught.value) and "hush" not in str(caught.value).replace("[...]", "")


def test_loading_the_catalog_does_not_import_what_only_running_needs() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom engine import Settings\nfrom engine.queue.registry import Registry\n"
        "from plugins.loader import load_catalog\nfrom plugins.services import House\n"
        "load_catalog(Registry(), House(Settings(home=Path('/nowhere'))))\n"
        "print([name for name in ('httpx', 'httpcore', 'pypdf', 'sqlalchemy', 'defusedxml') if name in sys.modules])\n"
    )
    root = Path(loader.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
