// The inbox's behaviour: keys, selection, actions through the REST API, refresh, and leaving Airflow's iframe.
"use strict";

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const framed = (() => {
  try {
    return window.parent !== window && Boolean(window.parent.document);
  } catch {
    return false; // another origin shows us: links behave as usual
  }
})();
const incident = one("main[data-incident]")?.dataset.incident ?? null;
const TOAST = "headrace.toast";

// ---- saying what happened ----

function say(text, bad = false) {
  one("#announce").textContent = text;
  one(".toast")?.remove();
  const toast = document.createElement("div");
  toast.className = bad ? "toast bad" : "toast";
  toast.textContent = text;
  toast.addEventListener("click", () => toast.remove());
  document.body.append(toast);
  if (!bad) setTimeout(() => toast.remove(), 5000);
}

function sayAfterReload(text, bad) {
  sessionStorage.setItem(TOAST, JSON.stringify({ text, bad }));
  location.reload();
}

function sayWhatWasLeft() {
  const left = sessionStorage.getItem(TOAST);
  if (!left) return;
  sessionStorage.removeItem(TOAST);
  const { text, bad } = JSON.parse(left);
  say(text, bad);
}

// ---- the REST API ----

async function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Headrace-CSRF": csrf };
  let answer;
  try {
    answer = await fetch(meta("api") + path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer, so it is not known whether this was done: reload the page to see.");
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Error("You are logged out: reload the page and log in.");
  if (!answer.ok) throw new Error(typeof found.detail === "string" ? found.detail : `The server answered ${answer.status}.`);
  return found;
}

let csrf = meta("csrf");

const DONE = {
  acknowledge: "Acknowledged", assign: "Assigned", snooze: "Snoozed", unsnooze: "Snooze ended", resolve: "Resolved",
  reopen: "Opened again", comment: "Comment added", waive: "Waived", release: "Released", "release-rows": "Released",
  rerun: "Asked Airflow", promote: "Promoted", rollback: "Rolled back", unblock: "Unblocked",
};
const model = one("main[data-model]")?.dataset.model ?? null;

function describeDeployment(action, done) {
  const bad = Boolean(done.detail);
  const ready = done.servers.filter((each) => each.ready).length;
  const servers = done.servers.length ? ` ${ready} of ${done.servers.length} servers answer with it.` : " No server runs.";
  return { text: `${DONE[action]}.${bad ? ` ${done.detail}` : action === "unblock" ? "" : servers}`, bad };
}

function describe(action, done) {
  const reruns = done.reruns ?? [];
  const failed = reruns.filter((each) => each.state === "failed");
  const runs = new Map(reruns.filter((each) => each.state === "cleared").map((each) => [each.dag_id + each.run_id, each]));
  const cleared = [...runs.values()].reduce((sum, each) => sum + each.cleared, 0);
  let text = `${DONE[action]}.`;
  if (cleared) text += ` ${cleared} task${cleared === 1 ? " runs" : "s run"} again in ${runs.size} run${runs.size === 1 ? "" : "s"}.`;
  if (failed.length) text += ` ${[...new Set(failed.map((each) => each.detail))].join(" ")}`;
  else if (done.detail) text += ` ${done.detail}`;
  return { text, bad: failed.length > 0 };
}

function describeMany(action, results) {
  const good = results.filter((each) => each.status < 300);
  const bad = results.filter((each) => each.status >= 300);
  const texts = [];
  if (good.length) texts.push(`${DONE[action]}: ${good.length}.`);
  const reasons = [...new Set(bad.map((each) => each.detail))].slice(0, 3).join(" ");
  if (bad.length) texts.push(`Not done: ${bad.map((each) => "#" + each.id).join(", ")}. ${reasons}`);
  return { text: texts.join(" "), bad: bad.length > 0 };
}

async function act(action, body, target) {
  if (model) return describeDeployment(action, await post(`/models/${encodeURIComponent(model)}/${action}`, body));
  if (action === "release-rows") {
    return describe(action, await post(`/quarantine/${target.quarantine}/release`, { ...body, row_ids: target.rows }));
  }
  if (target.ids.length === 1) return describe(action, await post(`/incidents/${target.ids[0]}/${action}`, body));
  return describeMany(action, (await post("/incidents/bulk", { action, ids: target.ids, ...body })).results);
}

// ---- dialogs and forms ----

let target = { ids: incident ? [Number(incident)] : [] };

function open(name, wanted) {
  const dialog = one(`dialog#${name}`);
  if (!dialog || dialog.open) return;
  target = wanted ?? target;
  all(".wrong", dialog).forEach((each) => (each.hidden = true));
  dialog.showModal();
}

function read(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.name === "until") continue;
    if ("list" in field.dataset) (body[field.name] ??= []).push(...(field.checked ? [field.value] : []));
    else if ("flag" in field.dataset) body[field.name] = field.checked;
    else if ("number" in field.dataset) body[field.name] = Number(field.value);
    else if ("null" in field.dataset) body[field.name] = field.value.trim() || null;
    else body[field.name] = field.value;
  }
  const until = form.elements.namedItem("until");
  if (until) body.until = new Date(until.value).toISOString();
  return body;
}

