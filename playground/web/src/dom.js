// Small helpers for the document. Text never becomes HTML.

export const $ = (id) => document.getElementById(id);

// make returns an element; props are properties, or attributes where the name has a dash or
// is "role".
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// rove makes the arrow keys go through the tabs of a list, of which one is in the tab order.
export function rove(list, choose) {
  list.addEventListener("keydown", (event) => {
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    choose(tab);
    // the tabs may have been made anew
    (tab.isConnected ? tab : list.querySelector("[aria-selected=true]"))?.focus();
  });
}

export function plural(n, one, many = one + "s") {
  return `${n} ${n === 1 ? one : many}`;
}

// tell is for users of screen readers.
export function tell(text) {
  $("said").textContent = text;
}

// say tells everybody, for a moment.
let timer;
export function say(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => ($("toast").hidden = true), 2500);
}
