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
  if (response.ok) return found;
  const reason = found.error + (found.help ? ` (${found.help})` : "");
  throw Object.assign(new Error(reason), { status: response.status });
}

// As long as too much is waiting, the clip waits here.
async function patient(send) {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (error.status !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

const problem = (text) => made("p", { className: "problem", textContent: text });

function trouble(text) {
  const line = problem(text);
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
      await patient(() => asked("POST", `/api/classes/${encodeURIComponent(name)}/clips`, form(file)));
    } catch (error) {
      trouble(`${file.name}: ${error.message}`);
    }
  }
  sending = false;
  refresh(false);
}

function take(files) {
  const name = at("name").value.trim();
  if (files.some(([folder]) => folder === null) && !name) {
    trouble("Give the class a name first, or drop a folder: its name is the class.");
    at("name").focus();
    return;
  }
  // In an address these are other folders, so no request can name them.
  if ([".", ".."].includes(name)) {
    trouble(`A class cannot be called ${name}`);
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
    button.dataset.key = path;
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
  input.dataset.key = `add ${name}`;
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

// The cards in place of those before. Who uses the keyboard stays where they were, or goes to what is there now.
function redraw(fresh) {
  const area = at("classes");
  const keys = () => [...area.querySelectorAll("[data-key]")];
  const before = document.activeElement;
  const place = keys().indexOf(before);
  area.replaceChildren(...fresh);
  if (place < 0) return;
  const now = keys();
  const same = now.find((each) => each.dataset.key === before.dataset.key);
  (same ?? now[Math.min(place, now.length - 1)] ?? at("name")).focus();
}

// Of which server, and of which of its revisions, the cards are.
let instance = null;
let shown = -1;

async function classes() {
  const now = await asked("GET", "/api/classes");
  if (now.instance !== instance) {
    if (instance !== null) for (const id of [...cards.keys()]) lost(id, "the server was restarted, so ask again");
    [instance, shown] = [now.instance, -1];
  }
  // Answers may come in another order than they were asked for.
  if (now.revision < shown) return;
  if (now.revision > shown) {
    shown = now.revision;
    redraw(now.classes.map(card));
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

function line(file) {
  const card = made("article", { className: "answer" }, [
    made("p", {}, [
      made("code", { textContent: file }),
      " ",
      made("span", { className: "state", textContent: "sending" }),
    ]),
    made("progress", { max: 1 }),
  ]);
  card.dataset.file = file;
  at("answers").prepend(card);
  return card;
}

// The query has a number from here on, and can be cancelled.
function numbered(card, id) {
  cards.set(id, card);
  const cancel = made("button", { type: "button", textContent: "cancel" });
  cancel.setAttribute("aria-label", `cancel ${card.dataset.file}`);
  cancel.addEventListener("click", () => {
    card.dataset.cancelled = "true";
    asked("DELETE", `/api/queries/${id}`).catch((error) => failed(id, error));
  });
  card.append(cancel);
}

// The card of a query that is over. Who uses the keyboard goes where the next clip is chosen.
function over(id) {
  const card = cards.get(id);
  cards.delete(id);
  if (card?.contains(document.activeElement)) at("clips").focus();
  return card;
}

const lost = (id, why) => {
  const card = over(id);
  card?.replaceChildren(problem(`${card.dataset.file}: ${why}`));
};

function failed(id, error) {
  if (error.status !== 404) trouble(error.message);
  // A question may reach the server after the query is cancelled, and its answer this page before it is told so.
  else if (cards.get(id)?.dataset.cancelled) over(id).remove();
  else lost(id, "its answer is not kept any more");
}

async function ask(files) {
  const parameters = new URLSearchParams();
  if (at("long").checked) {
    parameters.set("window", at("window").value.trim());
    if (at("stride").value.trim()) parameters.set("stride", at("stride").value.trim());
  }
  for (const [, file] of files) {
    const card = line(file.name);
    try {
      const { id } = await patient(() => asked("POST", `/api/queries?${parameters}`, form(file)));
      numbered(card, id);
      query(id);
    } catch (error) {
      card.replaceChildren(problem(`${file.name}: ${error.message}`));
    }
  }
}

const link = (id, file, kind) =>
  made("a", { href: `/api/queries/${id}/answer.${kind}`, textContent: kind.toUpperCase(), download: `${file}.${kind}` });

async function query(id) {
  try {
    const now = await asked("GET", `/api/queries/${id}`);
    const html = now.state === "done" && (await (await fetch(`/api/queries/${id}/answer.html`)).text());
    // Another message may have told it meanwhile.
    if (!cards.has(id)) return;
    if (now.state === "done") {
      const card = over(id);
      card.innerHTML = html;
      const of = now.answer.queries[0].segments.length ? ["csv", "srt"] : ["csv"];
      card.append(made("p", { className: "muted" }, of.flatMap((kind) => [link(id, now.file, kind), " "])));
    } else if (now.state === "failed") {
      lost(id, now.reason);
    } else {
      cards.get(id).querySelector(".state").textContent = now.state;
    }
  } catch (error) {
    failed(id, error);
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

async function refresh(queries = true) {
  try {
    await classes();
    at("offline").hidden = true;
    if (queries) for (const id of cards.keys()) query(id);
  } catch (error) {
    // Without an answer there is no status.
    if (error.status) trouble(error.message);
    else at("offline").hidden = false;
  }
}

function heard(message) {
  if (message.event === "open") refresh();
  if (message.event === "classes") refresh(false);
  if (message.event === "offline") at("offline").hidden = false;
  if (message.event === "progress") progress(message);
  if (message.event === "query" && cards.has(message.id)) {
    if (message.state === "cancelled") over(message.id).remove();
    else query(message.id);
  }
}

// A browser opens six connections to a server at most, for all its tabs. So one tab holds the events, and tells the
// others.
const tabs = new BroadcastChannel("maclip serve");
tabs.addEventListener("message", ({ data }) => heard(data));

function listen() {
  const tell = (message) => {
    heard(message);
    tabs.postMessage(message);
  };
  const events = new EventSource("/api/events");
  events.addEventListener("message", ({ data }) => tell(JSON.parse(data)));
  events.addEventListener("open", () => tell({ event: "open" }));
  events.addEventListener("error", () => {
    tell({ event: "offline" });
    // After some errors a browser does not try again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

// The lock is free again when this tab is closed.
navigator.locks.request("maclip serve", () => (listen(), new Promise(() => {})));
refresh();
