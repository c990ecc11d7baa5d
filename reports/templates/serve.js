"use strict";

// The page of `maclip serve`. It keeps nothing: what is shown comes from the server, which says when to ask again.

const at = (id) => document.getElementById(id);

function made(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function asked(method, path, body) {
  const response = await fetch(path, { method, body });
  if (response.status === 204) return null;
  const found = await response.json();
  if (!response.ok) throw new Error(reasons(found));
  return found;
}

const reasons = (found) =>
  found.error
    ? found.error + (found.help ? ` (${found.help})` : "")
    : found.refused.map((each) => each.reason).join("; ");

function trouble(text) {
  const line = made("p", { className: "problem", textContent: text });
  const close = made("button", { type: "button", textContent: "hide" });
  close.addEventListener("click", () => line.remove());
  line.append(" ", close);
  at("trouble").append(line);
}

function form(file) {
  const data = new FormData();
  data.append("clip", file, file.name);
  return data;
}

// Files and folders that were dropped: [name of the folder or null, file].
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files].map((file) => [null, file]);
  const found = [];
  for (const entry of entries) await below(entry, null, found);
  // A folder tells its files in any order.
  return found.sort(([, a], [, b]) => a.name.localeCompare(b.name));
}

async function below(entry, folder, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    if (!file.name.startsWith(".")) found.push([folder, file]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A folder is told in parts; an empty part is its end.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return;
    for (const inside of part) await below(inside, entry.name, found);
  }
}

function accepts(area, take) {
  let depth = 0;
  const over = (change) => {
    depth = Math.max(0, depth + change);
    area.classList.toggle("over", depth > 0);
  };
  area.addEventListener("dragenter", (event) => (event.preventDefault(), over(1)));
  area.addEventListener("dragleave", () => over(-1));
  area.addEventListener("dragover", (event) => event.preventDefault());
  area.addEventListener("drop", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    over(-depth);
    take(await dropped(event.dataTransfer));
  });
}

// A clip that misses its area must not be opened in place of the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

// Examples

const waiting = [];
let sending = false;

async function add(name, files) {
  for (const [folder, file] of files) waiting.push([folder ?? name, file]);
  if (sending) return;
  sending = true;
  while (waiting.length) {
    const [name, file] = waiting.shift();
    at("learning").textContent = `sending ${file.name}, ${waiting.length} more`;
    try {
      await asked("POST", `/api/classes/${encodeURIComponent(name)}/clips`, form(file));
    } catch (error) {
      trouble(`${file.name}: ${error.message}`);
    }
  }
  sending = false;
  classes();
}

function take(files) {
  const name = at("name").value.trim();
  if (files.some(([folder]) => folder === null) && !name) {
    trouble("Give the class a name first, or drop a folder: its name is the class.");
    at("name").focus();
    return;
  }
  add(name, files);
}

accepts(at("new"), take);
at("make").addEventListener("submit", (event) => event.preventDefault());
at("choose").addEventListener("change", (event) => {
  take([...event.target.files].map((file) => [null, file]));
  event.target.value = "";
});

function card({ name, clips }) {
  const remove = (what, path) => {
    const button = made("button", { type: "button", textContent: "remove", title: `remove ${what}` });
    button.setAttribute("aria-label", `remove ${what}`);
    button.addEventListener("click", () => asked("DELETE", path).catch((error) => trouble(error.message)));
    return button;
  };
  const item = ({ id, file }) =>
    made("li", {}, [
      made("img", { src: `/api/clips/${id}/frames.jpg`, alt: `frames of ${file}`, loading: "lazy" }),
      made("span", { textContent: file }),
      remove(file, `/api/clips/${id}`),
    ]);
  const input = made("input", { type: "file", multiple: true, accept: at("choose").accept });
  input.addEventListener("change", () => add(name, [...input.files].map((file) => [null, file])));
  const all = remove(`the class ${name}`, `/api/classes/${encodeURIComponent(name)}/clips`);
  const found = made("div", { className: "card" }, [
    made("h3", {}, [made("span", { textContent: `${name} (${clips.length})` }), all]),
    made("ul", {}, clips.map(item)),
    made("label", { className: "file", textContent: "Add clips" }, [input]),
  ]);
  accepts(found, (files) => add(name, files.map(([, file]) => [null, file])));
  return found;
}

