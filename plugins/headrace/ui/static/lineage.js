// The graph of the lineage page: zoom, drag, search, keys, and the panel beside it. Without it the graph just scrolls.
"use strict";

(() => {
  const view = document.getElementById("view");
  const svg = view?.querySelector("svg.lineage");
  if (!svg) return;
  const byId = (id) => document.getElementById(id);
  const panel = byId("panel");
  const nodes = [...svg.querySelectorAll("a.node")];
  const edges = [...svg.querySelectorAll("path.edge")];
  const marks = [...svg.querySelectorAll(".by")];
  const boxes = new Map(nodes.map((node) => [node, node.querySelector(".box:not(.behind)").getBBox()]));
  const whole = { w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
  const asked = nodes.find((node) => node.classList.contains("focus")) ?? nodes[0];
  let shown = { x: 0, y: 0, w: whole.w, h: whole.h }; // what of the drawing is in sight
  let chosen = null;
  let hits = [];
  let hit = -1;

  const ratio = () => view.clientHeight / view.clientWidth;

  function show(x, y, w) {
    const width = Math.min(Math.max(w, 240), Math.max(whole.w, whole.h / ratio()) * 1.6);
    const height = width * ratio();
    // A corner of the drawing always stays in sight.
    const hold = (at, size, all) => Math.min(Math.max(at, -size * 0.8), all - size * 0.2);
    shown = { x: hold(x, width, whole.w), y: hold(y, height, whole.h), w: width, h: height };
    svg.setAttribute("viewBox", `${shown.x} ${shown.y} ${shown.w} ${shown.h}`);
  }

  function zoom(factor, at = { x: 0.5, y: 0.5 }) {
    const before = { ...shown };
    show(before.x, before.y, before.w / factor);
    show(before.x + (before.w - shown.w) * at.x, before.y + (before.h - shown.h) * at.y, shown.w);
  }

  function fit() {
    const width = Math.max(whole.w, whole.h / ratio());
    show((whole.w - width) / 2, (whole.h - width * ratio()) / 2, width);
  }

  function centre(node, width = shown.w) {
    const box = boxes.get(node);
    show(box.x + box.width / 2 - width / 2, box.y + box.height / 2 - (width * ratio()) / 2, width);
  }

  function reveal(node) {
    const box = boxes.get(node);
    const inside = (at, size, from, all) => at >= from && at + size <= from + all;
    if (!inside(box.x, box.width, shown.x, shown.w) || !inside(box.y, box.height, shown.y, shown.h)) centre(node);
  }

  let width = view.clientWidth;

  function keepScale() {
    const scale = width / shown.w;
    width = view.clientWidth;
    show(shown.x, shown.y, width / scale);
  }

  function begin() {
    // Whole if it can be read so, else what was asked about in the middle.
    const most = Math.min(innerHeight * 0.68, 720);
    const scale = Math.min(1, view.clientWidth / whole.w, most / whole.h);
    const legible = scale >= 0.7 ? scale : view.clientWidth < 600 ? 0.8 : 0.9;
    view.style.minHeight = `${Math.max(300, Math.min(most, whole.h * legible + 32))}px`;
    centre(asked, view.clientWidth / legible);
    const into = (at, size, all) => (size >= all ? (all - size) / 2 : Math.min(Math.max(at, 0), all - size)); // no empty half
    show(into(shown.x, shown.w, whole.w), into(shown.y, shown.h, whole.h), shown.w);
  }

  // ---- wheel, drag, pinch ----

  const where = (event) => {
    const area = view.getBoundingClientRect();
    return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height };
  };
  const fingers = new Map();
  let moved = false;

  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 300), where(event));
  }, { passive: false });

  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) moved = false;
    fingers.set(event.pointerId, where(event));
  });

  view.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = where(event);
    const far = Math.hypot((now.x - before.x) * view.clientWidth, (now.y - before.y) * view.clientHeight);
    if (!moved && far < 4) return;
    if (!moved) view.setPointerCapture(event.pointerId);
    moved = true;
    view.classList.add("dragged");
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const spread = (one) => Math.hypot((one.x - other.x) * view.clientWidth, (one.y - other.y) * view.clientHeight);
      zoom(spread(now) / Math.max(spread(before), 1), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (fingers.size === 1) {
      show(shown.x - (now.x - before.x) * shown.w, shown.y - (now.y - before.y) * shown.h, shown.w);
    }
    fingers.set(event.pointerId, now);
  });

  for (const name of ["pointerup", "pointercancel"]) {
    view.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      view.classList.toggle("dragged", fingers.size > 0 && moved);
    });
  }
  view.addEventListener("dragstart", (event) => event.preventDefault());
  view.addEventListener("click", (event) => {
    if (!moved) return;
    moved = false; // the end of a drag is no click
    event.preventDefault();
    event.stopPropagation();
  }, true);

  // ---- the panel ----

  const rowOf = (node) => byId(`row-${node.id}`);
  const nodeOf = (id) => nodes.find((node) => node.id === id);

  function choose(node, focus = false) {
    chosen?.classList.remove("chosen");
    chosen = node;
    light(node);
    panel.hidden = !node;
    if (!node) return;
    node.classList.add("chosen");
    const row = rowOf(node);
    byId("panel-h").textContent = row.querySelector("th").textContent.trim().replace(/\s+/g, " ");
    const list = panel.querySelector("dl");
    list.replaceChildren();
    for (const cell of row.querySelectorAll("td[data-label]")) {
      if (!cell.textContent.trim()) continue;
      const [name, what] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = cell.dataset.label;
      what.append(...[...cell.childNodes].map((each) => each.cloneNode(true)));
      list.append(name, what);
    }
    keepScale(); // the panel took some of the width
    reveal(node);
    if (focus) byId("panel-h").focus({ preventScroll: true });
    if (getComputedStyle(panel.parentElement).display === "block") panel.scrollIntoView({ block: "nearest" });
  }

  function light(node) {
    for (const edge of edges) edge.classList.toggle("lit", Boolean(node) && [edge.dataset.up, edge.dataset.down].includes(node.id));
  }

  function close() {
    const node = chosen;
    choose(null);
    keepScale();
    node?.focus({ preventScroll: true });
  }

  svg.addEventListener("click", (event) => {
    const node = event.target.closest("a.node");
    if (!node || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(node, true);
  });

  panel.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-node]");
    const node = link && nodeOf(link.dataset.node);
    if (!node) return;
    event.preventDefault();
    choose(node, true);
  });

  // ---- search ----

  const find = byId("find");

  function search() {
    const words = find.value.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
    hits = words.length ? nodes.filter((node) => words.every((word) => node.dataset.text.includes(word))) : [];
    hit = -1;
    const on = new Set((words.length ? hits : nodes).map((node) => node.id));
    for (const node of nodes) {
      node.classList.toggle("dim", !on.has(node.id));
      node.classList.remove("hit");
    }
    for (const edge of edges) edge.classList.toggle("dim", !(on.has(edge.dataset.up) && on.has(edge.dataset.down)));
    for (const mark of marks) mark.classList.toggle("dim", !on.has(mark.dataset.of));
    byId("hits").textContent = words.length ? `${hits.length} of ${nodes.length}` : "";
  }

  find.addEventListener("input", search);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && find.value) {
      find.value = "";
      search();
      event.stopPropagation();
    }
    if (event.key !== "Enter" || !hits.length) return;
    event.preventDefault();
    hits[hit]?.classList.remove("hit");
    hit = (hit + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
    hits[hit].classList.add("hit");
    centre(hits[hit], Math.min(shown.w, view.clientWidth));
    byId("hits").textContent = `${hit + 1} of ${hits.length}`;
  });

  const middle = (node) => boxes.get(node).y;
  const nearest = (from, some) => some.sort((a, b) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0];

  const along = (here, there) => (node) => nearest(node, edges.filter((edge) => edge.dataset[here] === node.id).map((edge) => nodeOf(edge.dataset[there])));
  const beside = (sign) => (node) => nearest(node, nodes.filter((other) => boxes.get(other).x === boxes.get(node).x && sign * (middle(other) - middle(node)) > 0));
  const STEPS = { ArrowRight: along("up", "down"), ArrowLeft: along("down", "up"), ArrowDown: beside(1), ArrowUp: beside(-1) };
  const ZOOMS = { "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const node = event.target.closest?.("a.node");
    const step = node && STEPS[event.key];
    const does = event.key === "Escape" && chosen ? close : step ? () => step(node)?.focus({ preventScroll: true }) : ZOOMS[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    does();
  });
  svg.addEventListener("focusin", (event) => {
    const node = event.target.closest("a.node");
    if (!node) return;
    view.scrollTo(0, 0);
    reveal(node);
    if (!chosen) light(node);
  });

  byId("in").addEventListener("click", () => zoom(1.3));
  byId("out").addEventListener("click", () => zoom(1 / 1.3));
  byId("fit").addEventListener("click", fit);
  byId("centre").addEventListener("click", () => centre(chosen ?? asked, Math.min(shown.w, view.clientWidth)));
  byId("close").addEventListener("click", close);
  new ResizeObserver(keepScale).observe(view);
  byId("tools").hidden = false;
  view.classList.add("live");
  begin();
})();
