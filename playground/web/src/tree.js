// The pipeline as a tree (https://www.w3.org/WAI/ARIA/apg/patterns/treeview/). All rows are
// of one height and only those in sight are in the document, so that the size of the
// pipeline does not matter.

import { make, plural } from "./dom.js";

const height = 28;
const many = 200; // places; beyond it only what the request met is open at first
const fewMisses = 4; // conditions in a row that do not hold are worth a row each

export class Tree {
  // on.chosen(place) is told of an action that was clicked, or chosen by Enter.
  constructor(element, on) {
    this.element = element;
    this.on = on;
    this.rows = [];
    this.open = new Map(); // by id, what the user has opened or closed
    this.only = false;
    this.active = 0;
    this.line = 0;
    this.sheet = make("div", { className: "sheet", role: "none" });
    element.append(this.sheet);
    element.addEventListener("scroll", () => this.draw());
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("focus", () => this.draw());
    element.addEventListener("blur", () => this.draw());
    element.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(element);
  }

  // show draws another pipeline, or the same with another path.
  show(root, ran) {
    this.root = root;
    this.ran = ran;
    this.size = 0;
    this.parents = new Map();
    const visit = (place, parent) => {
      this.size++;
      this.parents.set(place, parent);
      for (const child of place.children ?? []) visit(child, place);
    };
    if (root) visit(root, null);
    this.layout();
    if (ran) this.reveal();
  }

  setOnly(only) {
    this.only = only;
    this.layout();
  }

  expandAll(open) {
    this.open.clear();
    for (const place of this.parents.keys()) if (place.children) this.open.set(place.id, open);
    this.layout();
  }

  // large says that only what the request met is open at first.
  get large() {
    return this.size > many;
  }

  isOpen(place) {
    return this.open.get(place.id) ?? (!this.large || Boolean(place.met));
  }

  // layout makes the rows of what is open.
  layout() {
    const before = this.rows[this.active];
    this.rows = [];
    if (this.root) this.row(this.root.children ?? [], 0, []);
    if (this.root?.more) this.rows.push({ kind: "note", text: "More actions than can be shown.", level: 0, lit: [] });
    const same = before ? this.rows.findIndex((r) => r.key === before.key) : -1;
    this.active = Math.max(same, 0);
    this.sheet.style.height = `${this.rows.length * height}px`;
    this.draw();
  }

  row(places, level, lit) {
    if (this.ran && this.only) places = places.filter((p) => p.met);
    for (let i = 0; i < places.length; i++) {
      const misses = this.misses(places, i);
      if (misses > fewMisses && !this.open.get(`misses ${places[i].id}`)) {
        this.rows.push({ kind: "misses", key: `misses ${places[i].id}`, places: places.slice(i, i + misses), level, lit });
        i += misses - 1;
        continue;
      }
      this.place(places[i], level, lit, i + 1, places.length);
    }
  }

  // misses counts the conditions in a row that the request passed by.
  misses(places, from) {
    let n = 0;
    if (!this.ran) return 0;
    while (from + n < places.length && missed(places[from + n])) n++;
    return n;
  }

  place(place, level, lit, position, count) {
    this.rows.push({ kind: "place", key: place.id, place, level, lit, position, count });
    const inside = [...lit, Boolean(place.met)];
    const notes = notesOf(place);
    const open = this.isOpen(place);
    if (!open && (place.children?.length || notes.length)) return;
    for (const [i, note] of notes.entries()) this.rows.push({ kind: "note", key: `${place.id} note ${i}`, ...note, place, level: level + 1, lit: inside });
    this.row(place.children ?? [], level + 1, inside);
    if (place.more) this.rows.push({ kind: "note", key: `${place.id} more`, text: "More actions than can be shown.", level: level + 1, lit: inside });
  }

