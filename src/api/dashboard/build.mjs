// Bundles the dashboard, or its unit tests.
//
//   node build.mjs OUT           index.html, style.css, favicon.svg, main.js, licenses.txt
//   node build.mjs --tests OUT   one file per test, for `node --test`
//
// It fetches nothing and writes nowhere but to OUT.

import { build } from "esbuild";
import { cp, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";

const here = import.meta.dirname;

const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
};

async function page(out) {
  const { metafile } = await build({
    ...common,
    entryPoints: ["src/main.ts"],
    outfile: path.join(out, "main.js"),
    platform: "browser",
    minify: true,
    metafile: true,
    legalComments: "none",
  });
  await cp(path.join(here, "page"), out, { recursive: true });
  await writeFile(path.join(out, "licenses.txt"), await licenses(Object.keys(metafile.inputs)));
}

/** The licence of every package in the bundle: each requires its text in every copy. */
async function licenses(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name !== undefined) packages.add(name);
  }
  const texts = [];
  for (const name of [...packages].sort()) {
    const dir = path.join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(path.join(dir, "package.json"), "utf8"));
    const file = (await readdir(dir)).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} is in the bundle and has no licence file`);
    texts.push(`${name} ${version} (${license})\n\n${(await readFile(path.join(dir, file), "utf8")).trim()}\n`);
  }
  return `The dashboard contains these packages.\n\n${texts.join("\n----------------------------------------\n\n")}`;
}

async function tests(out) {
  const files = (await readdir(path.join(here, "test"))).filter((file) => file.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: files.map((file) => `test/${file}`),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    platform: "node",
  });
}

const args = process.argv.slice(2);
const job = args[0] === "--tests" ? tests : page;
const out = args.at(-1);
if (out === undefined || out.startsWith("--")) {
  console.error("usage: node build.mjs [--tests] OUT");
  process.exit(2);
}
await job(path.resolve(out));