let shown = -1;

async function classes() {
  const now = await asked("GET", "/api/classes");
  if (now.revision !== shown) {
    shown = now.revision;
    at("classes").replaceChildren(...now.classes.map(card));
  }
  if (!sending) {
    const lines = now.current ? [now.problem, ...now.warnings].filter(Boolean) : [];
    const few = now.classes.length < 2 ? "Two classes at least are needed." : "";
    at("learning").textContent = few || (now.learning ? "learning the examples" : lines.join("; "));
  }
  const html = now.current && now.classes.length > 1 ? await (await fetch("/api/classes/trust.html")).text() : "";
  at("trust").innerHTML = html;
  at("trust").hidden = !html;
}

// Queries

const cards = new Map();

function line(id, file) {
  const card = made("article", { className: "answer" }, [
    made("p", {}, [
      made("code", { textContent: file }),
      " ",
      made("span", { className: "state", textContent: "queued" }),
    ]),
    made("progress", { max: 1 }),
  ]);
  if (id !== null) cards.set(id, card);
  at("answers").prepend(card);
  return card;
}

async function ask(files) {
  const parameters = new URLSearchParams();
  if (at("long").checked) {
    parameters.set("window", at("window").value.trim());
    if (at("stride").value.trim()) parameters.set("stride", at("stride").value.trim());
  }
  for (const [, file] of files) {
    const card = line(null, file.name);
    try {
      const { id } = await patient(() => asked("POST", `/api/queries?${parameters}`, form(file)));
      cards.set(id, card);
      await query(id);
    } catch (error) {
      card.replaceChildren(made("p", { className: "problem", textContent: `${file.name}: ${error.message}` }));
    }
  }
}

// As long as too much is waiting, the clip waits here.
async function patient(send) {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (!error.message.startsWith("too many")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

const link = (id, file, kind) =>
  made("a", { href: `/api/queries/${id}/answer.${kind}`, textContent: kind.toUpperCase(), download: `${file}.${kind}` });

async function query(id) {
  const now = await asked("GET", `/api/queries/${id}`);
  const card = cards.get(id) ?? line(id, now.file);
  if (now.state === "done") {
    card.innerHTML = await (await fetch(`/api/queries/${id}/answer.html`)).text();
    const of = now.answer.queries[0].segments.length ? ["csv", "srt"] : ["csv"];
    card.append(made("p", { className: "muted" }, of.flatMap((kind) => [link(id, now.file, kind), " "])));
    cards.delete(id);
  } else if (now.state === "failed") {
    card.replaceChildren(made("p", { className: "problem", textContent: `${now.file}: ${now.reason}` }));
    cards.delete(id);
  } else {
    card.querySelector(".state").textContent = now.state;
  }
}

accepts(at("query"), ask);
at("how").addEventListener("submit", (event) => event.preventDefault());
at("clips").addEventListener("change", (event) => {
  ask([...event.target.files].map((file) => [null, file]));
  event.target.value = "";
});
for (const id of ["window", "stride"]) at(id).addEventListener("input", () => (at("long").checked = true));

// What happens on the server

function progress({ query, phase, done, of }) {
  if (query === null) {
    if (!sending) at("learning").textContent = `learning the examples: ${phase} ${done} of ${of}`;
    return;
  }
  const card = cards.get(query);
  if (!card) return;
  card.querySelector(".state").textContent = `${phase} ${done} of ${of}`;
  Object.assign(card.querySelector("progress"), of ? { max: of, value: done } : {});
}

const events = new EventSource("/api/events");
events.addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  if (message.event === "classes") classes().catch((error) => trouble(error.message));
  if (message.event === "query" && cards.has(message.id)) query(message.id).catch((error) => trouble(error.message));
  if (message.event === "progress") progress(message);
});
events.addEventListener("open", () => {
  at("offline").hidden = true;
  classes();
  for (const id of cards.keys()) query(id);
});
events.addEventListener("error", () => (at("offline").hidden = false));