  // draw puts the rows in sight into the document.
  draw() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(Math.floor(scrollTop / height) - 5, 0);
    const last = Math.min(Math.ceil((scrollTop + clientHeight) / height) + 5, this.rows.length);
    const focused = document.activeElement === this.element;
    const drawn = [];
    for (let i = first; i < last; i++) drawn.push(this.rowElement(this.rows[i], i, focused));
    this.sheet.replaceChildren(...drawn);
    if (this.rows.length && this.active >= first && this.active < last) this.element.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  rowElement(row, i, focused) {
    const place = row.place;
    const here = row.kind === "place" && this.line && place.line === this.line && place.file === this.file;
    const classes = ["row", row.kind];
    if (place?.met) classes.push("met");
    if (here) classes.push("here");
    if (this.ran && row.kind === "place" && !place.met) classes.push("unmet");
    if (decisive(place) && row.kind === "place") classes.push("decisive");
    if (focused && i === this.active) classes.push("active");
    const element = make("div", { className: classes.join(" "), id: `row-${i}`, role: "treeitem", "aria-level": row.level + 1, "aria-selected": String(i === this.active) });
    element.style.top = `${i * height}px`;
    for (const on of row.lit) element.append(make("span", { className: on ? "guide lit" : "guide" }));
    const openable = row.kind === "misses" || row.kind === "place" && this.openable(place);
    if (openable) {
      const open = row.kind === "place" && this.isOpen(place);
      element.setAttribute("aria-expanded", String(open));
      element.append(make("span", { className: open ? "twisty open" : "twisty" }));
    } else element.append(make("span", { className: "twisty none" }));
    if (row.kind === "place") {
      element.setAttribute("aria-setsize", row.count);
      element.setAttribute("aria-posinset", row.position);
      element.append(...describePlace(place, this.ran, this.file));
    } else if (row.kind === "misses") {
      const lines = row.places.map((p) => p.line);
      element.append(make("span", { className: "text" }, plural(row.places.length, "condition that does not hold", "conditions that do not hold")),
        make("span", { className: "place" }, `:${lines[0]}–${lines.at(-1)}`));
    } else element.append(make("span", { className: `text ${row.tone ?? ""}`, title: row.text }, row.text));
    return element;
  }

  openable(place) {
    return Boolean(place.children?.length && (!this.only || !this.ran || place.children.some((c) => c.met)) || notesOf(place).length);
  }

  toggle(row, open) {
    if (row.kind === "misses") this.open.set(row.key, true);
    else this.open.set(row.place.id, open);
    this.layout();
  }

  click(event) {
    const element = event.target.closest(".row");
    if (!element) return;
    const i = Number(element.id.slice(4));
    const row = this.rows[i];
    this.active = i;
    if (row.kind === "misses") this.toggle(row, true);
    else if (event.target.closest(".twisty") && this.openable(row.place)) this.toggle(row, !this.isOpen(row.place));
    else this.choose(row, false);
    this.draw();
  }

  choose(row, focus) {
    const place = row.place;
    if (place) this.on.chosen(this.placed(place), focus);
  }

  // placed is the action itself, or the one around it that stands in the script: those of
  // plugins have their places elsewhere.
  placed(place) {
    while (place && (place.file !== this.file || !place.line)) place = this.parents.get(place);
    return place;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = this.rows[this.active];
    if (!row) return;
    const openable = row.kind === "misses" || row.kind === "place" && this.openable(row.place);
    const open = row.kind === "place" && this.isOpen(row.place);
    const page = Math.max(Math.floor(this.element.clientHeight / height) - 1, 1);
    switch (event.key) {
      case "ArrowDown": this.move(this.active + 1); break;
      case "ArrowUp": this.move(this.active - 1); break;
      case "PageDown": this.move(this.active + page); break;
      case "PageUp": this.move(this.active - page); break;
      case "Home": this.move(0); break;
      case "End": this.move(this.rows.length - 1); break;
      case "ArrowRight":
        if (openable && !open) this.toggle(row, true);
        else if (openable) this.move(this.active + 1);
        break;
      case "ArrowLeft":
        if (openable && open) this.toggle(row, false);
        else {
          for (let i = this.active - 1; i >= 0; i--) {
            if (this.rows[i].level < row.level) {
              this.move(i);
              break;
            }
          }
        }
        break;
      case "Enter": case " ":
        if (row.kind === "misses") this.toggle(row, true);
        else this.choose(row, event.key === "Enter");
        break;
      default: return;
    }
    event.preventDefault();
  }

  move(to) {
    this.active = Math.min(Math.max(to, 0), this.rows.length - 1);
    this.scrollTo(this.active);
    this.draw();
  }

  scrollTo(i) {
    const { scrollTop, clientHeight } = this.element;
    if (i * height < scrollTop) this.element.scrollTop = i * height;
    else if ((i + 1) * height > scrollTop + clientHeight) this.element.scrollTop = (i + 1) * height - clientHeight;
  }