async function submit(form) {
  const wrong = one(".wrong", form);
  const buttons = all("button", form);
  buttons.forEach((each) => (each.disabled = true));
  try {
    const { text, bad } = await act(form.dataset.action, read(form), target);
    form.closest("dialog")?.close();
    form.reset();
    finish(text, bad);
  } catch (error) {
    wrong.textContent = error.message;
    wrong.hidden = false;
  } finally {
    buttons.forEach((each) => (each.disabled = false));
  }
}

async function finish(text, bad) {
  if (!one("#live")) return sayAfterReload(text, bad);
  picked.clear();
  await refreshing; // it may have been asked before the action was done
  await refresh();
  say(text, bad);
}

async function actNow(action, body) {
  try {
    const { text, bad } = await act(action, body, target);
    finish(text, bad);
  } catch (error) {
    say(error.message, true);
  }
}

const pad = (number) => String(number).padStart(2, "0");

function asLocal(date) {
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.action) return;
  event.preventDefault();
  if (form.dataset.action === "comment" && incident) target = { ids: [Number(incident)] };
  submit(form);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const data = button.dataset;
  if (data.open) open(data.open);
  else if ("close" in data) button.closest("dialog").close();
  else if (data.do) open(data.do, whatIsMeant());
  else if (data.hours) one("[name=until]", button.form).value = asLocal(new Date(Date.now() + data.hours * 3600e3 + 30e3));
  else if (data.set) button.form.elements.namedItem(data.set).value = data.value;
  else if (data.assign) actNow("assign", { assignee: data.assign });
  else if (button.id === "unsnooze") actNow("unsnooze", {});
  else if (button.id === "run-again") actNow("rerun", {});
  else if (button.id === "unpick") unpick();
  else if (data.expand) expand(button);
  else if (data.release) releaseRows(button);
});

// ---- quarantined rows ----

function releaseRows(button) {
  const block = button.closest("[data-quarantine]");
  const rows = all("input[name=row_ids]:checked", block).map((each) => each.value);
  const some = button.dataset.release === "picked";
  const count = some ? rows.length : Number(block.dataset.rows);
  one("#release-what").textContent = `${count.toLocaleString("en")} row${count === 1 ? " goes" : "s go"}`;
  open("release-rows", { quarantine: block.dataset.quarantine, rows: some ? rows : null, ids: [] });
}

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.name === "row_ids") {
    const block = field.closest("[data-quarantine]");
    one("[data-release=picked]", block).disabled = !one("input[name=row_ids]:checked", block);
  } else if (field.classList.contains("pick")) {
    const id = Number(field.closest(".row").dataset.id);
    picked[field.checked ? "add" : "delete"](id);
    showPicked();
  } else if (field.id === "pick-all") {
    rows().forEach((row) => picked[field.checked ? "add" : "delete"](Number(row.dataset.id)));
    showPicked();
  } else if (field.form?.id === "filters" && field.type !== "search") {
    field.form.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  const cell = event.target.closest(".data td");
  if (cell && !event.target.closest("input") && !getSelection().toString()) cell.classList.toggle("full");
});

// An address with only the filters that are set is one that people can read and share.
one("#filters")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (value === "" || (name === "state" && value === "active") || (name === "sort" && value === "severity")) {
      event.formData.delete(name);
    }
  }
});

// ---- the list: selection, the current row, keys ----

const picked = new Set();
let current = null;
const rows = () => all("#list > li > .row");

function whatIsMeant() {
  if (incident) return { ids: [Number(incident)] };
  if (picked.size) return { ids: [...picked] };
  return { ids: current === null ? [] : [current] };
}

function showPicked() {
  const there = new Set(rows().map((row) => Number(row.dataset.id)));
  [...picked].filter((id) => !there.has(id)).forEach((id) => picked.delete(id));
  for (const row of rows()) {
    const on = picked.has(Number(row.dataset.id));
    row.classList.toggle("picked", on);
    const box = one(".pick", row);
    if (box) box.checked = on;
  }
  const bar = one("#bulk");
  if (!bar) return;
  bar.hidden = picked.size === 0;
  one("#picked").textContent = `${picked.size} selected`;
  const every = one("#pick-all");
  if (every) {
    every.checked = picked.size > 0 && picked.size === there.size;
    every.indeterminate = picked.size > 0 && picked.size < there.size;
  }
}

function unpick() {
  picked.clear();
  showPicked();
}

function makeCurrent(row, focus = true) {
  all(".row.current").forEach((each) => each.classList.remove("current"));
  current = row ? Number(row.dataset.id) : null;
  if (!row) return;
  row.classList.add("current");
  if (!focus) return;
  one(".sentence", row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const every = rows();
  const at = every.findIndex((row) => Number(row.dataset.id) === current);
  const next = every[at < 0 ? (step > 0 ? 0 : every.length - 1) : Math.min(Math.max(at + step, 0), every.length - 1)];
  if (next) makeCurrent(next);
}

document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("#list > li > .row");
  if (row && Number(row.dataset.id) !== current) makeCurrent(row, false);
});

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  x: () => one(`#i${current} .pick`)?.click(),
  a: () => decide("acknowledge"),
  s: () => decide("snooze"),
  r: () => decide("resolve"),
  u: () => one("[data-back]")?.click(),
  "/": () => one("input[name=text]")?.focus(),
  "?": () => open("help"),
  Enter: () => document.activeElement === document.body && one(`#i${current} .sentence`)?.click(),
  Escape: () => (picked.size ? unpick() : document.activeElement?.blur()),
};

