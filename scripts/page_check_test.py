#!/usr/bin/env python3
"""Shows that page_check.py passes a good page and finds what is wrong with bad ones.

    python3 scripts/page_check_test.py
"""

import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import page_check
from chromium import INSTALL, Browser, BrowserGone, Tab, find
from skip import required

SCRIPT = Path(__file__).with_name("page_check.py")
GOOD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Runs</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --ink: #111; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --ground: #111; } }
:root[data-theme=dark] { --ink: #eee; --ground: #111; }
:root[data-theme=light] { --ink: #111; --ground: #fff; }
body { color: var(--ink); background: var(--ground); font: 14px sans-serif; }
figure { margin: 0; } svg { width: 100%; max-width: 500px; } svg text { fill: var(--ink); }
.wide { overflow-x: auto; } .wide table { min-width: 600px; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--ground); width: 90px; }
th + th, td + td { text-align: right; }
html:not(.scripts) .needs-script { display: none; }
input, button { color: inherit; background: var(--ground); font: inherit; } ::placeholder { color: inherit; opacity: 1; }
@media print { .screen-only { display: none; } }
</style></head><body>
<nav><a href="#table">Table</a></nav>
<main><h1>Runs</h1>
<p class="needs-script screen-only"><button id="theme">Theme</button>
<label>Find <input type="search" placeholder="name"></label> <span id="filtered" role="status"></span></p>
<section id="table"><h2>Table</h2>
<div class="wide"><table class="sortable">
<thead><tr><th><button>run</button></th><th><button>accuracy</button></th></tr></thead>
<tbody><tr data-variant="7"><td><i class="swatch-3"></i>none</td><td data-value="0.09">9.0 %</td></tr><tr><td>tpcm</td><td data-value="0.339">33.9 %</td></tr>
<tr><td>both</td><td data-value="0.433">43.3 %</td></tr></tbody></table></div>
<figure><svg role="img" aria-label="Accuracy of each run" viewBox="0 0 400 200"><rect width="400" height="200" fill="none"/>
<rect x="20" y="20" width="200" height="60" fill="#005"/><text x="40" y="60" font-size="16" style="fill:#fff">none</text>
<text x="40" y="160" font-size="16">both</text><circle class="fill-v3" cx="300" cy="50" r="5" fill="#060"/>
<rect class="spot" data-variant="7" x="290" y="40" width="20" height="20" fill="none"/></svg></figure></section></main>
<script>
const root = document.documentElement;
root.classList.add('scripts');
document.querySelector('#theme').onclick = () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
};
const body = document.querySelector('tbody');
const value = (cell) => (cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value));
for (const button of document.querySelectorAll('th button')) button.onclick = () => {
  const head = button.parentElement, at = head.cellIndex;
  const sign = head.ariaSort === 'ascending' ? -1 : 1;
  for (const other of document.querySelectorAll('th')) other.ariaSort = 'none';
  head.ariaSort = sign > 0 ? 'ascending' : 'descending';
  body.append(...[...body.rows].sort((a, b) => sign * (value(a.cells[at]) > value(b.cells[at]) ? 1 : -1)));
};
document.querySelector('input').oninput = (event) => {
  for (const row of body.rows) row.hidden = !row.textContent.includes(event.target.value);
  const hidden = [...body.rows].filter((row) => row.hidden).length;
  document.querySelector('#filtered').textContent = hidden ? `${hidden} rows without ${event.target.value} are hidden` : '';
};
</script></body></html>
"""

# The check that must fail, what it must say, what is replaced, and with what.
BAD = [
    ("layout", "in a window of 400, as p.long does", "<h2>Table", '<p class="long" style="width:900px">x</p><h2>Table'),
    ("layout", "is not visible", "svg { width", "svg { visibility: hidden; width"),
    ("layout", "is only 150×75 px", "max-width: 500px", "max-width: 150px"),
    ("layout", "px high", 'y="160" font-size="16"', 'y="160" font-size="7"'),
    ("layout", "runs out of it", 'x="40" y="160"', 'x="385" y="160"'),
    ("layout", "in no box that scrolls", ".wide { overflow-x: auto; }", "body { overflow-x: clip; }"),
    ("layout", '"none" and "both" lie on each other', 'y="160" font-size="16"', 'y="62" font-size="16"'),
    ("tables", "its first column does not stay", "th:first-child, td:first-child {", "td:first-child {"),
    ("tables", "lets others show through", "left: 0; background: var(--ground);", "left: 0;"),
    ("tables", "its first column takes ", "width: 90px", "min-width: 300px"),
    ("tables", '"accuracy" is cut by its first column', "text-align: right", "text-align: left"),
    ("colours", "variant 7 has colour 4 and not 3", "fill-v3", "fill-v4"),
    ("colours", "another colour in another table", "<tr><td>tpcm", '<tr data-variant="7"><td><i class="swatch-5"></i>tpcm'),
    ("contents", "lead to #table", '<section id="table">', "<section>"),
    ("contents", "section#more is not in the contents", "</section></main>", '</section><section id="more"></section></main>'),
    ("contents", "leads into a fold", '<section id="table">', '<section id="table" hidden>'),
    ("contents", "no nav is seen", "<nav>", "<nav hidden>"),
    ("contrast", '"Table" in h2: 2.32 of 3', "</style>", "h2 { color: #aaa; }</style>"),
    ("contrast", "dark: ", ":root { --ink: #eee; --ground: #111; } }", ":root { --ink: #444; --ground: #111; } }"),
    ("contrast", '"none" in text: 1', 'style="fill:#fff">none', 'style="fill:#005">none'),
    ("contrast", '"tpcm" in td', "<td>tpcm", '<td style="background:linear-gradient(90deg, #222, #333)">tpcm'),
    ("contrast", '"both" in td', "<td>both", '<td style="opacity:0.3">both'),
    ("contrast", '"name" in input', "opacity: 1", "opacity: 0.3"),
    ("theme", "in light and in dark", "prefers-color-scheme: dark) {", "prefers-color-scheme: dark) and (width < 1px) {"),
    ("theme", "leaves the ground", "dark ? 'light' : 'dark';\n}", "'none';\n}"),
    ("theme", "no button #theme", 'id="theme"', 'id="other"'),
    ("sort", "no table.sortable", 'class="sortable"', ""),
    ("sort", "is not ascending", "Number(cell.dataset.value)", "cell.textContent"),
    ("sort", "aria-sort is none after a click", "head.ariaSort = sign", "head.title = sign"),
    ("sort", "a second click does not reverse", "? -1 : 1;\n", "? 1 : 1;\n"),
    ("sort", "has no data-value", ' data-value="0.09"', ""),
    ("sort", "rows are lost", "body.append(", "body.rows[0].remove(), body.append("),
    ("sort", "stays on another column", "other.ariaSort = 'none'", "other.title = 'none'"),
    ("filter", "hides no row", "row.hidden =", "row.title ="),
    ("filter", "does not bring all rows back", "!row.textContent.includes(", "row.hidden || !row.textContent.includes("),
    ("filter", "leaves row", "!row.textContent.includes(event.target.value)", "event.target.value.length > 5"),
    ("filter", "does not say why", " without ${event.target.value} are hidden", " are hidden"),
    ("filter", "how much it hides", "hidden ? `${hidden} rows without", "hidden ? `rows without"),
    ("filter", "when the field is empty", "are hidden` : ''", "are hidden` : 'all'"),
    ("filter", "p.legend is left", "<figure>", '<p class="legend">Bold</p><figure>'),
    ("filter", 'has 3 rows of results and says "3 rows', "<div class=\"wide\">", '<div class="wide results">'),
    ("filter", "no input[type=search]", 'type="search"', 'type="text"'),
    ("print", "p.needs-script.screen-only is printed", "@media print { .screen", "@media print { .none"),
    ("print", "is in a fold and not printed", '<div class="wide">', '<details class="group"><summary>x</summary><div class="results">'),
    ("print", "is empty", "</body>", '<div style="break-before:page;break-after:page;height:1px"></div><p>end</p></body>'),
    ("print", "sheet 1 of 2 ends at ", "</section></main>", '</section><p style="break-before:page">end</p></main>'),
    ("print", "neither heading", "@media print {", "@media print { body * { display: none; }"),
    ("print", "table.sortable is 900 px wide on a sheet", "min-width: 600px", "min-width: 900px"),
    ("print", "on a sheet of 717", "{ overflow-x: auto; } .wide table { min-width: 600px", "table { min-width: 1200px"),
    ("scripts", "other rows", "root.classList.add", "document.querySelector('tbody tr').remove(); root.classList.add"),
    ("scripts", "is not visible", "html:not(.scripts) .needs-script", "html:not(.scripts) svg, html:not(.scripts) .needs-script"),
    ("scripts", "needs scripts", "html:not(.scripts) .needs-script", "html:not(.scripts) .none"),
    ("scripts", "does nothing without scripts", 'class="needs-script ', 'class="'),
    ("access", "has no aria-label", ' aria-label="Accuracy of each run"', ""),
    ("access", "has no role=img", ' role="img"', ""),
    ("access", "has no label", "<label>Find", "<label>Find</label><label>"),
    ("access", '"Table" is an h3 after an h1', "<h2>Table</h2>", "<h3>Table</h3>"),
    ("access", "stands more than once", "<h2>", '<h2 id="theme">'),
    ("access", "html has no lang", ' lang="en"', ""),
    ("quiet", "console: warning: odd", "const root", "console.warn('odd'); const root"),
    ("quiet", "ReferenceError", "const root", "setTimeout(() => missing()); const root"),
    ("quiet", "loads https://example.invalid/a.png", "<h1>", '<img alt="" src="https://example.invalid/a.png"><h1>'),
    ("quiet", "loads file:", "</style>", "</style><link rel=stylesheet href=other.css>"),
]


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if find() is None:
            missing = f"no browser; {INSTALL}"
            raise RuntimeError(f"{missing}. MACLIP_REQUIRE is set") if required() else unittest.SkipTest(missing)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def page(self, html):
        file = self.folder / "page.html"
        file.write_text(html, encoding="utf-8")
        return file

    def ran(self, *arguments, **variables):
        words = [sys.executable, str(SCRIPT), *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, **variables}, check=False)

    def test_a_good_page_passes_and_is_shown(self):
        shots = self.folder / "shots"
        ran = self.ran(self.page(GOOD), "--screenshots", shots)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertEqual([line.split()[1].rstrip(":") for line in ran.stdout.splitlines()[:-1]], list(page_check.CHECKS))
        names = sorted(path.name for path in shots.iterdir())
        self.assertEqual(names, ["1400-dark.png", "1400-light.png", "400-dark.png", "400-light.png", "900-dark.png", "900-light.png", "page.pdf"])

    def test_a_page_that_overflows_is_printed_smaller(self):
        html = GOOD.replace("{ overflow-x: auto; } .wide table { min-width: 600px", "table { min-width: 900px")
        with Browser(find()) as browser:
            self.assertEqual(page_check.print_out(page_check.Page(browser, self.page(html).as_uri()))[1], [])

    def test_what_is_wrong_is_found(self):
        with Browser(find()) as browser:
            for name, words, old, new in BAD:
                with self.subTest(check=name, words=words):
                    self.assertEqual(GOOD.count(old), 1, old)
                    page = page_check.Page(browser, self.page(GOOD.replace(old, new)).as_uri())
                    if name == "quiet":
                        browser.events.clear()
                        page.opened().evaluate("new Promise((done) => setTimeout(done, 100))")
                    _, problems = page_check.CHECKS[name](page)
                    self.assertIn(words, "; ".join(problems))
                    browser.close_tabs()

    def test_a_bad_page_has_a_status_of_its_own(self):
        others = [f"--without={name}" for name in page_check.CHECKS if name != "access"]
        ran = self.ran(self.page(GOOD.replace(' lang="en"', "")), *others)
        self.assertEqual((ran.returncode, ran.stdout), (1, "FAILED access: html has no lang\n"))
        self.assertEqual(self.ran(self.folder / "missing.html").returncode, 2)

    def test_what_is_no_browser_is_told(self):
        ran = self.ran(self.page(GOOD), CHROMIUM="true")
        self.assertEqual(ran.returncode, 1, ran.stdout)
        self.assertRegex(ran.stdout, r"\AFAILED browser: .* has ended before .*\n\Z")
        for value, status, begin in [("", 77, "skipped: "), ("0", 77, "skipped: "), ("1", 1, "FAILED: ")]:
            ran = self.ran(self.page(GOOD), CHROMIUM="no-such-browser", MACLIP_REQUIRE=value)
            self.assertEqual(ran.returncode, status, value)
            self.assertTrue(ran.stdout.startswith(f"{begin}no browser; install Chromium"), ran.stdout)

    def test_a_page_that_hangs_is_given_up(self):
        page = self.page(GOOD.replace("const root", "while (true); const root")).as_uri()
        with unittest.mock.patch("chromium.PATIENCE_S", 2), Browser(find()) as browser:
            with self.assertRaisesRegex(BrowserGone, "said nothing of Page.loadEventFired for 2 s"):
                page_check.Page(browser, page).opened()

    def test_nothing_is_left_behind(self):
        with Browser(find()) as browser:
            Tab(browser)
            child, profile = browser.child, browser.profile
            self.assertTrue(os.path.isdir(profile))
        self.assertIsNotNone(child.poll())
        self.assertFalse(os.path.exists(profile))


if __name__ == "__main__":
    unittest.main()
