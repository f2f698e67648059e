"""What every page of the static board shares: its frame, its style, its script and the names of its files.

A page may load nothing but the two files beside it: its Content-Security-Policy says so, and there is no inline script
or style for a name from outside to hide in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape

from audiometry.leaderboard.markup import ICON, STYLE

__all__ = ["ASSETS", "POLICY", "page", "slug"]

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"

LONGEST = 40


def slug(text: str) -> str:
    """A name for a file or folder: the text where it is plain, else what is left of it and a hash, so that no two meet.

    >>> slug("wer-asterisk-en"), slug("../<b>"), slug("")
    ('wer-asterisk-en', 'b_9f46aef2a2', '_e3b0c44298')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST].strip("-")
    if plain and plain == text:
        return plain
    return f"{plain}_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"  # plain ones have no "_"


def page(title: str, body: str, *, depth: int, trail: Sequence[tuple[str, str]] = (), note: str = "") -> bytes:
    """A whole page, `depth` folders below the site's root; `trail` leads back: (text, link from the root).

    `title` and the trail's texts are escaped here; `body` and `note` are HTML.
    """
    root = "../" * depth
    links = "".join(f'<li><a href="{escape(root + link)}">{escape(text)}</a></li>' for text, link in trail)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{escape(title[:200])}</title>
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}assets/site.css">
<script src="{root}assets/site.js" defer></script>
</head>
<body>
<a class="site-skip" href="#main">Skip to the numbers</a>
<nav aria-label="Site"><ul><li><a class="site-brand" href="{root}index.html">Audiometry</a></li>{links}</ul></nav>
<main id="main" class="block-container">
{body}
</main>
<footer>{note}</footer>
</body>
</html>
""".encode()


CSS = (
    STYLE
    + """
:root { color-scheme: light dark; --ink: #1f2933; --ground: #ffffff; --am-ground: #ffffff; --link: #00609a;
  --mark: #0072b2; --line: rgba(31, 41, 51, .18); }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --ground: #11161d; --am-ground: #11161d;
  --link: #7cc4f0; --mark: #56b4e9; --line: rgba(232, 234, 237, .2); } }
* { box-sizing: border-box; } [hidden] { display: none !important; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
a { color: var(--link); } h1, h2, dd, dt, p, li { overflow-wrap: anywhere; }
a:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.site-skip { position: absolute; left: -999rem; } .site-skip:focus { left: .5rem; top: .5rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0; padding: .7rem 1rem;
  border-bottom: 1px solid var(--line); } nav li { min-width: 0; max-width: 100%; }
.site-brand { font-weight: 700; }
.block-container { margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
.am-table th a, .am-table td a { color: inherit; }
.site-links { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: 0; list-style: none; }
.site-links [aria-current] { font-weight: 700; text-decoration: none; color: inherit; }
.am-table tbody th { min-width: 9.5rem; }
.site-span { width: 8rem; height: 1.1rem; display: block; overflow: hidden; }
.site-span line { stroke: var(--mark); stroke-width: 3; vector-effect: non-scaling-stroke; }
.site-span .site-point { stroke-width: 7; }
.site-sort { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  text-decoration: underline dotted; text-underline-offset: 3px; }
[aria-sort=ascending] .site-sort::after { content: " ▲"; } [aria-sort=descending] .site-sort::after { content: " ▼"; }
.site-filter { margin: .4rem 0; } .site-filter input { font: inherit; padding: .25rem .5rem;
  width: min(22rem, 100%); color: inherit; background: transparent; border: 1px solid var(--line);
  border-radius: .3rem; }
.site-matrix { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .94rem; }
.site-matrix th, .site-matrix td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
.site-matrix th[scope=row] { text-align: left; min-width: 9rem; max-width: 22rem; overflow-wrap: anywhere; }
.site-matrix caption { text-align: left; font-size: .86rem; opacity: .8; }
.site-matrix small { display: block; opacity: .78; white-space: nowrap; }
footer { border-top: 1px solid var(--line); padding: .8rem 1rem 2rem; font-size: .86rem; overflow-wrap: anywhere; }
@media (max-width: 640px) { .site-sort { visibility: hidden; } .site-span { width: 100%; } }
"""
)

SCRIPT = """// Sorting and filtering of tables; without it, every page is whole in the order of its ranks.
"use strict";

const valueOf = (row, column) => {
  const cell = row.cells[column];
  const text = cell ? (cell.dataset.value ?? cell.textContent.trim()) : "";
  return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
};

const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "") || 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
};

const sortBy = (table, head, column) => {
  const down = head.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("am-group"));
    rows.sort((a, b) => {
      const [first, second] = [valueOf(a, column), valueOf(b, column)];
      const unknown = first === "" || second === "";
      return down && !unknown ? compare(second, first) : compare(first, second);
    });
    body.append(...rows);
  }
};

for (const table of document.querySelectorAll("table[data-sort]")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "site-sort";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, head, column));
    head.append(button);
  });
  const rows = [...table.querySelectorAll("tbody tr:not(.am-group)")];
  if (rows.length < 8) continue;
  const box = document.createElement("div");
  box.className = "site-filter";
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = wanted === "" ? "" : ` ${shown} of ${rows.length}`;
  });
  label.append("Show rows with ", input);
  box.append(label, count);
  table.parentElement.before(box);
}
"""

ASSETS: Mapping[str, bytes] = {
    "assets/icon.svg": ICON.encode(),
    "assets/site.css": CSS.encode(),
    "assets/site.js": SCRIPT.encode(),
}
