// Bundles src/ into ../assets, with the licences of all that is in it, and writes the hashes
// of what went in and came out; "sha256sum -c built.sha256" and a test compare them.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync, copyFileSync } from "node:fs";
import { build } from "esbuild";

const result = await build({
  entryPoints: { app: "src/main.js" },
  bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none", metafile: true, outdir: "../assets",
});
await build({ entryPoints: { app: "src/style.css" }, bundle: true, minify: true, target: "chrome120", outdir: "../assets" });
copyFileSync("src/index.html", "../assets/index.html");

const packages = new Set(Object.keys(result.metafile.inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
const licences = [...packages].sort().map((name) => {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  return `${name} ${version} (${license})\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
});
writeFileSync("../assets/LICENSES.txt", `app.js contains these packages.\n\n${licences.join(`\n${"-".repeat(72)}\n\n`)}`);

const files = ["build.mjs", "package.json", "package-lock.json", ...readdirSync("src").map((name) => `src/${name}`), ...readdirSync("../assets").map((name) => `../assets/${name}`)];
const hashes = files.sort().map((name) => `${createHash("sha256").update(readFileSync(name)).digest("hex")}  ${name}\n`);
writeFileSync("built.sha256", hashes.join(""));
