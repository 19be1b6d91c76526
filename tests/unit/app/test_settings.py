"""Settings: each is documented, with its default; what cannot be used is said by name."""

import json
import re
from pathlib import Path

import pytest

from headrace.app.settings import PREFIX, Settings, settings_from
from headrace.schemas.errors import SettingsError

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `HEADRACE_([A-Z_]+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)

ROWS = {name.lower(): (default, said) for name, default, said in ROW.findall(PAGE.read_text())}


def test_each_setting_is_documented_and_nothing_else() -> None:
    assert sorted(ROWS) == sorted(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_documented_defaults_are_the_defaults(name: str) -> None:
    shown = ROWS[name][0]
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if default is None:
        assert not shown.startswith("`")
    elif isinstance(default, Path):
        assert Path(shown.strip("`")).expanduser() == default
    elif isinstance(default, str):
        assert shown == f"`{default}`"
    else:
        assert json.loads(shown.strip("`")) == json.loads(json.dumps(default))


def test_variables_are_read_by_name() -> None:
    found = settings_from({"HEADRACE_COMMIT_SCORE_MS": "5", "PATH": "/bin"})
    assert found.commit_ms("score") == 5
    assert found.commit_ms("learn") == 100


def test_changes_go_before_variables() -> None:
    assert settings_from({"HEADRACE_HTTP_PORT": "80"}, {"http_port": 81}).http_port == 81


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEADRACE_HTTP_PORT", "70000", "HEADRACE_HTTP_PORT is '70000'"),
        ("HEADRACE_LOG_FORMAT", "xml", "HEADRACE_LOG_FORMAT is 'xml'"),
        ("HEADRACE_ALLOW", "mymodels", "is read as JSON"),
        ("HEADRACE_KAFKA_BROKER", "k:1", "Did you mean HEADRACE_KAFKA_BROKERS?"),
        ("HEADRACE_XYZZY", "1", "docs/settings.md lists all"),
    ],
)
def test_what_cannot_be_used_is_said_by_name(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({variable: value})
    assert said in str(caught.value)


def test_a_key_is_never_shown() -> None:
    assert PREFIX == "HEADRACE_"
    key = "0123456789abcdef0123456789abcdef"
    found = settings_from({"HEADRACE_SIGNING_KEY": key})
    assert key not in repr(found)
