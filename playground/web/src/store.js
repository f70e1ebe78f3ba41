// What the browser keeps of a script: requests, settings, and the text where there is no file.

export class Store {
  constructor(name) {
    this.prefix = `luaserve-playground ${name} `;
  }

  get(key) {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + key)) ?? undefined;
    } catch {
      return undefined; // another version wrote it, or nothing can be kept
    }
  }

  set(key, value) {
    try {
      localStorage.setItem(this.prefix + key, JSON.stringify(value));
    } catch {
      // the browser keeps nothing, or it is full; the page works all the same
    }
  }
}
