from __future__ import annotations

import json

import pytest
from jinja2 import UndefinedError

from tabgrid_server.pages.render import environment, for_script


@pytest.mark.parametrize("text", ["</script><script>", "<!--", "]]>", "a&b", "\u2028", '"\\'])
def test_data_for_scripts_cannot_end_its_element(text: str) -> None:
    made = str(for_script({"text": text}))
    assert not set(made) & set("<>&\u2028")
    assert json.loads(made) == {"text": text}


def test_a_name_that_a_template_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_text_is_escaped() -> None:
    assert environment().from_string("{{ x }}").render(x="<i>") == "&lt;i&gt;"
