"""Settings: flags before environment before file, every refusal one line, no secret in any of them."""

import pytest

from actors.config import Origin, load_settings, mask_url
from actors.errors import Refused

SECRET = "CANARY-secret"


@pytest.fixture
def load(tmp_path):
    def load(flags=None, environ=None, file=None):
        if file is not None:
            (tmp_path / "watchkeeper.toml").write_text(file)
        return load_settings({"home": str(tmp_path), **(flags or {})}, environ or {})

    return load


def test_without_anything_the_defaults_hold(load, tmp_path):
    settings = load()
    assert [str(a) for a in (settings.http, settings.engines, settings.emergency)] == [
        "127.0.0.1:8700",
        "127.0.0.1:8701",
        "127.0.0.1:8702",
    ]
    assert settings.database_url is None
    assert settings.keys == tmp_path / "keys"


def test_a_flag_wins_over_the_environment_and_that_over_the_file(load):
    file = 'http = "127.0.0.1:1"\nengines = "127.0.0.1:2"\nemergency = "127.0.0.1:3"\n'
    environ = {"WATCHKEEPER_HTTP": "127.0.0.1:4", "WATCHKEEPER_ENGINES": "127.0.0.1:5"}
    settings = load({"http": "127.0.0.1:6"}, environ, file)
    assert [a.port for a in (settings.http, settings.engines, settings.emergency)] == [6, 5, 3]
    origins = {s.name: s.origin for s in settings.effective()}
    assert [origins[n] for n in ("http", "engines", "emergency", "keys")] == list(Origin)


def test_the_emergency_page_can_be_switched_off(load):
    assert load({"emergency": "off"}).emergency is None


@pytest.mark.parametrize("text", ["8700", "host:", ":8700", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1:８７００"])
def test_an_address_that_is_none_is_refused(load, text):
    with pytest.raises(Refused, match="WATCHKEEPER_HTTP must be an address"):
        load({"http": text})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "desk.example", "[::]"])
def test_an_open_address_without_tls_is_refused_unless_asked_for(load, host):
    with pytest.raises(Refused, match="WATCHKEEPER_ENGINES_TLS_CERT"):
        load({"engines": f"{host}:8701"})
    assert load({"engines": f"{host}:8701"}, {"WATCHKEEPER_PLAINTEXT": "yes"}).engines.port == 8701


@pytest.mark.parametrize("listener", ["http", "engines", "emergency"])
def test_every_listener_is_behind_tls_where_others_could_reach_it(load, listener):
    with pytest.raises(Refused, match=f"WATCHKEEPER_{listener.upper()}_TLS_CERT"):
        load({listener: "192.0.2.1:8700"})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_loopback_needs_no_tls(load, host):
    assert load({"http": f"{host}:8700"}).http.is_loopback


def test_tls_needs_both_files_and_both_have_to_be_there(load, tmp_path):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    with pytest.raises(Refused, match="belong together"):
        load(environ={"WATCHKEEPER_HTTP_TLS_CERT": str(certificate)})
    both = {"WATCHKEEPER_HTTP_TLS_CERT": str(certificate), "WATCHKEEPER_HTTP_TLS_KEY": str(key)}
    with pytest.raises(Refused, match="no file"):
        load(environ=both)
    certificate.touch()
    key.touch()
    assert load({"http": "0.0.0.0:8700"}, both).http_tls is not None


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{SECRET}@h/d",
        f"u:{SECRET}@h/d",
        "postgresql://",
        f"postgresql://u:{SECRET}@h:port/d",
        f"postgresql://u:{SECRET}@[::1/d",
    ],
)
def test_a_database_url_that_is_none_is_refused_without_repeating_it(load, url):
    with pytest.raises(Refused) as refused:
        load(environ={"WATCHKEEPER_DATABASE_URL": url})
    assert "WATCHKEEPER_DATABASE_URL" in refused.value.message
    assert SECRET not in refused.value.message


def test_secrets_are_masked_wherever_settings_are_shown(load):
    environ = {
        "WATCHKEEPER_DATABASE_URL": f"postgresql://u:{SECRET}@h/d?password={SECRET}",
        "WATCHKEEPER_ADMIN_PASSWORD": SECRET,
    }
    settings = load(environ=environ)
    shown = "".join(f"{s.name}={s.value}" for s in settings.effective()) + repr(settings)
    assert SECRET not in shown
    assert "postgresql://u:***@h/d" in shown


def test_a_url_that_cannot_be_taken_apart_is_masked_whole():
    assert mask_url(f"postgresql://u:{SECRET}@[::1") == "***"


@pytest.mark.parametrize(
    "file, words",
    [
        ("http = ", "not valid TOML"),
        ("hpt = 'x'", "unknown setting 'hpt'"),
        ("http = 8700", "must be a string"),
        ("home = '/x'", "unknown"),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_name(load, file, words):
    with pytest.raises(Refused, match=words):
        load(file=file)


@pytest.mark.parametrize("text", ["desk.example", "ftp://desk.example", "https://desk.example/path"])
def test_an_origin_that_is_none_is_refused(load, text):
    with pytest.raises(Refused, match="WATCHKEEPER_ORIGINS"):
        load(environ={"WATCHKEEPER_ORIGINS": text})


def test_origins_are_compared_as_browsers_write_them(load):
    settings = load(environ={"WATCHKEEPER_ORIGINS": "https://Desk.Example/ , http://127.0.0.1:5173"})
    assert settings.allowed_origins == ("https://desk.example", "http://127.0.0.1:5173")


@pytest.mark.parametrize(("value", "days"), [(None, 30), ("0", 0), ("90", 90)])
def test_how_often_a_drill_is_due_is_a_setting(tmp_path, value, days):
    environ = {"WATCHKEEPER_HOME": str(tmp_path), **({"WATCHKEEPER_DRILL_DAYS": value} if value else {})}
    assert load_settings({}, environ).drill_days == days


@pytest.mark.parametrize("value", ["-1", "monthly", "3651", "1.5"])
def test_a_drill_period_that_is_no_number_of_days_is_refused(tmp_path, value):
    with pytest.raises(Refused, match="WATCHKEEPER_DRILL_DAYS"):
        load_settings({}, {"WATCHKEEPER_HOME": str(tmp_path), "WATCHKEEPER_DRILL_DAYS": value})
