// Pictures of the page with made-up data, to look at: many widths, light and dark.
//
//   node test/pictures.mjs OUT CHROMIUM [SCENE...]
//
// It bundles the page, serves it with each scene's data on loopback, and writes one PNG for each scene, width and theme.
// It checks nothing but that the page does not scroll sideways; the tests are in browser.mjs.

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { scenes } from "./scenes.mjs";

const [out, executablePath, ...wanted] = process.argv.slice(2);
const here = path.join(import.meta.dirname, "..");
const work = await mkdtemp(path.join(tmpdir(), "dashboard-pictures-"));
execFileSync("node", ["build.mjs", path.join(work, "page")], { cwd: here, stdio: "inherit" });
await mkdir(out, { recursive: true });

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
/** As the server sends it, so that what it forbids is noticed here. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** Requests are answered as `/SCENE/all`, `/SCENE/dashboard/` and so on. */
const server = createServer(async (request, response) => {
  const { pathname, search } = new URL(request.url, "http://localhost");
  const [, name, ...rest] = pathname.split("/");
  const target = rest.join("/") + search;
  const answers = scenes[name]?.answers;
  if (answers === undefined || (scenes[name].isGone?.() ?? false)) {
    response.destroy();
  } else if (rest[0] === "dashboard") {
    const file = rest[1] || "index.html";
    const body = await readFile(path.join(work, "page", file)).catch(() => "");
    response.setHeader("Content-Type", TYPES[path.extname(file)] ?? "text/plain");
    response.setHeader("Content-Security-Policy", POLICY);
    response.end(body);
  } else if (answers[target] === undefined) {
    response.statusCode = 404;
    response.end();
  } else {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answers[target]));
  }
}).listen(0, "127.0.0.1");

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
for (const [name, scene] of Object.entries(scenes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const width of scene.widths ?? [390, 1440, 3840]) {
    const page = await browser.newPage({ viewport: { width, height: width > 2000 ? 2160 : width < 500 ? 844 : 900 } });
    page.on("console", (message) => message.type() === "error" && !scene.isGone && console.log(name, message.text()));
    // Drawing by software is slow on a busy machine.
    page.setDefaultTimeout(120_000);
    page.on("pageerror", (error) => console.log(name, error.message));
    await page.goto(`http://127.0.0.1:${server.address().port}/${name}/dashboard/`);
    await page.waitForSelector("body[data-state=live]:not(.loading)");
    await scene.then?.(page);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (overflow > 0) console.log(`${name} at ${width}: ${overflow} pixels too wide`);
    for (const colorScheme of scene.themes ?? ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(300);
      await page.screenshot({ path: path.join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    await page.close();
  }
}
await browser.close();
server.close();
server.closeAllConnections();
await rm(work, { recursive: true, force: true });
