#!/usr/bin/env python3
"""Opens the page of a report in a headless Chromium and checks what a reader would see.

    python3 scripts/page_check.py PAGE [--screenshots DIR] [--without CHECK]...

Checks: layout (nothing cut, no text on another), tables (the first column of those that scroll), colours (one for each variant),
contents, contrast, theme, sort, filter, print, scripts (that the page does without), access, and quiet (no message on the console,
nothing loaded from outside). One line for each; exit status 1 if one failed, 77 without a browser (1 with
MACLIP_REQUIRE=1). `--without` leaves a check out, such as `sort` of a page that has no table. The variable CHROMIUM names the
browser.
"""

import argparse
import json
import re
import sys
import zlib
from pathlib import Path

from chromium import INSTALL, Browser, BrowserError, BrowserGone, Tab, find
from skip import skip

WIDTHS = [400, 900, 1400]
SCHEMES = ["light", "dark"]
# Pixels, of the text of a figure on the narrowest page.
SMALLEST_TEXT = 7.5
# Pixels of an A4 sheet between the browser's margins.
SHEET = 717
# Share of a printed sheet that must be filled, on all but the last.
LEAST_FILLED = 0.6
SHOWN_PROBLEMS = 8
FILTER_PATIENCE_MS = 1000
PROBE = Path(__file__).with_name("page_probe.js").read_text(encoding="utf-8").strip()


class Page:
    """The page under test, which every check opens anew."""

    def __init__(self, browser, url):
        self.browser = browser
        self.url = url

    def opened(self, width=1400, scheme="light", scripts=True, unfold=True):
        tab = Tab(self.browser, scripts)
        tab.size(width)
        tab.media(scheme=scheme)
        tab.open(self.url)
        if unfold:
            ask(tab, "unfold()")
        return tab


def ask(tab, call):
    return tab.evaluate(f"{PROBE}.{call}")


def asked(tab, call):
    answer = ask(tab, call)
    return answer["seen"], answer["problems"]


def layout(page):
    seen, problems = "", []
    for width in WIDTHS:
        smallest = SMALLEST_TEXT if width == min(WIDTHS) else 0
        seen, found = asked(page.opened(width), f"layout({smallest})")
        problems += [f"at {width} px: {problem}" for problem in found]
    return seen, problems


def tables(page):
    seen, problems = "", []
    # The narrowest window has most that scroll.
    for width in sorted(WIDTHS, reverse=True):
        seen, found = asked(page.opened(width), "scrolled()")
        problems += [f"at {width} px: {problem}" for problem in found]
    return seen, problems


def colours(page):
    return asked(page.opened(), "colours()")


def contents(page):
    seen, problems = asked(page.opened(), "links()")
    return seen, problems + ask(page.opened(unfold=False), "follow()")


def contrast(page):
    seen, problems = "", []
    for scheme in SCHEMES:
        seen, found = asked(page.opened(scheme=scheme), "contrast()")
        problems += [f"{scheme}: {problem}" for problem in found]
    return seen, problems


def theme(page):
    light, dark = (ask(page.opened(scheme=scheme), "ground()") for scheme in SCHEMES)
    problems = [f"the ground is {light} in light and in dark"] if light == dark else []
    seen, found = asked(page.opened(), "theme()")
    return seen, problems + found


def sort(page):
    return asked(page.opened(), "sort()")


