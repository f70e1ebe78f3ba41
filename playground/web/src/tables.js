// Where in a table of options a place is: fastcgi { … } takes read_timeout.

// enclosing returns the call whose table text ends in, and the names of the tables on the way:
// balance.rr and ["check"] behind balance.rr { check = {. null when it is none.
export function enclosing(text) {
  const path = [];
  let closed = 0; // brackets that are open and closed again behind the place looked at
  for (let i = text.length - 1; i >= 0; i--) {
    const c = text[i];
    if (c === '"' || c === "'") {
      i = text.lastIndexOf(c, i - 1);
      if (i < 0) return null;
    } else if ("})]".includes(c)) closed++;
    else if (!"{([".includes(c)) continue;
    else if (closed > 0) closed--;
    else {
      const before = text.slice(0, i);
      const field = /([A-Za-z_]\w*)\s*=\s*$/.exec(before);
      const call = /([A-Za-z_][\w.]*)\s*$/.exec(before);
      if (c === "{" && field) path.unshift(field[1]);
      else if (call) return { call: call[1], path };
    }
  }
  return null;
}

// optionsAt returns the options that can be written where text ends, as the parameters of the
// call describe them. find returns what a name means.
export function optionsAt(text, find) {
  if (!/[{,;]\s*\w*$/.test(text)) return [];
  const at = enclosing(text);
  let options = at && find(at.call)?.params?.find((p) => p.options)?.options;
  for (const name of at?.path ?? []) options = options?.find((o) => optionName(o) === name)?.options;
  return options ?? [];
}

// optionName is the name without the default.
export function optionName(option) {
  return option.name.split(" ")[0];
}
