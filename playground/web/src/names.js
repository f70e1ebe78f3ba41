// What the reference knows of names: what can be completed at a place, and what the name at a
// place means. The list is made by the server from the tables of the modules.

import { snippetCompletion } from "@codemirror/autocomplete";
import { make } from "./dom.js";
import { optionName, optionsAt } from "./tables.js";

const keywords = ["and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in",
  "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"];

export class Names {
  constructor(names) {
    this.scopes = new Map();
    for (const name of names) {
      if (!this.scopes.has(name.scope)) this.scopes.set(name.scope, []);
      this.scopes.get(name.scope).push(name);
    }
    this.variables = new Set(this.in("").filter((n) => n.kind === "variable").map((n) => n.name));
    // the words that begin names of actions, and setup and action themselves
    this.words = new Set([...this.in("").filter((n) => n.kind !== "variable"), { name: "setup" }, { name: "action" }].map((n) => n.name.split(".")[0]));
  }

  in(scope) {
    return this.scopes.get(scope) ?? [];
  }

  // find returns the scope and the beginning of the name that text ends with: what is before
  // the cursor, or the name that it stands in.
  find(text) {
    const chain = /(?:[A-Za-z_]\w*(?:\[[^\]]*\])?\s*[.:]\s*)*(?:[A-Za-z_]\w*)?$/.exec(text)[0].replace(/\s+/g, "");
    const colon = /^(.*):(\w*)$/.exec(chain);
    if (colon && this.variables.has(colon[1].replace(/\[.*/, ""))) return { scope: "operator", name: colon[2] };
    const plain = chain.replace(/\[[^\]]*\]/g, "");
    for (const scope of ["setup", "action"]) {
      if (plain.startsWith(scope + ".")) return { scope, name: plain.slice(scope.length + 1) };
    }
    const parts = plain.split(/[.:]/);
    let object = parts[0] === "vr" ? "vrequest" : this.in("").find((n) => n.kind === "object" && n.name === parts[0])?.object;
    if (!object || parts.length === 1) return { scope: "", name: plain };
    for (const part of parts.slice(1, -1)) {
      object = this.in(object).find((n) => n.name === part)?.object;
      if (!object) return null;
    }
    return { scope: object, name: parts.at(-1), method: plain.at(-1 - parts.at(-1).length) === ":" };
  }

  // lookup returns what the name means that text ends with.
  lookup(text) {
    const at = this.find(text);
    return at && at.name ? this.in(at.scope).find((n) => n.name === at.name) : undefined;
  }

  // complete is a source of completions.
  complete = (context) => {
    const line = context.state.doc.lineAt(context.pos);
    const text = line.text.slice(0, context.pos - line.from);
    if (inString(text)) return null;
    const at = this.find(text);
    if (!at || (!context.explicit && !at.name && !/[.:]$/.test(text))) return null;
    let offered = this.in(at.scope).filter((n) => n.kind !== "object" || n.name);
    if (at.method !== undefined) offered = offered.filter((n) => at.scope === "lighty" || (n.kind === "method") === at.method || !at.method);
    const dot = at.name.lastIndexOf(".") + 1; // header.add is completed as a whole
    const options = offered.map((n) => option(n, at.name.slice(0, dot))).filter(Boolean);
    if (at.scope === "" && !dot) {
      const before = context.state.sliceDoc(Math.max(0, context.pos - 4000), context.pos);
      options.push(...optionsAt(before, (name) => this.lookup(name) ?? this.lookup("setup." + name)).map(tableOption));
      options.push(...["setup", "action"].map((label) => ({ label, type: "namespace" })));
      options.push(...keywords.map((label) => ({ label, type: "keyword", boost: -50 })));
      options.push(...locals(context.state.doc.toString(), context.pos).map((label) => ({ label, type: "variable", boost: 5 })));
    }
    return { from: context.pos - at.name.length + dot, options, validFor: /^[\w.]*$/ };
  };
}

// inString reports whether the end of a line stands in a short string or a comment.
function inString(text) {
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (c === '"' || c === "'") quote = c;
    else if (text.startsWith("--", i)) return true;
  }
  return quote !== "";
}

// locals are the names that the script itself has given before a place.
function locals(text, pos) {
  const found = new Set();
  for (const m of text.slice(0, pos).matchAll(/\blocal\s+(?:function\s+)?([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)/g)) {
    for (const name of m[1].split(/\s*,\s*/)) if (name !== "function") found.add(name);
  }
  if (/\bfunction\s*\w*\s*\(\s*vr\b/.test(text.slice(0, pos))) found.add("vr");
  return [...found];
}

const types = { setup: "function", action: "function", option: "property", operator: "method", combination: "function",
  field: "property", method: "method", variable: "variable", object: "namespace" };

function option(name, prefix) {
  if (!name.name.startsWith(prefix)) return null;
  const completion = {
    label: name.name.slice(prefix.length),
    detail: name.kind,
    type: types[name.kind],
    info: () => describe(name),
  };
  return snippetCompletion(name.snippet.slice(prefix.length), completion);
}

// tableOption is a completion of an option in a table.
function tableOption(o) {
  const name = optionName(o);
  return { label: name, detail: o.name.slice(name.length + 3) || "option", type: "property", boost: 20, apply: name + " = ",
    info: () => make("div", { className: "doc" }, make("p", {}, o.doc), o.options ? list(o.options) : "") };
}

// list returns what parameters are, and below each the options of the table that it takes.
function list(params) {
  return make("dl", {}, ...params.flatMap((p) => {
    const doc = make("dd", {}, p.doc);
    if (p.options) doc.append(list(p.options));
    return [make("dt", {}, p.name), doc];
  }));
}

// describe returns the text about a name, for a tooltip.
export function describe(name) {
  const box = make("div", { className: "doc" }, make("p", { className: "title" }, make("code", {}, name.title), " ", make("span", {}, name.kind)));
  box.append(make("p", {}, name.doc));
  if (name.params) box.append(list(name.params));
  if (name.example) box.append(make("pre", {}, name.example));
  return box;
}
