// The requests that are kept, as tabs, and the form of the one that is chosen.

import { $, make, plural, rove, say } from "./dom.js";

const fields = ["method", "url", "headers", "body"];

export class Requests {
  // first are the requests of somebody who opens this script for the first time; changed()
  // is called when the chosen request is another one.
  constructor(store, first, file, changed) {
    this.store = store;
    this.file = file;
    this.changed = changed;
    this.all = store.get("requests") ?? first;
    this.at = Math.min(store.get("request") ?? 0, this.all.length - 1);
    for (const id of fields) $(id).addEventListener("input", () => this.edited());
    $("add").addEventListener("click", () => this.add());
    rove($("requests"), (tab) => this.choose(Number(tab.dataset.at)));
    $("requests").addEventListener("keydown", (event) => {
      if (event.key === "Delete") this.remove(this.at, true);
    });
    $("curl").addEventListener("click", () => copy(asCurl(this.current), "curl"));
    $("explain").addEventListener("click", () => copy(asExplain(this.current, this.file, $("backends").checked), "luaserve explain"));
    this.fill();
    this.draw();
  }

  get current() {
    return this.all[this.at];
  }

  edited() {
    for (const id of fields) this.current[id] = $(id).value;
    this.keep();
    this.draw();
  }

  keep() {
    this.store.set("requests", this.all);
    this.store.set("request", this.at);
  }

  choose(at) {
    this.at = at;
    this.keep();
    this.fill();
    this.draw();
    this.changed();
  }

  add() {
    this.all.push({ ...this.current });
    this.choose(this.all.length - 1);
    $("url").focus();
    $("url").select();
  }

  remove(at, focus) {
    if (this.all.length === 1) return;
    this.all.splice(at, 1);
    this.choose(Math.min(this.at > at ? this.at - 1 : this.at, this.all.length - 1));
    if (focus) $("requests").querySelector("[aria-selected=true]").focus();
  }

  fill() {
    for (const id of fields) $(id).value = this.current[id] ?? "";
    if (!$("method").value) $("method").value = "GET";
    $("more").open ||= Boolean(this.current.headers || this.current.body);
  }

  draw() {
    const tabs = this.all.map((r, i) => {
      const chosen = i === this.at;
      const close = this.all.length > 1 ? make("span", { className: "close", title: "Remove (Delete)", "aria-hidden": "true" }, "×") : null;
      const tab = make("button", { type: "button", role: "tab", id: `request-${i}`, "aria-selected": String(chosen), "aria-controls": "form", tabIndex: chosen ? 0 : -1, title: `${r.method} ${r.url}` },
        make("span", { className: "method" }, r.method), make("span", { className: "target" }, target(r.url)), close);
      tab.dataset.at = i;
      tab.addEventListener("click", (event) => (event.target === close ? this.remove(i, false) : this.choose(i)));
      return tab;
    });
    const focused = $("requests").contains(document.activeElement);
    $("requests").replaceChildren(...tabs);
    if (focused) tabs[this.at].focus();
    tabs[this.at].scrollIntoView({ block: "nearest", inline: "nearest" });
    const headers = headerLines(this.current).length;
    const body = new TextEncoder().encode(this.current.body ?? "").length;
    const parts = [headers ? plural(headers, "header") : "", body ? plural(body, "byte") + " of body" : ""].filter(Boolean);
    $("more-text").textContent = parts.length ? `Headers and body: ${parts.join(", ")}` : "Headers and body";
  }
}

// target is what a tab shows of a URL: the host only where it is not localhost.
function target(url) {
  const m = /^(?:https?:\/\/)?([^/]*)(\/.*)?$/.exec(url);
  if (!m) return url;
  const host = m[1].replace(/^localhost(:\d+)?$/, "");
  return host + (m[2] ?? "/");
}

function headerLines(request) {
  return (request.headers ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
}

// shell quotes a word for a POSIX shell.
function shell(word) {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function asCurl(r) {
  const words = ["curl", "-i"];
  if (r.method === "HEAD") words.push("--head");
  else if (r.method !== (r.body ? "POST" : "GET")) words.push("-X", r.method);
  for (const line of headerLines(r)) words.push("-H", shell(line));
  if (r.body) words.push("--data-binary", shell(r.body));
  words.push(shell(r.url));
  return words.join(" ");
}

function asExplain(r, file, backends) {
  const words = ["luaserve", "explain", shell(file), shell(r.method), shell(r.url)];
  for (const line of headerLines(r)) words.push("-H", shell(line));
  if (r.body) words.push("-d", shell(r.body));
  if (backends) words.push("--backends");
  return words.join(" ");
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied as ${what}`);
  } catch {
    say("The browser does not let this page copy");
  }
}
