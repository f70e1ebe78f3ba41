// Adds a button to each URL of the page that shows the answer: its head, and plain text.
"use strict";

for (const link of document.querySelectorAll(".urls a")) {
  if (link.dataset.host) {
    link.hostname = link.dataset.host; // the port stays that of this page
    continue; // the browser does not show answers of other hosts
  }
  const button = document.createElement("button");
  button.textContent = "Try";
  button.addEventListener("click", () => show(link));
  link.parentElement.append(button);
}
for (const command of document.querySelectorAll(".command")) {
  command.textContent = command.textContent.replace("http://127.0.0.1:8080", location.origin);
}

async function show(link) {
  const row = link.parentElement;
  const output = row.querySelector("pre") ?? row.appendChild(document.createElement("pre"));
  output.textContent = "…";
  try {
    const answer = await fetch(link.href, { cache: "no-store" });
    const status = document.createElement("b");
    status.className = answer.ok ? "" : "bad";
    status.textContent = `${answer.status} ${answer.statusText}\n`;
    const head = [...answer.headers].map(([name, value]) => `${name}: ${value}\n`).join("");
    output.replaceChildren(status, head);
    if (answer.headers.get("Content-Type")?.startsWith("text/plain")) {
      await append(output, answer.body);
    }
  } catch (error) {
    output.textContent = String(error);
  }
}

// append writes the body as it comes, so that a stream can be seen streaming.
async function append(output, body) {
  output.append("\n");
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    output.append(piece.value);
  }
}
