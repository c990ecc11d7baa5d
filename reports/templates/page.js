"use strict";
(() => {
  const root = document.documentElement;

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
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const heading = head.querySelector(".heading");
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.textContent = heading.textContent;
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

  // Filter: rows and runs that hold every word.
  document.getElementById("filter").addEventListener("input", event => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of document.querySelectorAll("table.sortable tbody tr, .run")) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every(word => text.includes(word));
    }
  });

  // Pointing at a mark of a figure tells its numbers at once; without scripts the browser shows the same after a while.
  const tip = document.getElementById("tip");
  for (const spot of document.querySelectorAll(".spot")) {
    const title = spot.querySelector("title");
    spot.dataset.tip = title.textContent;
    title.remove();
  }
  document.addEventListener("pointermove", event => {
    const text = event.target.dataset?.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4)) + "px";
    tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18) + "px";
  });
})();