function decide(action) {
  const wanted = whatIsMeant();
  if (!wanted.ids.length || !one(`dialog#${action}`)) return;
  if (action === "acknowledge") {
    // One key, as in mail: the comment is for who clicks.
    target = wanted;
    actNow("acknowledge", {});
  } else open(action, wanted);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (typing && event.key !== "Escape") return;
  if (event.key === "Escape" && typing) return event.target.blur();
  if (event.key === "Enter" && event.target !== document.body) return;
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

// ---- consequences ----

async function expand(button) {
  const item = button.closest("li");
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) return one(".nested", item)?.remove();
  try {
    const answer = await fetch(button.dataset.expand);
    if (!answer.ok) throw new Error();
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    item.append(document.adoptNode(one(".nested", found)));
  } catch {
    button.setAttribute("aria-expanded", "false");
    say("The consequences could not be read: try again.", true);
  }
}

// ---- refresh ----

let shown = one("#live")?.innerHTML ?? null;
let refreshing = null;

function refresh() {
  refreshing ??= readAgain().finally(() => (refreshing = null));
  return refreshing;
}

async function readAgain() {
  let found;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error();
    found = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!one("#live", found)) throw new Error();
  } catch {
    return showStale(true);
  }
  showStale(false);
  csrf = one('meta[name="csrf"]', found).content;
  document.title = found.title;
  for (const selector of [".health", "#tabs"]) {
    const [before, after] = [one(selector), one(selector, found)];
    if (before && after && before.innerHTML !== after.innerHTML) before.replaceChildren(...after.childNodes);
  }
  const fresh = one("#live", found);
  if (fresh.innerHTML === shown) return;
  shown = fresh.innerHTML;
  const opened = new Map(all("#list > li > .nested").map((nest) => [nest.parentElement.id, nest]));
  const focused = document.activeElement?.closest?.("#live .row") ? document.activeElement.className : null;
  one("#live").replaceChildren(...fresh.childNodes);
  for (const [id, nest] of opened) {
    const item = document.getElementById(id);
    item?.append(nest);
    one("[data-expand]", item ?? document.createElement("i"))?.setAttribute("aria-expanded", "true");
  }
  showPicked();
  const row = one(`#i${current} > .row`);
  makeCurrent(row, false);
  if (focused && row) one(`.${focused.split(" ")[0]}`, row)?.focus({ preventScroll: true });
}

function showStale(stale) {
  let note = one("#stale");
  if (stale && !note) {
    note = document.createElement("p");
    note.id = "stale";
    note.className = "notice bad";
    note.setAttribute("role", "status");
    note.textContent = "The server does not answer: what is shown may be out of date. It is asked again every 30 seconds.";
    one("#live").before(note);
  } else if (!stale) note?.remove();
}

if (one("#live")) {
  setInterval(() => {
    if (!document.hidden && !one("dialog[open]")) refresh();
  }, 30000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !one("dialog[open]")) refresh();
  });
  sessionStorage.setItem("headrace.list", location.href);
}

// ---- leaving the iframe ----
// Airflow shows plugins in an iframe that may neither navigate the page around it nor open tabs. A link that is put
// into that page for a moment may: it is of the same origin.

function leave(address, blank) {
  const link = window.parent.document.createElement("a");
  link.href = address;
  if (blank) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  window.parent.document.body.append(link);
  link.click();
  link.remove();
}

function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.button > 1) return;
  const href = link.href.baseVal === undefined ? link.href : new URL(link.href.baseVal, location.href).href;
  const wantsTab = event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey || link.dataset.leave === "blank";
  if (framed) {
    if (!wantsTab && !("leave" in link.dataset) && !("inbox" in link.dataset)) return;
    event.preventDefault();
    leave("inbox" in link.dataset && link.dataset.inbox && !wantsTab ? link.dataset.inbox : href, wantsTab);
  } else if (link.dataset.leave === "blank" && event.button === 0) {
    event.preventDefault();
    window.open(href, "_blank", "noopener,noreferrer");
  }
}
document.addEventListener("click", follow);
document.addEventListener("auxclick", follow);

const back = one("[data-back]");
const last = sessionStorage.getItem("headrace.list");
if (back && last && incident && new URL(last).pathname === new URL(back.href).pathname) back.href = last;

// What the incident is about is in sight where a chart or a graph is wider than the screen.
for (const box of all("[data-centre]")) {
  const focus = one(".focus, .halo", box);
  const left = (element) => element.getBoundingClientRect().left;
  box.scrollLeft = focus ? left(focus) - left(box) - box.clientWidth / 2 + 80 : box.scrollWidth;
}
sayWhatWasLeft();
