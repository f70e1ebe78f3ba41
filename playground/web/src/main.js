// The page: what is typed is checked, requests are run, and the parts know of each other.

import { call, takeToken } from "./api.js";
import { $, make, plural, say, tell } from "./dom.js";
import { Editor } from "./editor.js";
import { Names } from "./names.js";
import { Requests } from "./requests.js";
import { Response } from "./response.js";
import { Store } from "./store.js";
import { Tree, duration } from "./tree.js";

const typing = 150; // milliseconds without a key before the script is checked
const narrow = matchMedia("(max-width: 899px)"); // as in style.css
const mac = /Mac|iP(hone|ad)/.test(navigator.platform);

class Page {
  constructor(script, names) {
    this.file = script.name;
    this.saves = script.save;
    this.revision = script.revision;
    this.saved = script.text;
    this.store = new Store(script.save ? script.name : "starter");
    const draft = script.save ? undefined : this.store.get("draft");
    $("file").textContent = script.save ? script.name : "unsaved script";
    $("save").textContent = script.save ? "Save" : "Download";

    this.tree = new Tree($("tree"), { chosen: (place, focus) => this.goTo(place, focus) });
    this.response = new Response((line) => this.goTo({ line }, true));
    this.requests = new Requests(this.store, firstRequests(script), script.name, () => $("live").checked && this.run(false));
    this.editor = new Editor($("editor"), draft ?? script.text, new Names(names), document.querySelector("meta[name=nonce]").content, {
      changed: () => this.changed(),
      moved: (line) => this.tree.highlight(this.file, line),
    });
    this.tree.highlight(this.file, 1);
    this.listen();
    this.mark();
    this.check();
  }

