// Where in a table of options a place is: fastcgi { … } takes read_timeout.

// What a script consists of, as far as that matters here: comments, strings, names, brackets.
const tokens = /(?:--)?\[(=*)\[[^]*?(?:\]\1\]|$)|--.*|"(?:\\[^]|[^"\\\n])*"?|'(?:\\[^]|[^'\\\n])*'?|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\.?|[=~<>]=|\S/g;

// enclosing returns the table that text ends in: the call that gets it, the number of the argument,
// and the names on the way: balance.rr, 0, ["check"] behind balance.rr { check = {. It is null in
// none, and where no name of an option can begin.
export function enclosing(text) {
  const open = []; // brackets
  let last = "", name = "", field = "", fresh = false, wasFresh = false;
  for (const m of text.matchAll(tokens)) {
    const token = m[0], end = m.index + token.length === text.length;
    if (token.startsWith("--")) {
      if (end) return null;
      continue;
    }
    if (/^\[=*\[|^["']/.test(token) && end) return null;
    wasFresh = end && /^\w/.test(token) ? fresh : false;
    fresh = false;
    if ("{([".includes(token)) {
      open.push({ token, call: name, field, argument: 0 });
      fresh = token === "{";
    } else if ("})]".includes(token)) open.pop();
    else if (token === "," || token === ";") {
      if (open.length) open.at(-1).argument++;
      fresh = true;
    }
    field = token === "=" ? (/^\w/.test(last) ? last : "?") : "";
    name = /^\w/.test(token) ? token : "";
    last = token;
  }
  return fresh || wasFresh ? table(open) : null;
}

function table(open) {
  if (open.at(-1)?.token !== "{") return null;
  const path = [];
  for (const bracket of open.toReversed()) {
    if (bracket.token === "[") return null;
    if (bracket.field) path.unshift(bracket.field);
    else if (bracket.call) return { call: bracket.call, argument: bracket.token === "(" ? bracket.argument : 0, path };
    else if (bracket.token === "(") return null;
  }
  return null;
}

// optionsAt returns the options that can be written where text ends, as the parameters of the
// call describe them. find returns what a name means.
export function optionsAt(text, find) {
  const at = enclosing(text);
  let options = at && find(at.call)?.params?.[at.argument]?.options;
  for (const name of at?.path ?? []) options = options?.find((o) => optionName(o) === name)?.options;
  return options ?? [];
}

// optionName is the name without the default.
export function optionName(option) {
  return option.name.split(" ")[0];
}
