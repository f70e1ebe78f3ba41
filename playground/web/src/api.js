// The calls of the server. The token came with the address, behind the #; it is kept for
// reloads of this tab only.

const key = "luaserve-playground-token";

export function takeToken() {
  const token = location.hash.slice(1);
  if (token) {
    sessionStorage.setItem(key, token);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(key);
}

// call returns the answer of a call, or throws an Error with the message of the server and
// its status.
export async function call(path, body, signal) {
  const options = { headers: { "X-Playground-Token": sessionStorage.getItem(key) ?? "" }, signal };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The playground does not answer; is luaserve still running?");
  }
  if (response.ok) return response.json();
  const text = await response.text();
  const error = new Error(response.headers.get("Content-Type") === "application/json" ? JSON.parse(text).error : text.trim());
  error.status = response.status;
  throw error;
}