  listen() {
    $("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run(true);
    });
    $("save").addEventListener("click", () => this.save());
    for (const id of ["backends", "live"]) {
      $(id).checked = this.store.get(id) ?? false;
      $(id).addEventListener("change", () => {
        this.store.set(id, $(id).checked);
        if (id === "live" && $("live").checked) this.run(false);
      });
    }
    $("only").addEventListener("change", () => this.tree.setOnly($("only").checked));
    $("expand").addEventListener("click", () => {
      this.expanded = !this.expanded;
      this.tree.expandAll(this.expanded);
      this.nameExpand();
    });
    $("help").addEventListener("click", () => $("keys").showModal());
    $("run-key").textContent = mac ? "⌘ ⏎" : "Ctrl ⏎";
    for (const button of document.querySelectorAll(".views button")) button.addEventListener("click", () => this.view(button.dataset.view));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("beforeunload", (event) => {
      if (this.saves && this.editor.text !== this.saved) event.preventDefault();
    });
  }

  nameExpand() {
    $("expand").textContent = this.expanded ? "Collapse all" : "Expand all";
  }

  key(event) {
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === "Enter") this.run(true);
    else if (command && !event.shiftKey && event.key.toLowerCase() === "s") this.save();
    else if (event.altKey && !command && "1234".includes(event.key)) this.focus(["script", "request", "pipeline", "response"][event.key - 1]);
    else return;
    event.preventDefault();
  }

  focus(part) {
    if (part !== "request") this.view(part);
    if (part === "script") this.editor.view.focus();
    else if (part === "request") $("url").focus();
    else if (part === "pipeline") $("tree").focus();
    else document.querySelector(".part:not([hidden])").focus();
  }

  // view is what a narrow screen shows; a wide one shows all.
  view(name) {
    $("main").dataset.view = name;
    for (const button of document.querySelectorAll(".views button")) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    this.tree.draw();
  }

  changed() {
    this.mark();
    if (!this.saves) this.store.set("draft", this.editor.text);
    if (this.answered) document.body.classList.add("old-response");
    document.body.classList.add("old-tree");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => ($("live").checked ? this.run(false) : this.check()), typing);
  }

  // mark shows whether the script is saved.
  mark() {
    $("dirty").hidden = !this.saves || this.editor.text === this.saved;
  }

  // ask makes a call that takes the place of the one before, if that is not answered yet.
  async ask(path, body) {
    this.asking?.abort();
    clearTimeout(this.timer);
    const asking = (this.asking = new AbortController());
    try {
      const answer = await call(path, body, asking.signal);
      notice("");
      return answer;
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    } finally {
      if (this.asking === asking) this.asking = null;
    }
  }

  async check() {
    try {
      const answer = await this.ask("api/check", { script: this.editor.text });
      if (!answer) return;
      this.ran = false;
      this.show(answer);
    } catch (error) {
      notice(error.message);
    }
  }

  // run runs the request. asked says that the user wants to see what becomes of it now.
  async run(asked) {
    $("run").setAttribute("aria-busy", "true");
    formError("");
    try {
      const answer = await this.ask("api/run", { script: this.editor.text, request: this.requests.current, backends: $("backends").checked });
      if (!answer) return;
      this.ran = Boolean(answer.result);
      this.show(answer);
      this.response.show(answer, this.file);
      this.answered = this.ran;
      document.body.classList.remove("old-response");
      if (asked && this.ran) {
        if (narrow.matches && $("main").dataset.view === "script") {
          this.view("pipeline");
          this.tree.reveal();
        }
        tell(`${answer.result.status} ${answer.reason}`);
      }
    } catch (error) {
      if (error.status === 422) formError(error.message);
      else notice(error.message);
    } finally {
      $("run").removeAttribute("aria-busy");
    }
  }

  show(answer) {
    const { problems, tree } = answer;
    this.editor.show(problems, this.file);
    this.showProblems(problems);
    if (!tree) return; // the one of before stays, in grey
    document.body.classList.remove("old-tree");
    this.tree.show(tree, this.ran);
    this.expanded ??= !this.tree.large;
    this.nameExpand();
    this.editor.meet(this.ran ? metLines(tree, this.file) : []);
    $("only-label").hidden = !this.ran;
    const all = count(tree) - 1; // without the pipeline itself
    $("path").textContent = this.ran ? `${count(tree, (p) => p.met) - 1} of ${plural(all, "action")} met in ${duration(answer.took * 1000)}` : plural(all, "action");
  }

  showProblems(problems) {
    const errors = problems.filter((p) => p.severity === "error").length;
    const others = problems.length - errors;
    const state = $("state");
    state.className = `chip ${errors ? "bad" : others ? "warn" : "good"}`;
    state.textContent = errors ? plural(errors, "error") : others ? plural(others, "hint") : "No problems";
    $("problems").hidden = problems.length === 0;
    $("problems").replaceChildren(...problems.map((p) => {
      const here = p.file === this.file && p.line;
      const place = p.line ? `${p.file}:${p.line}` : p.file;
      const row = make("button", { type: "button", className: p.severity }, make("span", { className: "message" }, p.message), make("span", { className: "place" }, place));
      if (here) row.addEventListener("click", () => this.goTo(p, true));
      else row.disabled = true;
      return make("li", {}, row);
    }));
  }

  // goTo shows the line of an action or a problem.
  goTo(place, focus) {
    if (!place?.line) return;
    if (focus) this.view("script");
    this.editor.go(place.line, focus, place.from);
    if (!focus && narrow.matches) this.view("script");
  }

  async save() {
    const text = this.editor.text;
    if (!this.saves) {
      const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/x-lua" })), download: "site.lua" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      say("Downloaded as site.lua");
      return;
    }
    try {
      const answer = await call("api/save", { script: text, revision: this.revision });
      this.revision = answer.revision;
      this.saved = text;
      this.mark();
      notice("");
      say("Saved");
    } catch (error) {
      notice(error.message);
    }
  }
}

function count(place, when = () => true) {
  return (when(place) ? 1 : 0) + (place.children ?? []).reduce((n, child) => n + count(child, when), 0);
}

function metLines(place, file, out = []) {
  if (place.met && place.file === file && place.line) out.push(place.line);
  for (const child of place.children ?? []) metLines(child, file, out);
  return out;
}

function firstRequests(script) {
  const get = (url) => ({ method: "GET", url, headers: "", body: "" });
  return script.save ? [get("http://localhost/")] : ["/hello?name=Ann", "/", "/old/page", "/nothing"].map((path) => get(`http://localhost${path}`));
}

// notice shows what went wrong with the page itself.
function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function formError(text) {
  $("form-error").textContent = text;
  $("form-error").hidden = !text;
}

async function start() {
  if (!takeToken()) throw new Error("Open the address that luaserve playground has printed: it has a key behind the #.");
  const [script, { names }] = await Promise.all([call("api/script"), call("api/complete")]);
  new Page(script, names);
}

start().catch((error) => {
  notice(error.message);
  $("state").textContent = "Not connected";
});
