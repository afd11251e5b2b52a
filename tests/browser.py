"""Debian's Chromium, driven by selenium, and what one who reads and types does in it: for tests, pictures and timings."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--force-color-profile=srgb",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MISSING = "no browser: apt-get install chromium chromium-driver"
#: Presses of the Tab key after which an element counts as one that cannot be reached.
MOST_TABS = 60


@contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[webdriver.Chrome]:
    """Run Chromium with a profile of its own, an empty folder.

    :raises FileNotFoundError: There is no Chromium or no driver.
    """
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        raise FileNotFoundError(MISSING)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options, Service(driver))
    try:
        yield running
    finally:
        running.quit()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    try:
        with chromium(tmp_path_factory.mktemp("chromium")) as driver:
            yield driver
    except FileNotFoundError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


class Reader:
    """One who sits in front of the browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def focused(self, selector: str) -> bool:
        """Tell whether what has the focus is one of these."""
        return self.driver.execute_script("return document.activeElement.matches(arguments[0])", selector)

    def wait(self, holds: Callable[[], object]):
        gone = (StaleElementReferenceException,)
        return WebDriverWait(self.driver, 30, poll_frequency=0.05, ignored_exceptions=gone).until(lambda _: holds())

    def command(self, name: str, **parameters: object):
        """Give a command of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def screen(self, width: int, height: int, *, scale: int = 1, touch: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=touch
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=touch)

    def media(self, scheme: str = "light", **features: str) -> None:
        given = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"} | {
            name.replace("_", "-"): value for name, value in features.items()
        }
        self.command(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in given.items()]
        )

    def network(self, *, offline: bool = False, latency: int = 0) -> None:
        self.command("Network.enable")
        limits = {"latency": latency, "downloadThroughput": -1, "uploadThroughput": -1}
        self.command("Network.emulateNetworkConditions", offline=offline, **limits)

    def press(self, *keys: str) -> None:
        """Press a key or type a text; what stands before the last is held down meanwhile."""
        chain = webdriver.ActionChains(self.driver)
        for modifier in keys[:-1]:
            chain.key_down(modifier)
        chain.send_keys(keys[-1])
        for modifier in keys[:-1]:
            chain.key_up(modifier)
        chain.perform()

    def tab_to(self, selector: str, *, backwards: bool = False) -> None:
        for _ in range(MOST_TABS):
            self.press(*((Keys.SHIFT,) if backwards else ()), Keys.TAB)
            if self.focused(selector):
                return
        raise AssertionError(f"{selector} is not reached by the Tab key")
