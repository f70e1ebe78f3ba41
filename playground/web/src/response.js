// The response of the last request.

import { $, make, plural, rove } from "./dom.js";

const parts = ["body", "headers", "log"];

export class Response {
  // go(line) is called for places that are clicked.
  constructor(go) {
    this.go = go;
    for (const part of parts) $(`tab-${part}`).addEventListener("click", () => this.choose(part));
    rove($("parts"), (tab) => this.choose(tab.id.slice(4)));
    this.clear();
  }

  choose(part) {
    for (const p of parts) {
      $(`tab-${p}`).setAttribute("aria-selected", String(p === part));
      $(`tab-${p}`).tabIndex = p === part ? 0 : -1;
      $(`part-${p}`).hidden = p !== part;
    }
  }

  clear(text = "Run the request to see what the script answers.") {
    $("status").hidden = true;
    $("decided").replaceChildren();
    for (const part of parts) $(`part-${part}`).replaceChildren(make("p", { className: "empty" }, text));
    $("tab-headers").textContent = "Headers";
    $("tab-log").textContent = "Log";
  }

  show(answer, file) {
    const { result, log = [] } = answer;
    if (!result) {
      this.clear("The script cannot be loaded.");
      this.showLog(log);
      return;
    }
    const status = $("status");
    status.hidden = false;
    const asked = !result.decided?.reached;
    status.className = `chip ${result.status >= 500 ? "bad" : result.status >= 400 || !asked ? "warn" : "good"}`;
    status.textContent = asked ? `${result.status} ${answer.reason}` : "Backend not asked";
    $("decided").replaceChildren(...this.decided(result.decided, file));
    const header = result.header ?? [];
    $("tab-headers").textContent = `Headers (${header.length})`;
    $("part-headers").replaceChildren(header.length
      ? make("table", {}, make("tbody", {}, ...header.map((f) => make("tr", {}, make("th", { scope: "row" }, f.name), make("td", {}, f.value)))))
      : make("p", { className: "empty" }, "No header fields."));
    $("part-body").replaceChildren(...this.body(result));
    this.showLog(log);
  }

  decided(d, file) {
    if (!d) return [make("span", {}, "no rule has answered")];
    const text = d.failed ? "failed at " : "by ";
    const place = `${d.file || ""}:${d.line || ""}`;
    if (d.file !== file || !d.line) return [text, make("code", {}, d.line ? `${place} ${d.name}` : d.name)];
    const link = make("button", { type: "button", className: "link" }, make("code", {}, `${place} ${d.name}`));
    link.addEventListener("click", () => this.go(d.line));
    return [text, link];
  }

  body(result) {
    const notes = [];
    if (result.cut) notes.push(make("p", { className: "error" }, `The body broke off after ${plural(result.length, "byte")}: ${result.cut}`));
    if (result.binary) return [...notes, make("p", { className: "empty" }, `${plural(result.length, "byte")} that are no text.`)];
    if (result.length === 0) return [...notes, make("p", { className: "empty" }, result.decided?.reached ? "The request reached a backend. Check “Ask backends” to have it really asked." : "The body is empty.")];
    const shown = new TextEncoder().encode(result.body).length;
    if (shown < result.length) notes.push(make("p", { className: "empty" }, `The first ${plural(shown, "byte")} of ${result.length}:`));
    return [...notes, make("pre", {}, pretty(result))];
  }

  showLog(log) {
    $("tab-log").textContent = log.length ? `Log (${log.length})` : "Log";
    $("part-log").replaceChildren(log.length
      ? make("ul", { className: "log" }, ...log.map((l) => make("li", { className: l.level }, make("span", { className: "level" }, l.level), l.message)))
      : make("p", { className: "empty" }, "Nothing was logged."));
  }
}

// pretty indents JSON, and leaves all else as it is.
function pretty(result) {
  const type = result.header?.find((f) => f.name.toLowerCase() === "content-type")?.value ?? "";
  if (/[/+]json\b/.test(type)) {
    try {
      return JSON.stringify(JSON.parse(result.body), null, 2);
    } catch {
      // it is shown as it came
    }
  }
  return result.body;
}