def filter_rows(page):
    tab = page.opened()
    everything = ask(tab, "shown()")

    def typed(text):
        """Which rows are seen after `text` was typed; None where it cannot be."""
        before = ask(tab, "shown()")
        if not ask(tab, "search()"):
            return None
        tab.type(text) if text else tab.press("Backspace")
        return ask(tab, f"changed({json.dumps(before)}, {FILTER_PATIENCE_MS})")

    none = typed("zzqxjk")
    if none is None:
        return "", ["no input[type=search] is seen"]
    governed = [row for row, (was, now) in enumerate(zip(everything, none)) if was and not now]
    if not governed:
        return "", ["text that no row holds hides no row"]
    problems = []
    if not ask(tab, 'says("zzqxjk")'):
        problems.append("the page is empty and does not say why")
    told, results = ask(tab, "told()"), ask(tab, "results()")
    if not re.search(r"\d", told):
        problems.append("the page does not say how much it hides")
    counted = re.search(r"of (\d+) variants?", told)
    if results and (not counted or int(counted[1]) != results):
        problems.append(f'the page has {results} rows of results and says "{told}"')
    problems += [f"{name} is left where nothing is found" for name in ask(tab, "seenOf('.legend, .part')")]
    if typed("") != everything:
        problems.append("clearing the field does not bring all rows back")
    if ask(tab, "told()"):
        problems.append("the page says that it hides something when the field is empty")
    words = ask(tab, "words()")
    word = next((words[row] for row in reversed(governed) if words[row]), None)
    if word is None:
        return "", [*problems, "no row begins with a word"]
    seen, matching = typed(word), ask(tab, f"matching({json.dumps(word)})")
    for row in governed:
        if seen[row] and not matching[row]:
            problems.append(f'"{word}" leaves row {row + 1}, which does not hold it')
        if not seen[row] and word in words[row]:
            problems.append(f'"{word}" hides row {row + 1}, which holds it')
    return f"{len(governed)} rows", problems


def print_out(page):
    tab = page.opened(unfold=False)
    sheets = sheets_of(tab.pdf())
    count = len(sheets)
    problems = [f"sheet {number + 1} of {count} is empty" for number, (full, _) in enumerate(sheets) if not full]
    for number, (_, share) in enumerate(sheets[:-1]):
        if share < LEAST_FILLED:
            problems.append(f"sheet {number + 1} of {count} ends at {100 * share:.0f} % of its height")
    if not sheets:
        problems.append("the PDF has no sheet")
    tab.media("print")
    problems += [f"{name} is in a fold and not printed" for name in ask(tab, "kept()")]
    tab.size(SHEET)
    problems += ask(tab, "cut()")
    problems += [f"{name} is printed, and is for the screen only" for name in ask(tab, "seenOf('.screen-only')")]
    if not ask(tab, "seenOf('h1, h2, table, figure svg')"):
        problems.append("neither heading nor table nor figure is printed")
    return f"{len(sheets)} sheets", problems


def sheets_of(pdf):
    """For each sheet of a PDF whether there is text or an image on it, or more shapes than a ground; and how far down, as a
    share of its height, its last text or image is."""
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\b(.*?)\bendobj", pdf, re.DOTALL)}
    found = []
    for body in objects.values():
        contents = re.search(rb"/Contents (\d+) 0 R", body)
        if not re.search(rb"/Type\s*/Page\b", body) or not contents:
            continue
        stream = re.search(rb"stream\r?\n(.*)endstream", objects.get(int(contents[1]), b""), re.DOTALL)
        try:
            drawn = zlib.decompressobj().decompress(stream[1]) if stream else b""
        except zlib.error:
            drawn = stream[1]
        full = bool(re.search(rb"\bBT\b|\bDo\b", drawn)) or len(re.findall(rb"(?m)\b[fSB]\*?$", drawn)) > 3
        box = re.search(rb"/MediaBox\s*\[\s*\S+\s+\S+\s+\S+\s+([\d.]+)", body)
        height = float(box[1]) if box else 842.0
        found.append((full, (height - lowest(drawn, height)) / height))
    return found