  // highlight marks the actions of a line, and shows the first of them.
  highlight(file, line) {
    this.file = file;
    this.line = line;
    const i = this.rows.findIndex((r) => r.kind === "place" && r.place.line === line && r.place.file === file);
    if (i >= 0 && document.activeElement !== this.element) {
      this.active = i;
      this.scrollTo(i);
    }
    this.draw();
  }

  // reveal shows the action that decided.
  reveal() {
    const i = this.rows.findIndex((r) => r.kind === "place" && decisive(r.place));
    if (i < 0) return;
    this.active = i;
    this.element.scrollTop = Math.max((i + 1) * height - this.element.clientHeight * 0.6, 0);
    this.draw();
  }
}

const step = (place) => place.steps?.at(-1);

function missed(place) {
  const s = step(place);
  return place.condition && !place.children?.some((c) => c.met) &&
    (!place.met || s && s.tests?.length === 1 && !s.tests[0].holds && !s.tests[0].error && !s.changes && !s.log && !s.error && !place.steps.some((x) => x.taken));
}

// decisive reports whether the request was answered here, or failed.
export function decisive(place) {
  return Boolean(place?.steps?.some((s) => s.claimed || s.error || s.reached));
}

function quote(text) {
  return JSON.stringify(text);
}

// describePlace are the parts of the row of an action.
function describePlace(place, ran, file) {
  const s = step(place);
  const out = [make("span", { className: "dot" })];
  if (place.label) out.push(make("span", { className: "label" }, place.label));
  if (place.else && place.name !== "else") out.push(make("span", { className: "else" }, "else"));
  if (!(place.name === "list" && place.label)) out.push(make("span", { className: "name" }, place.name));
  const detail = place.condition || place.args?.join(", ") || "";
  if (detail) out.push(make("span", { className: "detail", title: detail }, detail));
  if (s) {
    const test = s.tests?.length === 1 ? s.tests[0] : null;
    if (test) {
      if (test.value !== undefined) out.push(make("span", { className: "saw", title: `saw ${quote(test.value)}` }, `saw ${quote(test.value)}`));
      out.push(make("span", { className: test.holds ? "verdict yes" : "verdict no" }, test.error ? "failed" : test.holds ? "yes" : "no"));
    }
    if (s.lua) out.push(make("span", { className: "time" }, `Lua ${duration(s.lua)}`));
    if (s.error) out.push(make("span", { className: "verdict bad" }, "failed"));
    else if (s.reached) out.push(make("span", { className: "verdict reached" }, "reached, not asked"));
    else if (s.claimed) out.push(make("span", { className: "verdict answers" }, "answers"));
    if (place.steps.length > 1) out.push(make("span", { className: "time" }, `${place.steps.length} times`));
  } else if (ran && place.met && place.name === "else") out.push(make("span", { className: "verdict yes" }, "taken"));
  if (place.line) out.push(make("span", { className: "place" }, `${place.file === file ? "" : place.file.replace(/^.*[/:]/, "")}:${place.line}`));
  return out;
}

// duration is a time in microseconds as text.
export function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

// notesOf are the rows below an action: what it tested in parts, changed and said.
function notesOf(place) {
  const notes = [];
  const parts = (test, indent) => {
    for (const part of test.parts ?? []) {
      notes.push({ text: `${indent}${part.condition}${part.value === undefined ? "" : ` saw ${quote(part.value)}`}: ${part.error ?? (part.holds ? "yes" : "no")}`, tone: part.holds ? "good" : "" });
      parts(part, indent + "  ");
    }
  };
  for (const s of place.steps ?? []) {
    for (const test of s.tests ?? []) {
      if (s.tests.length > 1) notes.push({ text: `${test.condition}: ${test.holds ? "yes" : "no"}`, tone: test.holds ? "good" : "" });
      parts(test, "");
      if (test.error) notes.push({ text: test.error, tone: "bad" });
    }
    for (const c of s.changes ?? []) {
      const text = c.before === null ? `${c.what} = ${quote(c.after)}` : c.after === null ? `${c.what} removed, was ${quote(c.before)}` : `${c.what}: ${quote(c.before)} → ${quote(c.after)}`;
      notes.push({ text, tone: "change" });
    }
    for (const line of s.log ?? []) notes.push({ text: `log: ${line}`, tone: "log" });
    for (const line of s.error ? s.error.trim().split("\n") : []) notes.push({ text: line, tone: "bad" });
  }
  return notes;
}
