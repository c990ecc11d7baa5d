"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const made = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Theme: auto follows the system.
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  try { theme = localStorage.getItem("maclip-theme") || "auto"; } catch { /* A page from a file may have no storage. */ }
  const show = () => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
  };
  if (!themes.includes(theme)) theme = "auto";
  show();
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("maclip-theme", theme); } catch { /* As above. */ }
    show();
  });

  // Sorting: numbers by their value, names as people sort them; cells without a number come last.
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  for (const table of all("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const heading = head.querySelector(".heading");
      const sorter = made("button", { type: "button", textContent: heading.textContent });
      heading.replaceChildren(sorter);
      sorter.addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const key = row => {
          const value = row.cells[column].dataset.value;
          return value === undefined ? row.cells[column].textContent.trim() : Number(value);
        };
        const rows = [...table.tBodies[0].rows].map(row => [key(row), row]);
        rows.sort(([a], [b]) => {
          const numbers = (typeof a === "number") - (typeof b === "number");
          if (numbers) return -numbers;
          const order = typeof a === "number" ? a - b : compare(a, b);
          return rising ? order : -order;
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  // A table that is wider than its box says so, and stops where its first column cuts no other one.
  const measure = () => {
    for (const note of all(".scrolls")) {
      const box = note.previousElementSibling;
      const at = box.scrollLeft;
      box.style.paddingRight = box.style.scrollSnapType = "";
      box.classList.remove("wide");
      const wide = box.scrollWidth > box.clientWidth + 1;
      note.hidden = !wide;
      box.classList.toggle("wide", wide);
      if (!wide) continue;
      const [first, ...cells] = [...box.querySelector("tr").cells].filter(cell => cell.offsetWidth);
      const fixed = first.offsetWidth;
      const end = box.scrollWidth - box.clientWidth;
      const stop = cells.map(cell => cell.offsetLeft - fixed).find(left => left >= end - 1) ?? end;
      box.style.paddingRight = `${Math.max(0, stop - end)}px`;
      box.style.scrollPaddingLeft = `${fixed}px`;
      box.style.scrollSnapType = "x mandatory";
      box.scrollLeft = at;
    }
  };
  let soon = 0;
  const measureSoon = () => { soon ||= requestAnimationFrame(() => { soon = 0; measure(); }); };
  addEventListener("resize", measureSoon);
  document.addEventListener("toggle", measureSoon, true);
  document.addEventListener("change", measureSoon);
  measure();

  // What a link leads to is opened, and so is everything on paper.
  const reveal = target => {
    for (let at = target?.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  };
  const led = hash => document.getElementById(decodeURIComponent(hash.slice(1)));
  const linked = () => reveal(led(location.hash));
  addEventListener("hashchange", () => { linked(); document.querySelector(":target")?.scrollIntoView(); });
  document.addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link) reveal(led(link.getAttribute("href")));
  });
  linked();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all(".group, .gallery, .example, #notes details").filter(details => !details.open);
    folded.forEach(details => { details.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach(details => { details.open = false; }));

  // Filter: whatever holds every word stays. What is hidden is counted, and a page without anything left says so.
  // Rows of other tables than those of results are not counted.
  const kinds = [
    ["variant", ".results tbody tr"],
    [null, "main .part:not(.results) tbody tr, .keys tbody tr"],
    ["figure", ".figures figure"],
    ["example", ".example"],
    ["note", ".warnings li, #notes li, #problems li"],
    ["run", ".run"],
  ];
  const inside = (item, selector) => !item.matches(selector) && item.closest(selector);
  const items = kinds.map(([kind, selector]) => [kind, all(selector).filter(item => !inside(item, "figure, .run"))]);
  const texts = new Map();
  const text = item => {
    if (!texts.has(item)) {
      // A figure is what its description says; an example belongs to the variant that its gallery names; a table of keys has them
      // in its rows or in its columns.
      const own = item.matches("figure")
        ? item.querySelector("svg").getAttribute("aria-label")
        : item.closest(".gallery")?.querySelector("summary").textContent ?? item.closest(".keys")?.tHead.textContent ?? "";
      texts.set(item, (own + " " + item.textContent).toLowerCase());
    }
    return texts.get(item);
  };
  /** Boxes of items, which are hidden when nothing in them is left. */
  const boxes = [
    [".scroll", "tbody tr"], [".ways", "figure"], [".block", "figure"], [".figures", "figure"], [".gallery", ".example"],
    [".warnings", "li"], [".part", "tbody tr, .warnings li"], ["#side-by-side", "tbody tr"], [".differing", "tbody tr"],
    ["#notes, #problems", "li"], ["#overview", "figure"], ["#runs", ".run"],
    [".group", "tbody tr, figure, .example"],
  ];
  let opened = [];
  const field = document.getElementById("filter");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const told = [];
    let left = 0;
    for (const [kind, list] of items) {
      let seen = 0;
      for (const item of list) {
        item.hidden = !words.every(word => text(item).includes(word));
        seen += !item.hidden;
      }
      left += seen;
      if (kind && seen < list.length) told.push(`${list.length - seen} of ${list.length} ${kind}${list.length === 1 ? "" : "s"}`);
    }
    for (const [selector, inner] of boxes) {
      for (const box of all(selector)) {
        if (box.closest("figure")) continue;
        const held = all(inner, box).filter(item => !item.closest("details.data"));
        box.hidden = words.length > 0 && held.length > 0 && held.every(item => item.hidden);
      }
    }
    // What is found is not left in a fold.
    opened.forEach(details => { details.open = false; });
    opened = words.length ? all(".group:not([hidden]), .gallery:not([hidden]), .run-list").filter(details => !details.open) : [];
    opened.forEach(details => { details.open = true; });
    const status = document.getElementById("filtered");
    status.textContent = told.length ? "Hidden: " + told.join(", ") : "";
    const nothing = document.getElementById("nothing");
    nothing.hidden = left > 0;
    nothing.textContent = `Nothing on this page holds “${field.value.trim()}”. Empty the filter to see everything again.`;
    measure();
  });

  // Pointing at a mark of a figure tells its numbers at once; without scripts the browser shows the same after a while. All marks
  // of the same variant or class light up together.
  const tip = document.getElementById("tip");
  for (const spot of all(".spot")) {
    const title = spot.querySelector("title");
    spot.dataset.tip = title.textContent;
    title.remove();
  }
  let lit = [];
  const light = target => {
    lit.forEach(element => element.classList.remove("lit"));
    const { variant, class: name, takenFor } = target?.dataset ?? {};
    const group = target?.closest(".group") ?? document;
    lit = [];
    if (variant !== undefined) lit = all(`[data-variant="${variant}"]`);
    else if (name !== undefined) {
      const same = element => element.dataset.class === name && (takenFor === undefined || element.dataset.takenFor === undefined || element.dataset.takenFor === takenFor);
      lit = all(".spot[data-class]", group).filter(same);
    }
    lit.forEach(element => element.classList.add("lit"));
  };
  let pointed = null;
  document.addEventListener("pointermove", event => {
    const target = event.target.closest?.("[data-variant], [data-class], [data-tip]") ?? null;
    if (target !== pointed) light(pointed = target);
    const text = target?.dataset.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4)) + "px";
    tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18) + "px";
  });

  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });

  // Strips play: one frame after the other in one place.
  const playing = new Map();
  let timer = 0;
  const turn = () => {
    for (const [strip, frame] of playing) {
      strip.setAttribute("viewBox", `${frame} 0 1 1`);
      playing.set(strip, (frame + 1) % Number(strip.dataset.frames));
    }
  };
  const play = (strip, on) => {
    strip.classList.toggle("playing", on);
    if (on) playing.set(strip, 0);
    else {
      playing.delete(strip);
      strip.setAttribute("viewBox", `0 0 ${strip.dataset.frames} 1`);
    }
    if (playing.size && !timer) timer = setInterval(turn, 220);
    if (!playing.size) timer = clearInterval(timer);
    turn();
  };
  document.addEventListener("click", event => {
    const strip = event.target.closest?.(".strip");
    if (strip) play(strip, !playing.has(strip));
    const button = event.target.closest?.(".play");
    if (!button) return;
    const strips = all(".strip", button.closest(".example"));
    const on = button.textContent === "Play";
    strips.forEach(strip => play(strip, on));
    button.textContent = on ? "Stop" : "Play";
  });

  // A click on a cell of the confusion, or on a class, shows the clips behind it.
  const svg = "http://www.w3.org/2000/svg";
  const pictured = (data, id, strip) => {
    if (!strip) return made("span", { className: "muted", textContent: data.bare + " " });
    const [reference, frames] = strip;
    const element = document.createElementNS(svg, "svg");
    const use = document.createElementNS(svg, "use");
    use.setAttribute("href", "#" + reference);
    for (const [name, value] of Object.entries({
      class: "strip", role: "img", "aria-label": "Frames of " + id, viewBox: `0 0 ${frames} 1`, "data-frames": frames,
    })) element.setAttribute(name, value);
    element.append(use);
    return element;
  };
  const times = count => (count === 1 ? "once" : `${count} times`);
  const pair = (data, [label, taken, queries, all, clips]) => {
    const name = data.classes[label];
    const [line, asked] = [made("p", {}, made("strong", { textContent: name })), made("ul", { className: "asked" })];
    line.append(label === taken ? " recognised: " : " taken for ", label === taken ? "" : made("strong", { textContent: data.classes[taken] }));
    line.append(label === taken ? "" : ": ", `${queries} answer${queries === 1 ? "" : "s"}`);
    if (clips.length < all) line.append(`; shown: ${clips.length} of ${all} clips`);
    for (const [clip, count] of clips) {
      const [id, strip] = data.clips[clip];
      asked.append(made("li", {}, pictured(data, id, strip), made("code", { textContent: id }), " " + times(count)));
    }
    return made("div", { className: "pair" }, line, asked);
  };
  for (const group of all(".group")) {
    const source = group.querySelector(".answers-data");
    if (!source) continue;
    const panel = group.querySelector(".answers");
    let data;
    group.addEventListener("click", event => {
      const { class: name, takenFor } = event.target.dataset ?? {};
      if (name === undefined) return;
      data ??= JSON.parse(source.textContent);
      const label = data.classes.indexOf(name);
      const wanted = ([from, to]) => from === label && (takenFor === undefined || to === data.classes.indexOf(takenFor));
      const pairs = data.pairs.filter(wanted).slice(0, 4);
      const none = made("p", { textContent: takenFor === undefined ? `No answers of ${name}.` : `No query of ${name} was taken for ${takenFor}.` });
      panel.replaceChildren(...(pairs.length ? pairs.map(found => pair(data, found)) : [none]));
      panel.hidden = false;
      panel.scrollIntoView({ block: "nearest" });
    });
  }
})();
