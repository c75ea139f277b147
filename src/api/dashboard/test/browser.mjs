// The page in a real browser, against the real server.
//
//   node test/browser.mjs ADDRESS CHROMIUM PICTURES
//
// It is run by tests/dashboard.rs, which obeys the orders that are written to standard output here (`publish few`,
// `stop`) and answers each with a line. Everything waits for what must be seen, with a deadline; nothing sleeps.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [address, executablePath, pictures] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function order(text) {
  console.log(text);
  assert.equal((await answers.next()).value, "done", text);
}

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const SOFTWARE_WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
const NO_WEBGL = ["--disable-3d-apis"];

/** Pixels; a large station measures 36. */
const STRIDE = 20;
/** Longer than two refreshes of the page, on a busy machine. */
const PATIENCE_MS = 30_000;

async function inBrowser(flags, job) {
  const profile = await mkdtemp(path.join(tmpdir(), "dashboard-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: [...FLAGS, ...flags],
    viewport: { width: 1280, height: 900 },
  });
  try {
    context.setDefaultTimeout(PATIENCE_MS);
    const page = context.pages()[0];
    const complaints = [];
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(new URL("/", address).href)) complaints.push(`asked ${request.url()}`);
    });
    await job(page, complaints);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

const texts = (page, selector) => page.locator(selector).allTextContents();
const picture = (page, name) => page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });

async function loaded(page) {
  await page.goto(address);
  await page.waitForSelector("body[data-state=live]:not(.loading)");
}

/** Waits until the texts of `selector` are these. */
async function becomes(page, selector, expected) {
  const seen = page.waitForFunction(
    ([selector, expected]) =>
      JSON.stringify([...document.querySelectorAll(selector)].map((found) => found.textContent)) === expected,
    [selector, JSON.stringify(expected)],
  );
  await seen.catch(async (error) => {
    assert.deepEqual(await texts(page, selector), expected, selector);
    throw error;
  });
}

