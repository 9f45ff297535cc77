"""What goes wrong is words on the page; and whoever sees it by ear, by keys, on a phone or in the dark can use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from pipeline.background.ports import free_port
from pipeline.gateway import running
from pipeline.gateway.files import Files
from pipeline.page.assets import HEADERS
from pipeline.settings import Replica, Settings
from tests.model_server.servers import Server
from tests.nobody import nobody
from tests.page.browser import Browser
from tests.page.conftest import Pages

pytestmark = pytest.mark.slow
CONTRAST = """
(() => {
  const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const light = (colours) => {
    pen.fillStyle = 'white';
    for (const each of colours) { pen.fillStyle = each; pen.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = (each) => each ? [...grounds(each.parentElement), getComputedStyle(each).backgroundColor] : ['white'];
  const written = (each) => [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  const texts = [...document.querySelectorAll('body *')].filter(written);
  return texts.filter((each) => each.checkVisibility() && !each.closest('svg, :disabled')).map((each) => {
    const [one, other] = [light(grounds(each)), light([...grounds(each), getComputedStyle(each).color])];
    return [(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), each.outerHTML.slice(0, 60)];
  }).filter(([contrast]) => contrast < 4.5);
})()
""".strip()
"""Texts of less contrast than WCAG 2.2 AA asks for (1.4.3)."""


def alert(browser: Browser) -> str:
    return str(browser.until("document.querySelector('#alert').textContent"))


def test_no_image(browser: Browser, page: Pages, photos: list[Path], tmp_path: Path) -> None:
    """A text, an empty file and half a photo are refused by name; the next photo is answered."""
    browser.open(page().url)
    for name, content in (("notes.txt", b"x"), ("empty.jpg", b""), ("broken.png", b"\x89PNG\r\n\x1a\n and no more")):
        (tmp_path / name).write_bytes(content)
        browser.drop(tmp_path / name)
        browser.until(f"document.querySelector('#alert').textContent.startsWith({name!r})")
        assert alert(browser) == f"{name}: not an image that this browser can read."
    browser.drop(photos[0])
    browser.answered(photos[0].name)
    assert browser.text("#alert") == ""


def test_too_large(browser: Browser, page: Pages, tmp_path: Path) -> None:
    """Is said before it is read."""
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(49 << 20)
    browser.open(page().url)
    browser.choose(tmp_path / "large.jpg")
    assert alert(browser) == "large.jpg: 49 MB; at most 48 MB are accepted."


def test_no_model_server(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """Is said, with what starts one, and the photo can be asked about again."""
    browser.open(page(target=nobody()).url)
    assert "`make serve`" in alert(browser)
    browser.drop(photos[0])
    browser.until("document.title.startsWith('drawn') && document.querySelector('#alert').textContent")
    assert alert(browser).startswith("No model server answers (502).")
    assert browser.js("document.querySelector('#again').checkVisibility()")


def test_the_page_has_lost_its_server(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """Is said, too."""
    browser.open(page().url)
    browser.cut_off(True)
    browser.drop(photos[0])
    assert "Is `make page`, or the gateway, still running?" in alert(browser)
    browser.complaints()  # of a connection that was refused
    browser.cut_off(False)
    browser.click("#again")
    browser.answered(photos[0].name)


@pytest.fixture
def door(models: Server, tmp_path: Path) -> Iterator[tuple[str, Files]]:
    """The gateway before that model server: its URL and its files."""
    pytest.importorskip("envoy", reason="`make test` installs it, on Python 3.10 or newer")
    settings = replace(
        Settings.from_environment(),
        gateway=tmp_path / "gateway",
        gateway_address=("127.0.0.1", free_port()),
        replicas=(Replica("127.0.0.1", models.grpc_port, models.rest_port),),
    )
    try:
        yield running.serve(settings).url, Files(settings.gateway)
    finally:
        running.stop(settings)


def give(browser: Browser, token: str) -> None:
    browser.until("document.querySelector('#token').open")
    browser.press(token, Keys.ENTER)


def test_the_gateway_asks_for_a_token(browser: Browser, door: tuple[str, Files], photos: list[Path]) -> None:
    """The page loads without one, and with its headers; a wrong one is asked for again, none at all is 401 in words."""
    url, files = door
    browser.open_unready(f"{url}/")
    browser.until("document.querySelector('#token').open")
    headers: Any = browser.js_async(
        "const response = await fetch('/'); return Object.fromEntries([...response.headers])"
    )
    assert HEADERS.items() <= {name: headers[name.lower()] for name in HEADERS}.items()
    browser.press(Keys.ESCAPE)
    assert alert(browser).startswith("The server asks for a token (401).")
    browser.click("#again")
    give(browser, "nonsense")
    browser.until("document.querySelector('#ask').textContent.startsWith('This token is not accepted')")
    give(browser, files.token("me", 1))
    browser.until("document.querySelector('#model').textContent")
    browser.drop(photos[0])
    browser.answered(photos[0].name)
    browser.click("[data-do=accept]")
    assert browser.until("document.querySelector('#kept').textContent") == "1 accepted for the download"


def test_each_control_has_a_name(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """As a screen reader says it; the table has headers, and the photo says which keys there are."""
    browser.look_at(page().url, photos[0])
    nodes = [each for each in browser.cdp("Accessibility.getFullAXTree")["nodes"] if not each["ignored"]]
    roles = {each["nodeId"]: each["role"]["value"] for each in nodes}
    names = [(each["role"]["value"], each.get("name", {}).get("value", "")) for each in nodes]
    focusable = [
        name
        for each, name in zip(nodes, names)
        if any(one["name"] == "focusable" and one["value"]["value"] for one in each.get("properties", []))
        and name[0] != "RootWebArea"
    ]
    assert len(focusable) > 50
    assert [role for role, name in focusable if not name] == []
    assert ("combobox", "State of neckline left") in focusable
    assert ("application", "Photo with points") in focusable
    assert {"columnheader", "rowheader", "status", "alert", "table", "navigation"} <= set(roles.values())


PLACE = """(({ activeElement: at }) => {
    const place = at.closest('nav, .row, table, #keep, details');
    const name = place?.ariaLabel ?? place?.querySelector('caption, label, summary, button').firstChild.textContent;
    return name?.trim() ?? '';
})(document)"""


def test_tab_goes_through_it_in_order(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """From the photo on: other photos, what is shown, the table, corrections, saving, downloads."""
    browser.look_at(page().url, photos[0], photos[1])
    rows = browser.js("document.querySelectorAll('tbody tr').length")
    places = []
    for _ in range(2 * rows + 16):
        browser.press(Keys.TAB)
        places.append(browser.js(PLACE))
    found = [place for number, place in enumerate(places) if place and place not in places[:number]]
    order = ["Photos", "Category", "Points of this photo", "Correct", "Save", "Download", "More photos", "Keys"]
    assert found == order
    assert browser.js("[...document.querySelectorAll('[tabindex]')].every((each) => each.tabIndex === 0)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(browser: Browser, page: Pages, photos: list[Path], scheme: str) -> None:
    """By contrast, before the first photo, with a point chosen, and where something went wrong."""
    browser.scheme(scheme)
    browser.open(page().url)
    assert browser.js(CONTRAST) == []
    browser.drop(photos[0])
    browser.answered()
    browser.press(".")
    browser.click("#keys summary")
    assert browser.js(CONTRAST) == []
    browser.drop(Path(__file__))
    alert(browser)
    assert browser.js(CONTRAST) == []


def test_a_phone_shows_all_of_it(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """Nothing is wider than the screen, and what is pressed most is as high as a finger."""
    browser.screen(360, 740, mobile=True)
    browser.open(page().url)
    assert browser.js("document.documentElement.scrollWidth") == 360
    browser.drop(photos[0])
    browser.answered()
    assert browser.js("document.documentElement.scrollWidth") == 360
    assert browser.js("document.querySelector('.photo').getBoundingClientRect().right") <= 360
    heights = browser.js(
        "['next', 'undo', 'mirror', 'accept'].map((each) => "
        "document.querySelector(`#side [data-do=${each}]`).getBoundingClientRect().height)"
    )
    assert min(heights) >= 44
