"""The tables and examples of the documentation are those of the code."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from actors.alarms.watch import LAST_WORDS
from actors.config import FILE_NAME
from actors.emergency.doors import CODE_FILE
from actors.emergency.local_socket import SOCKET_FILE
from actors.engine.config import read_config
from actors.fleet.enrolled import ENGINES_FILE
from actors.platform.opening import JOURNAL_FILE, LOCK_FILE
from actors.web.auditing import CHECKPOINT
from store.left_stops import FOLDER
from wire.bundle import bundle, frame_name
from wire.envelope import read_frame
from wire.lanes import ENGINE_DOWN, ENGINE_UP
from wire.sdk.platform import read_credential
from wire.ui import UI_DOWN, UI_UP

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["configuration.md", "rest.md", "engines.md", "protocol.md"])
def test_the_tables_of_a_page_are_current(tables, page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert text == tables.redrawn(text), "run: python tools/tables.py"


def test_every_table_that_is_drawn_has_its_place(tables):
    named = re.findall(r"<!-- table: ([a-z-]+) -->", "".join((DOCS / page).read_text() for page in tables.PAGES))
    assert sorted(named) == sorted(tables.TABLES)


def test_every_setting_is_described(tables):
    assert set(tables.SETTINGS) == set(tables.NAMES)


def test_every_file_of_the_home_folder_is_in_its_table():
    table = (DOCS / "configuration.md").read_text().split("## The home folder")[1].split("\n## ")[0]
    files = [JOURNAL_FILE, LOCK_FILE, CHECKPOINT, ENGINES_FILE, LAST_WORDS, CODE_FILE, SOCKET_FILE, FILE_NAME]
    for name in (*files, f"{FOLDER}/", "keys", "pg/", "sessions/", "engines/NAME/", "tokens/", "demo/"):
        assert f"`{name}`" in table, name


def test_every_message_of_the_links_is_on_the_page():
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    assert [name for name in {**ENGINE_UP, **ENGINE_DOWN, **UI_UP, **UI_DOWN} if f"**`{name}`**" not in page] == []


FRAMES = re.findall(r"```json\n(.*?)```", (DOCS / "protocol.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", FRAMES, ids=lambda text: text.split('"')[3])
def test_every_frame_in_the_guide_is_one(text):
    plain = json.loads(text)
    kind, link = plain["type"], "engine" if "engine_id" in plain else "ui"
    schema = {"$ref": f"#/$defs/{frame_name(link, kind)}", "$defs": bundle()["$defs"]}
    Draft202012Validator(schema).validate(plain)
    if link == "engine":
        known = ENGINE_UP if kind in ENGINE_UP else ENGINE_DOWN
        frame = read_frame(text.replace("\n", ""), known)
        assert frame.error is None, frame.error


def test_the_guide_shows_enough_frames():
    assert len(FRAMES) > 10


@pytest.mark.parametrize("command", ["engine", "broker-sim"])
def test_every_argument_of_a_program_is_described(command):
    run = subprocess.run(
        [sys.executable, "-m", "actors", command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    arguments = set(re.findall(r"--[a-z-]+", run.stdout)) - {"--help"}
    assert arguments
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert [a for a in arguments if f"`{a} " not in page] == []


def block(page, language, beginning=""):
    found = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(text for text in found if text.lstrip().startswith(beginning))


def test_the_engine_of_the_page_is_understood(tmp_path):
    (tmp_path / "alpha.toml").write_text(block("engines.md", "toml"))
    credential = tmp_path / "alpha.json"
    credential.touch(mode=0o600)
    credential.write_text(block("engines.md", "json").replace("base64 of 32 bytes, X25519", "A" * 43 + "="))
    config = read_config(tmp_path / "alpha.toml", tmp_path / "home")
    assert config.credential_file == credential
    assert config.state_folder == tmp_path / "home" / "engines" / "alpha"
    assert (config.risk.limits.max_daily_loss, config.strategies[0].symbols) == (3_000_000, ("005930",))
    assert read_credential(config.credential_file).link_url == "ws://127.0.0.1:8701/ws/engine/alpha"


def test_the_settings_file_of_the_page_is_understood(tmp_path):
    from actors.config import Origin, load_settings

    (tmp_path / "watchkeeper.toml").write_text(block("configuration.md", "toml"))
    settings = load_settings({"home": str(tmp_path)}, {})
    assert settings.emergency is None
    assert (str(settings.http), settings.origins["http"]) == ("127.0.0.1:9700", Origin.FILE)


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *DOCS.glob("*.md")])
)
def test_every_link_and_picture_of_a_page_leads_somewhere(page):
    path = ROOT / page
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [t for t in targets if not (path.parent / t).exists()] == []
