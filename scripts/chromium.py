"""Drives a headless Chromium over the pipe of its DevTools protocol, with nothing but the standard library."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome"]
INSTALL = "install Chromium (`apt install chromium`), or name a browser in CHROMIUM"
PATIENCE_S = 120
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--force-color-profile=srgb",
]


class BrowserError(Exception):
    """The browser did not do what it was asked for."""


class BrowserGone(BrowserError):
    """The browser has ended, or says nothing any more."""


def find():
    """The program that CHROMIUM names, or the first of NAMES that is there; None without one."""
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else NAMES
    return next((path for path in map(shutil.which, candidates) if path), None)


def above_9(end):
    """The same end of a pipe, out of the way of 3 and 4, where the browser's ends are to be put."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved


class Browser:
    """A browser with a profile of its own; both are gone when the `with` block ends."""

    def __init__(self, program):
        self.program = program
        self.number = 0
        self.answers = {}
        self.events = []
        self.bytes = b""
        self.tabs = []

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="page_check-")
        theirs_in, self.to = map(above_9, os.pipe())
        self.back, theirs_out = map(above_9, os.pipe())

        def onto_3_and_4():
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self.child = subprocess.Popen(
            [self.program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=onto_3_and_4,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_):
        # The group: a wrapper script may have started the browser, and the browser starts others.
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        os.close(self.to)
        os.close(self.back)
        # Helpers that are still dying write a last time.
        for _ in range(20):
            shutil.rmtree(self.profile, ignore_errors=True)
            if not os.path.exists(self.profile):
                break
            time.sleep(0.1)

    def call(self, method, parameters=None, session=None):
        """The result of a method. What happens meanwhile is added to `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        try:
            rest = json.dumps(message).encode() + b"\0"
            while rest:
                rest = rest[os.write(self.to, rest) :]
        except BrokenPipeError:
            raise BrowserGone(f"{self.program} has ended before {method}") from None
        deadline = time.monotonic() + PATIENCE_S
        while self.number not in self.answers:
            self.receive(deadline, method)
        answer = self.answers.pop(self.number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def wait_for(self, method, session, since):
        """Waits until an event `method` is among the events from number `since` on."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(e["method"] == method and e.get("sessionId") == session for e in self.events[since:]):
            self.receive(deadline, method)

    def close_tabs(self):
        while self.tabs:
            self.call("Target.closeTarget", {"targetId": self.tabs.pop()})

    def receive(self, deadline, what):
        """Takes in the next bytes, and the messages that they complete."""
        ready, _, _ = select.select([self.back], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise BrowserGone(f"{self.program} said nothing of {what} for {PATIENCE_S} s")
        got = os.read(self.back, 1 << 16)
        if not got:
            raise BrowserGone(f"{self.program} has ended before {what}; is it a browser that runs here?")
        *messages, self.bytes = (self.bytes + got).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)


class Tab:
    """A page with a storage of its own."""

    def __init__(self, browser, scripts=True, context=None):
        self.browser = browser
        self.context = context or browser.call("Target.createBrowserContext")["browserContextId"]
        created = browser.call("Target.createTarget", {"url": "about:blank", "browserContextId": self.context})
        browser.tabs.append(created["targetId"])
        attached = browser.call("Target.attachToTarget", {"targetId": created["targetId"], "flatten": True})
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", {"value": True})

    def call(self, method, parameters=None):
        return self.browser.call(method, parameters, self.session)

    def open(self, url):
        since = len(self.browser.events)
        gone = self.call("Page.navigate", {"url": url}).get("errorText")
        if gone:
            raise BrowserError(f"{url}: {gone}")
        self.browser.wait_for("Page.loadEventFired", self.session, since)

    def beside(self, url):
        """Another page of the same storage, with `url`."""
        other = Tab(self.browser, context=self.context)
        other.open(url)
        return other

    def evaluate(self, expression):
        """The value of a JavaScript expression, or of the promise that it is."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            raise BrowserError(thrown.get("exception", {}).get("description") or thrown["text"])
        return answer["result"].get("value")

    def size(self, width, height=900):
        sides = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", sides)

    def media(self, medium="", scheme="light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", {"media": medium, "features": features})

    def type(self, text):
        """Puts text where the focus is, as a keyboard would."""
        self.call("Input.insertText", {"text": text})

    def press(self, key):
        for kind in ["rawKeyDown", "keyUp"]:
            code = {"Backspace": 8}[key]
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code})

    def pdf(self):
        printed = self.call("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
        return base64.b64decode(printed["data"])

    def screenshot(self, file):
        """The whole page, up to the height that the browser can paint."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        asked = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        Path(file).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", asked)["data"]))