const tests = {
  async "nothing to show"(page) {
    await order("publish nothing");
    await loaded(page);
    assert.equal(await page.title(), "TrafficAlerted");
    assert.equal(await page.textContent("#no-alerts"), "No events found");
    assert.ok(await page.isVisible("#no-alerts"));
    assert.equal(await page.textContent("#nothing"), "No host has sent 5MB or more in the last 170 seconds.");
    assert.deepEqual(await texts(page, "#limits li"), [
      "Traffic Alert: More than 1000MB per 170 seconds",
      "Scanning Alert: More than 15 hosts contacted per 170 seconds",
      "Port Scanning Alert: More than 100 ports contacted per 600 seconds",
    ]);
    await picture(page, "nothing");
  },

  async "a spinner until the first answer"(page) {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route("**/all", async (route) => {
      await held;
      await route.continue();
    });
    await page.goto(address);
    assert.ok(await page.isVisible("#flows .spinner"));
    release();
    await page.waitForSelector("#flows .spinner", { state: "hidden" });
    await page.unroute("**/all");
  },

  async "alerts are listed and sorted"(page) {
    await order("publish few");
    await loaded(page);
    assert.equal(await page.title(), "(2) TrafficAlerted");
    assert.deepEqual(await texts(page, "#alert-table thead th"), ["Event", "Source IP", "Destination IP", "Total MB"]);
    assert.deepEqual(await texts(page, "#alert-table td"), [
      "TRAFFIC+SCANNING", "10.1.1.1", "View", "32.070",
      "SCANNING_PORT", "fd00::1", "View", "5.000",
    ]);
    assert.equal(await page.getAttribute("#alert-table th:nth-child(4)", "aria-sort"), "descending");
    await page.click("#alert-table th:nth-child(1) button");
    assert.deepEqual((await texts(page, "#alert-table td:nth-child(1)")), ["SCANNING_PORT", "TRAFFIC+SCANNING"]);
    await page.click("#alert-table th:nth-child(1) button");
    assert.deepEqual((await texts(page, "#alert-table td:nth-child(1)")), ["TRAFFIC+SCANNING", "SCANNING_PORT"]);
    await page.focus("#alert-table th:nth-child(4) button");
    await page.keyboard.press("Enter");
    assert.equal(await page.getAttribute("#alert-table th:nth-child(4)", "aria-sort"), "descending");
    assert.deepEqual((await texts(page, "#alert-table td:nth-child(4)")), ["32.070", "5.000"]);
  },

  async "the list view has every flow"(page) {
    await page.click("#show-list");
    assert.deepEqual(await texts(page, "#flow-table td"), [
      "10.1.1.1", "10.9.9.9", "30.840",
      "10.1.1.10", "10.1.1.1", "9.000",
      "fd00::1", "fd00::2", "5.000",
      "10.1.1.1", "10.1.1.10", "1.230",
      "10.1.1.10", "10.9.9.9", "0.012",
    ]);
    await page.click("#flow-table th:nth-child(2) button");
    assert.deepEqual((await texts(page, "#flow-table td:nth-child(2)")), [
      "10.1.1.1", "10.1.1.10", "10.9.9.9", "10.9.9.9", "fd00::2",
    ]);
    assert.ok(!(await page.isVisible("#chart")));
    await picture(page, "list");
    await page.click("#show-chart");
    assert.ok(await page.isVisible("#chart"));
  },

  async "the chart is drawn and explains what is pointed at"(page) {
    assert.match(await page.getAttribute("#chart", "aria-label"), /5 hosts, 5 flows/);
    // The pointer visits the whole chart in strides smaller than the stations that are expected; the page keeps
    // what it was told on the way.
    await page.evaluate(() => {
      const tooltip = document.getElementById("tooltip");
      window.explained = new Set();
      new MutationObserver(() => window.explained.add(tooltip.textContent)).observe(tooltip, { childList: true });
    });
    const expected = [
      "10.1.1.1\n32.070 MB sent in total, 2 destinations shown",
      "10.9.9.9\n30.852 MB received in total, from 2 sources",
      "10.1.1.1 → 10.9.9.9\n30.840 MB",
    ];
    const box = await page.locator("#chart").boundingBox();
    let explained = [];
    for (let y = box.y + 8; y < box.y + box.height && !expected.every((text) => explained.includes(text)); y += STRIDE) {
      await page.mouse.move(box.x + 1, y);
      await page.mouse.move(box.x + box.width - 1, y, { steps: Math.ceil(box.width / STRIDE) });
      explained = await page.evaluate(() => [...window.explained]);
    }
    for (const text of expected) assert.ok(explained.includes(text), `${text} is not among ${JSON.stringify(explained)}`);
    await page.mouse.move(0, 0);
    await page.emulateMedia({ colorScheme: "light" });
    await picture(page, "few-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await picture(page, "few-dark");
    await page.emulateMedia({ colorScheme: "light" });
  },

  async "View opens the destinations, and they stay open over a refresh"(page) {
    await page.click("#alert-table >> button[aria-label='View destinations of 10.1.1.1']");
    assert.equal(await page.textContent("#destinations-title"), "Destinations of 10.1.1.1");
    assert.deepEqual(await texts(page, "#destination-table td"), ["10.9.9.9", "30.840", "10.1.1.10", "1.230"]);
    await page.click("#destination-table th:nth-child(1) button");
    assert.deepEqual(await texts(page, "#destination-table td:nth-child(1)"), ["10.1.1.10", "10.9.9.9"]);
    await picture(page, "destinations");
    await order("publish few changed");
    await becomes(page, "#destination-table td", ["10.1.1.10", "1.230", "10.9.9.9", "40.000"]);
    await page.keyboard.press("Escape");
    assert.ok(!(await page.isVisible("#destinations")));
  },

  async "a refresh keeps the order and the focus"(page) {
    await order("publish few");
    await becomes(page, "#alert-table td:nth-child(2)", ["10.1.1.1", "fd00::1"]);
    await page.focus("button[aria-label='View destinations of 10.1.1.1']");
    await order("publish few changed");
    await becomes(page, "#alert-table td", [
      "TRAFFIC", "10.1.1.10", "View", "89.000",
      "TRAFFIC+SCANNING", "10.1.1.1", "View", "41.230",
    ]);
    const focused = await page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    assert.equal(focused, "View destinations of 10.1.1.1");
  },

  async "full screen is dark and ends with the same button"(page) {
    await page.click("#full-screen");
    await page.waitForSelector("#flows.full");
    const paper = () => page.evaluate(() => getComputedStyle(document.getElementById("chart")).backgroundColor);
    assert.equal(await paper(), "rgb(10, 14, 20)");
    const box = await page.locator("#flows").boundingBox();
    assert.deepEqual([box.x, box.y], [0, 0]);
    assert.equal(await page.getAttribute("#full-screen", "aria-pressed"), "true");
    await picture(page, "full-screen");
    await page.click("#full-screen");
    await page.waitForSelector("#flows:not(.full)");
    assert.equal(await paper(), "rgb(255, 255, 255)");
  },

  async "the chart can be steered"(page) {
    for (const id of ["zoom-in", "zoom-out", "fit", "arrange"]) await page.click(`#${id}`);
    await page.focus("#chart");
    for (const key of ["ArrowLeft", "ArrowDown", "+", "-", "0"]) await page.keyboard.press(key);
  },

  async "many hosts"(page) {
    await order("publish crowd");
    await loaded(page);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await picture(page, `crowd-${scheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 380, height: 800 });
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok((await overflow()) <= 0, "a narrow page scrolls sideways");
    await picture(page, "crowd-narrow");
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "a server that is gone is said to be gone, and its return is noticed"(page, complaints) {
    await order("publish few");
    await becomes(page, "#alert-table td:nth-child(2)", ["10.1.1.1", "fd00::1"]);
    await order("stop");
    await page.waitForSelector("#outage:not([hidden])");
    assert.match(await page.textContent("#outage"), /does not answer.*what it said at/);
    assert.equal((await texts(page, "#alert-table tbody tr")).length, 2, "the last report stays");
    await picture(page, "outage");
    await order("start");
    await page.waitForSelector("#outage", { state: "hidden" });
    await page.waitForSelector("body[data-state=live]");
    // Failed fetches are written to the console by the browser itself.
    const refused = (text) => /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(text);
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !refused(text)));
  },

  async "what the browser loads is only ours, and nothing was complained about"(_, complaints) {
    assert.deepEqual(complaints, []);
  },
};

await inBrowser(SOFTWARE_WEBGL, async (page, complaints) => {
  for (const [name, job] of Object.entries(tests)) {
    try {
      await job(page, complaints);
    } catch (error) {
      await picture(page, "failure").catch(() => {});
      throw new Error(name, { cause: error });
    }
    console.log(`ok: ${name}`);
  }
});

await inBrowser(NO_WEBGL, async (page, complaints) => {
  await loaded(page);
  assert.ok(await page.isVisible("#list"), "without WebGL there is a list");
  assert.ok(await page.isVisible("#no-webgl"));
  assert.ok(await page.isDisabled("#show-chart"));
  assert.equal((await texts(page, "#flow-table tbody tr")).length, 5);
  await picture(page, "no-webgl");
  assert.deepEqual(complaints, []);
  console.log("ok: without WebGL there is a list");
});

process.exit(0);