def lowest(drawn, height):
    """The lowest place of a text or an image, in points above the lower edge of a sheet of `height`."""
    down, shift, kept, least = 1.0, 0.0, [], height
    # Only the vertical scale and shift of the transformation count: a page is not turned.
    for line in re.findall(rb"(?m)^(?:q|Q)$|^.* cm$|^.* Tm|^/\w+ Do$", drawn):
        if line == b"q":
            kept.append((down, shift))
        elif line == b"Q":
            down, shift = kept.pop() if kept else (1.0, 0.0)
        elif line.endswith(b" cm"):
            scale, move = [float(number) for number in line.split()[-4:-1:2]]
            down, shift = down * scale, shift + down * move
        elif line.endswith(b" Tm"):
            least = min(least, shift + down * float(line.split()[-2]))
        else:
            least = min(least, shift, shift + down)
    return least


def scripts(page):
    plain = page.opened(scripts=False)
    problems = []
    if ask(plain, "contents()") != ask(page.opened(), "contents()"):
        problems.append("without scripts the tables have other rows")
    problems += [f"without scripts {problem}" for problem in ask(plain, "layout(0)")["problems"]]
    problems += [f"{name} is seen, and needs scripts" for name in ask(plain, "seenOf('.needs-script')")]
    lost = "seenOf('#theme, button[data-theme], input[type=search]')"
    problems += [f"{name} is seen, and does nothing without scripts" for name in ask(plain, lost)]
    return f"{len(ask(plain, 'contents()'))} rows", list(dict.fromkeys(problems))


def access(page):
    return asked(page.opened(), "access()")


def quiet(page):
    """Over all tabs that the other checks have opened."""
    problems, requests = [], 0
    for event in page.browser.events:
        method, what = event["method"], event.get("params", {})
        if method == "Runtime.exceptionThrown":
            thrown = what["exceptionDetails"]
            problems.append(thrown.get("exception", {}).get("description") or thrown["text"])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            words = [str(value.get("value", value.get("description", ""))) for value in what["args"]]
            problems.append(f"console: {what['type']}: {' '.join(words)}")
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            problems.append(f"console: {what['entry']['level']}: {what['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            requests += 1
            url = what["request"]["url"]
            if url.split("#")[0] != page.url and not url.startswith("data:"):
                problems.append(f"loads {url[:200]}")
    return f"{requests} requests", list(dict.fromkeys(problems))


# `quiet` last: it looks at what the others made happen.
CHECKS = {
    "layout": layout,
    "tables": tables,
    "colours": colours,
    "contents": contents,
    "contrast": contrast,
    "theme": theme,
    "sort": sort,
    "filter": filter_rows,
    "print": print_out,
    "scripts": scripts,
    "access": access,
    "quiet": quiet,
}


def screenshots(page, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for scheme in SCHEMES:
            page.opened(width, scheme, unfold=False).screenshot(folder / f"{width}-{scheme}.png")
    (folder / "page.pdf").write_bytes(page.opened(unfold=False).pdf())
    print(f"screenshots and PDF in {folder}")


def check(page, names):
    """Prints a line for each check, and gives back whether all are well."""
    well = True
    for name in names:
        try:
            seen, problems = CHECKS[name](page)
        except BrowserGone:
            raise
        except BrowserError as error:
            seen, problems = "", [str(error)]
        page.browser.close_tabs()
        more = len(problems) - SHOWN_PROBLEMS
        told = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        print(f"FAILED {name}: {told}" if problems else f"ok     {name}: {seen}", flush=True)
        well = well and not problems
    return well


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="an HTML file")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="where PNGs and a PDF of the page go")
    parser.add_argument("--without", action="append", default=[], choices=CHECKS, metavar="CHECK", help="leave a check out")
    arguments = parser.parse_args()
    if not arguments.page.is_file():
        parser.error(f"{arguments.page} is no file")
    program = find()
    if program is None:
        return skip("no browser", INSTALL)
    try:
        with Browser(program) as browser:
            page = Page(browser, arguments.page.resolve().as_uri())
            well = check(page, [name for name in CHECKS if name not in arguments.without])
            if arguments.screenshots:
                screenshots(page, arguments.screenshots)
    except (BrowserError, OSError) as error:
        print(f"FAILED browser: {error}")
        return 1
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
