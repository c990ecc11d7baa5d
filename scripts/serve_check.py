"""Uses the page of `maclip serve` as a person does: drops clips on it, and looks at the answers.

    python3 scripts/serve_check.py ADDRESS FOLDER CLIP VIDEO [--screenshots FOLDER]

FOLDER holds a folder of clips for each class, two at least. CLIP is asked as a whole, VIDEO in windows. The page must
show all classes, their frames, an answer with an alignment, and a timeline, and must fit into narrow and wide windows.
Exits with 0 where it does, 1 with a line for each fault, 77 where no browser is there.
"""

import argparse
import re
import sys
import time
from pathlib import Path

from chromium import INSTALL, Browser, BrowserError, Tab, find

PATIENCE_S = 90
WIDTHS = [400, 1400]
# What can be removed while a tab asks for it: a query that is cancelled, and the picture of an example.
REMOVABLE = re.compile(r"/api/(queries/\d+|clips/\d+/frames\.jpg)$")


class Fault(Exception):
    """The page does not do what it is there for."""


def until(tab, condition, what):
    """Waits until a JavaScript condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not tab.evaluate(f"Boolean({condition})"):
        if time.monotonic() > deadline:
            shown = tab.evaluate("document.querySelector('main').innerText.slice(0, 1500)")
            raise Fault(f"{what} did not come in {PATIENCE_S} s; the page shows:\n{shown}")
        time.sleep(0.1)


def drop(tab, selector, paths):
    """Drops files or folders onto an element, as the file manager does."""
    place = tab.evaluate(
        f"(() => {{ const area = document.querySelector({selector!r}); area.scrollIntoView({{block: 'center'}});"
        " const box = area.getBoundingClientRect();"
        " return [box.left + box.width / 2, box.top + Math.min(box.height / 2, 20)]; })()"
    )
    data = {"items": [], "files": [str(Path(path).resolve()) for path in paths], "dragOperationsMask": 1}
    for kind in ["dragEnter", "dragOver", "drop"]:
        tab.call("Input.dispatchDragEvent", {"type": kind, "x": place[0], "y": place[1], "data": data})


def fits(tab, width):
    """Whether nothing is wider than the window."""
    tab.size(width)
    wide = tab.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        raise Fault(f"at {width} px the page is {wide} px wide")


def answered(entry):
    """Whether what the browser logs is an answer of the server that the page tells as one."""
    refused = "status of 415" in entry["text"]
    gone = "status of 404" in entry["text"] and REMOVABLE.search(entry.get("url", ""))
    return refused or bool(gone)


def check(tab, arguments):
    tab.open(arguments.address)
    classes = sorted(path for path in Path(arguments.folder).iterdir() if path.is_dir())
    clips = {folder.name: sorted(folder.iterdir()) for folder in classes}

    # The first class by its name and clips, the others as folders.
    first = classes[0].name
    tab.evaluate("document.getElementById('name').focus()")
    tab.type(first)
    drop(tab, "#new", clips[first])
    until(tab, "document.querySelectorAll('.card').length === 1", "the first class")
    drop(tab, "#new", classes[1:])
    until(tab, f"document.querySelectorAll('.card').length === {len(classes)}", "a class for each folder")
    total = sum(map(len, clips.values()))
    tab.evaluate("document.querySelectorAll('.card img').forEach(image => { image.loading = 'eager' })")
    loaded = "[...document.querySelectorAll('.card img')].filter(image => image.naturalWidth).length"
    until(tab, f"{loaded} === {total}", "the frames of all examples")
    until(tab, "!document.getElementById('trust').hidden", "what the examples say about the answers")

    # What is no video is refused in words, and the page stays.
    drop(tab, "#query", [__file__])
    refusal = "document.querySelector('#answers .problem')?.textContent.includes('no video by its name')"
    until(tab, refusal, "the refusal")

    drop(tab, "#query", [arguments.clip])
    until(tab, "document.querySelectorAll('#answers .likely').length === 1", "the answer")
    seen = tab.evaluate(
        "({names: [...document.querySelectorAll('#answers .likely dt')].map(each => each.textContent).sort(),"
        " images: document.querySelectorAll('#answers .clips svg.strip use').length,"
        " matrix: document.querySelectorAll('#answers .matrices figure > svg').length})"
    )
    if seen != {"names": sorted(clips), "images": 2, "matrix": 1}:
        raise Fault(f"the answer shows {seen}")

    tab.evaluate("document.getElementById('long').click()")
    drop(tab, "#query", [arguments.video])
    until(tab, "document.querySelectorAll('#answers .reel').length === 1", "the timeline")
    if not tab.evaluate("document.querySelector('#answers .reel').children.length >= 1"):
        raise Fault("the timeline is empty")

    for width in WIDTHS:
        fits(tab, width)
        if arguments.screenshots:
            tab.screenshot(Path(arguments.screenshots) / f"serve-{width}.png")

    # An example that is removed is gone, and so is its class with the last one.
    before = tab.evaluate("document.querySelectorAll('.card li').length")
    tab.evaluate("(() => { const first = document.querySelector('.card li button'); first.focus(); first.click(); })()")
    until(tab, f"document.querySelectorAll('.card li').length === {before - 1}", "the page without the example")
    # Who used the keyboard goes on where they were.
    if not tab.evaluate("document.activeElement.closest('.card') !== null"):
        raise Fault("the focus is lost when an example is removed")

    # A query can be cancelled, and its card goes.
    answers = tab.evaluate("document.querySelectorAll('#answers article').length")
    tab.evaluate("document.getElementById('stride').value = '0.04'")
    drop(tab, "#query", [arguments.video] * 3)
    until(tab, "document.querySelectorAll('#answers article button').length", "a button to cancel a query")
    tab.evaluate("document.querySelector('#answers article button').click()")
    until(tab, "!document.querySelector('#answers progress')", "an end of all queries")
    if not answers <= tab.evaluate("document.querySelectorAll('#answers article').length") <= answers + 3:
        raise Fault("a query is gone, or is there twice")

    # After a restart of the server, numbers mean something else.
    tab.evaluate("numbered(line('lost.mp4'), 1e9); instance = 'before'; refresh()")
    until(tab, "document.querySelector('#answers').textContent.includes('lost.mp4: the server was restarted')", "why")

    # Every tab works, though a browser opens few connections to a server.
    others = [tab.beside(arguments.address) for _ in range(7)]
    for number, other in enumerate(others):
        until(other, f"document.querySelectorAll('.card').length === {len(classes)}", f"the page in tab {number + 2}")
    tab.evaluate("document.querySelector('.card button').click()")
    until(others[-1], f"document.querySelectorAll('.card').length === {len(classes) - 1}", "the change in all tabs")


def main():
    parser = argparse.ArgumentParser()
    for name in ["address", "folder", "clip", "video"]:
        parser.add_argument(name)
    parser.add_argument("--screenshots")
    arguments = parser.parse_args()
    program = find()
    if program is None:
        print(f"skipped: no browser; {INSTALL}")
        return 77
    try:
        with Browser(program) as browser:
            tab = Tab(browser)
            check(tab, arguments)
            logged = [event["params"]["entry"] for event in browser.events if event["method"] == "Log.entryAdded"]
            errors = [f"{entry['text']} {entry.get('url', '')}" for entry in logged if not answered(entry)]
            errors += [event["params"] for event in browser.events if event["method"] == "Runtime.exceptionThrown"]
            if errors:
                raise Fault(f"the browser complains: {errors}")
    except (Fault, BrowserError) as fault:
        print(fault)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
