"""What a person does in a browser, by DevTools and WebDriver."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.waiting import until

SECONDS = 20.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--force-color-profile=srgb"),
)

EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of")
"""What the console says of each answer that is an error, whatever the page makes of it."""


class Browser:
    """Chromium with a profile in `folder`."""

    def __init__(self, folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        options.accept_insecure_certs = True
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        self._driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        self._log: Any = self._driver.get_log
        self._driver.set_script_timeout(SECONDS)
        self.downloads = folder

    def close(self) -> None:
        self._driver.quit()

    def begin(self, downloads: Path) -> None:
        downloads.mkdir()
        self.downloads = downloads
        self._driver.get("about:blank")
        self.complaints()
        self.screen(1280, 800)
        self.scheme("light")
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def complaints(self) -> list[str]:
        """What the console has said since the last time: broken scripts, and what the policy of the page forbids."""
        return [each["message"] for each in self._log("browser") if not EXPECTED.search(each["message"])]

    def cdp(self, command: str, **options: Any) -> Any:
        return self._driver.execute_cdp_cmd(command, options)

    def screen(self, width: int, height: int, mobile: bool = False) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def cut_off(self, is_so: bool) -> None:
        """From all servers."""
        self.cdp("Network.enable")
        self.cdp(
            "Network.emulateNetworkConditions", offline=is_so, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def scheme(self, name: str) -> None:
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open_unready(self, url: str) -> None:
        self._driver.get(url)

    def open(self, url: str) -> None:
        """And wait until the page has asked what it is about."""
        self.open_unready(url)
        self.until("document.querySelector('#model').textContent || document.querySelector('#alert').textContent")

    def js(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression}")

    def js_async(self, body: str) -> Any:
        return self._driver.execute_async_script(f"const done = arguments[0]; (async () => {{ {body} }})().then(done)")

    def until(self, expression: str) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (found := self.js(expression)):
            assert time.monotonic() < deadline, f"{expression}; the page says {self.text('#alert')!r}"
            time.sleep(0.02)
        return found

    def text(self, selector: str) -> str:
        return str(self.js(f"document.querySelector({selector!r}).textContent"))

    def drop(self, *files: Path) -> None:
        """From the file manager, on the middle of the page."""
        for kind in ("dragEnter", "dragOver", "drop"):
            data = {"items": [], "files": list(map(str, files)), "dragOperationsMask": 1}
            self.cdp("Input.dispatchDragEvent", type=kind, x=300, y=300, data=data)

    def choose(self, *files: Path) -> None:
        self._driver.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))

    def look_at(self, url: str, *photos: Path) -> None:
        """At the page, with these photos dropped on it, until the first one is answered."""
        self.open(url)
        self.drop(*photos)
        self.answered(photos[0].name)

    def answered(self, name: str = "") -> None:
        """Until the answer to the photo of this name is shown."""
        self.until(f"document.querySelector('main.answered') && document.title.startsWith({name!r})")

    def saved(self, name: str) -> None:
        """Until the page says that the photo of this name is."""
        self.until(f"document.querySelector('#kept').textContent.startsWith('Saved as Images/{name}')")

    def click(self, selector: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def press(self, *keys: str, shift: bool = False) -> None:
        """Where the focus is."""
        actions = ActionChains(self._driver, duration=0)
        (
            actions.key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT) if shift else actions.send_keys(*keys)
        ).perform()

    def drag(self, name: str, dx: int, dy: int) -> None:
        """A point, by pixels of the screen."""
        disc = self._driver.find_element(By.CSS_SELECTOR, f".point[data-name={name}] .disc")
        ActionChains(self._driver, duration=0).drag_and_drop_by_offset(disc, dx, dy).perform()

    def points(self) -> dict[str, tuple[float, float, str]]:
        """Those that the table says are there: x, y and state."""
        rows = self.js(
            "[...document.querySelectorAll('tbody tr')].map((row) => [row.dataset.name, "
            "...['.x', '.y'].map((each) => row.querySelector(each).textContent), "
            "row.querySelector('select').selectedOptions[0].text])"
        )
        return {name: (float(x), float(y), state) for name, x, y, state in rows if state != "absent"}

    def downloaded(self, name: str) -> Path:
        path = self.downloads / name
        until(path.is_file, said=lambda: f"{name} was not downloaded")
        return path
