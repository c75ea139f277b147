// The page in a real browser, against the real server.
//
//   node test/browser.mjs ADDRESS CHROMIUM PICTURES
//
// It is run by tests/it/dashboard.rs, which executes the commands that are written to standard output here (`publish
// few`, `stop`) and answers each with a line. Each step waits for what must be visible, with a deadline; none sleeps.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
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
    // The policy of the page forbids scripts that it does not bring itself; this one is there before the policy.
    await page.addInitScript({ path: createRequire(import.meta.url).resolve("axe-core/axe.min.js") });
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

/** Ids of the banners that are seen. */
const banners = (page) =>
  page.evaluate(() => [...document.querySelectorAll("#banners p")].filter((p) => p.checkVisibility()).map((p) => p.id));

/** Replaces no-break spaces by spaces. */
const plain = (text) => text.replaceAll("\u00a0", " ");

/** Every text below `selector` that is seen and has less contrast than WCAG 2 asks for (1.4.3, level AA). */
const tooFaint = (page, selector) =>
  page.evaluate((selector) => {
    const channels = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (color) => {
      const [r, g, b] = channels(color)
        .slice(0, 3)
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const isOpaque = (color) => (channels(color)[3] ?? 1) === 1;
    const ground = (element) => {
      const color = getComputedStyle(element).backgroundColor;
      return isOpaque(color) || element.parentElement === null ? color : ground(element.parentElement);
    };
    const faint = [];
    for (const root of document.querySelectorAll(selector)) {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (walker.currentNode.data.trim() === "" || !element.checkVisibility()) continue;
        const [a, b] = [getComputedStyle(element).color, ground(element)].map(luminance);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
      }
    }
    return faint;
  }, selector);

/** Cells below `selector` whose text leaves them. */
const spilling = (page, selector) =>
  page.evaluate(
    (selector) =>
      [...document.querySelectorAll(selector)]
        .filter((cell) => cell.checkVisibility() && cell.scrollWidth > cell.clientWidth)
        .map((cell) => cell.textContent),
    selector,
  );

const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/** What axe finds fault with. */
async function faults(page) {
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
}

/** Kind, state and first clause of each alert in a list. */
const alertsIn = (page, list) =>
  page.evaluate(
    (list) =>
      [...document.querySelectorAll(`${list} > .alert`)].map((card) =>
        [".kind", ".state-word", "strong"].map((part) => card.querySelector(part).textContent).join(" | "),
      ),
    list,
  );

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
    assert.equal(await page.textContent("#no-alerts"), "✓ No open alerts: every host is within its limits.");
    for (const id of ["no-alerts", "no-closed", "nothing"]) assert.ok(await page.isVisible(`#${id}`), id);
    for (const id of ["possible", "host-region", "more-open", "more-closed"]) assert.ok(!(await page.isVisible(`#${id}`)), id);
    assert.equal(plain(await page.textContent("#nothing")), "No host has sent 5 MB or more in the last 170 seconds.");
    assert.deepEqual((await texts(page, "#limits li")).map(plain), [
      "A host may send 1 GB in 170 s. ByteLimit",
      "Off: bytes received are not limited. ReceivedByteLimit",
      "A host may contact 15 hosts in 170 s. One that contacts more is reported if its contacts look like a scan " +
        "(ScanEvidence: suspicious). NumberContactedIPs",
      "A host may contact 100 ports in 10 min. One that contacts more is reported if its contacts look like a scan " +
        "(ScanEvidence: suspicious). NumContactedPorts",
      "Off: packets within a second are not limited. PacketRateLimit",
      "Off: new hosts within a second are not limited. ContactRateLimit",
      "0.1 % of the frames may be lost in 170 s. LossLimit",
      "In 10.0.5.0/24: a host may send 20 GB in 170 s. LimitFor",
    ]);
    assert.deepEqual(await banners(page), []);
    assert.equal(await page.textContent("#verdict"), "No frame has been offered yet.");
    assert.deepEqual(await faults(page), []);
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
    assert.ok(await page.isVisible("#alerts .spinner"));
    release();
    await page.waitForSelector("#alerts .spinner", { state: "hidden" });
    await page.unroute("**/all");
  },

  async "alerts come first, with who, why and how sure"(page) {
    await order("publish few");
    await loaded(page);
    assert.equal(await page.title(), "(3) TrafficAlerted");
    const sections = await page.evaluate(() => [...document.querySelectorAll("main > section")].map(({ id }) => id));
    assert.deepEqual(sections, ["alerts", "closed", "hosts", "flows", "limits-card", "proof", "interfaces"]);
    assert.deepEqual(await alertsIn(page, "#open-alerts"), [
      "Port scanning | Open | fd00::1 contacted 120 ports in 10 min, the limit is 100",
      "Scanning | Open | 10.1.1.1 tried 253 hosts at TCP port 445 (SMB): 12 answered, 241 unanswered",
      "Traffic | Open | 10.1.1.1 sent 1.2 GB in 170 s, the limit is 1 GB",
    ]);
    assert.equal(await page.textContent("#alerts-brief"), "3 open");
    assert.deepEqual((await texts(page, "#open-alerts > li:nth-child(2) dd")).map(plain), [
      "253 hosts", "15 hosts in 170 s", "high confidence that it scans", "scanner (sweep)",
    ]);
    assert.deepEqual((await texts(page, "#open-alerts > li:nth-child(2) .line:not([hidden])")).map(plain), [
      "Why: 17 times the limit that NumberContactedIPs sets.",
      "Outcomes: 253 contacts: 12 answered, 241 unanswered.",
      "Ports: 445/tcp at 253 hosts",
    ]);
    assert.deepEqual((await page.locator("#open-alerts > li:nth-child(3) dd:visible").allTextContents()).map(plain), [
      "1.2 GB", "1 GB in 170 s", "certain, it was counted",
    ]);
    assert.match(await page.textContent("#open-alerts .when"), /^1 Jan, 12:0\d:\d\d \S+$/);
    assert.deepEqual(await texts(page, "#tile-alerts dd, #tile-busiest dd:first-of-type"), ["3", "2 hosts", "10.1.1.1"]);
  },

  async "evidence is opened by the keyboard and stays open over a refresh"(page) {
    const evidence = "#open-alerts > li:nth-child(2) .evidence";
    assert.equal(await page.textContent(`${evidence} .evidence-content`), "", "it is made when it is opened");
    await page.focus(`${evidence} > summary`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${evidence} table`);
    assert.deepEqual((await texts(page, `${evidence} caption`)), ["Busiest ports", "Some of the targets"]);
    assert.deepEqual((await texts(page, `${evidence} table:nth-of-type(2) td`)), ["10.1.2.3", "445/tcp", "unanswered"]);
    await order("publish few changed");
    await becomes(page, "#open-alerts .state-word", ["Open", "Open"]);
    assert.ok(await page.isVisible("#open-alerts .evidence table"));
    assert.ok(await page.evaluate(() => document.activeElement.matches(".evidence > summary")), "the focus stays");
    await order("publish few");
    await becomes(page, "#open-alerts .state-word", ["Open", "Open", "Open"]);
  },

  async "what is possible comes after what is certain and is said to be no more"(page) {
    await order("publish possible");
    await loaded(page);
    assert.deepEqual(await alertsIn(page, "#open-alerts"), [
      "Traffic | Open | 10.1.1.1 sent 1.1 GB in 170 s, the limit is 1 GB",
      "Traffic | Possible | 10.1.1.10 sent 900 MB, perhaps up to 1.1 GB, in 170 s, the limit is 1 GB",
      "Received traffic | Possible | fd00::9 received 700 MB, perhaps up to 1.21 GB, in 170 s, the limit is 1 GB",
    ]);
    assert.equal(await page.textContent("#alerts-brief"), "1 open, 2 possible");
    assert.match(await page.textContent("#possible"), /may exceed a limit/);
    assert.match(plain(await page.textContent("#open-alerts > li:nth-child(2) dl")), /900 MB counted, at most 1.1 GB/);
    assert.equal(await page.title(), "(1) TrafficAlerted");
    assert.deepEqual(await tooFaint(page, "#alerts"), []);
    await picture(page, "possible");
    await order("publish few");
    await page.waitForSelector("#possible", { state: "hidden" });
  },

  async "closed alerts are folded, come in parts, and are not sent again"(page) {
    await order("publish closed");
    await loaded(page);
    assert.equal(await page.textContent("#closed-brief"), "30 alerts");
    const shown = await alertsIn(page, "#closed-alerts");
    assert.deepEqual([shown.length, shown[0]], [8, "Traffic | Closed | 10.1.3.1 sent at most 1.2 GB in 170 s, the limit is 1 GB"]);
    assert.ok(!(await page.isVisible("#closed-alerts dl")));
    await page.click("#closed-alerts summary");
    assert.ok(await page.isVisible("#closed-alerts dl"));
    assert.match(plain(await page.textContent("#closed-alerts .ago")), /, lasted 5 min$/);
    await page.click("#more-closed");
    assert.equal((await alertsIn(page, "#closed-alerts")).length, 28);
    assert.equal(await page.textContent("#more-closed"), "Show the other 2");
    const focused = await page.evaluate(() => document.activeElement.closest("#closed-alerts > li:nth-child(9)") !== null);
    assert.ok(focused, "the focus is on the first of those that came");
    const again = await page.waitForResponse("**/alerts?state=closed");
    assert.equal(again.status(), 304);
    await order("publish few");
    await page.waitForSelector("#no-closed:not([hidden])");
  },

  async "hosts are sorted, searched, and shown in parts"(page) {
    await order("publish hosts");
    await loaded(page);
    assert.deepEqual(await texts(page, "#host-table thead th"), ["Host", "Rate", "Sent", "Share", "Sent to"]);
    assert.equal(await page.getAttribute("#host-table th:nth-child(3)", "aria-sort"), "descending");
    assert.deepEqual((await texts(page, "#host-table tbody tr:first-child td")).map(plain), [
      "10.2.0.250▲ Traffic", "11.7 Mbit/s", "250 MB", "< 1 %", "2",
    ]);
    const addresses = () => texts(page, "#host-table .address");
    assert.equal((await addresses()).length, 100);
    assert.equal(await page.textContent("#hosts-shown"), "Showing 100 of 250 hosts.");
    await page.click("#host-table th:nth-child(1) button");
    assert.deepEqual((await addresses()).slice(0, 3), ["10.2.0.1", "10.2.0.2", "10.2.0.3"], "by value, not by letter");
    await page.focus("#host-table th:nth-child(3) button");
    await page.keyboard.press("Enter");
    assert.deepEqual((await addresses()).slice(0, 2), ["10.2.0.250", "10.2.0.249"]);
    await page.click("#more-hosts");
    await page.click("#more-hosts");
    assert.equal((await addresses()).length, 250);
    assert.ok(!(await page.isVisible("#more-hosts")));

    await page.fill("#host-search", "10.2.0.24");
    assert.deepEqual(await addresses(), ["10.2.0.249", "10.2.0.248", "10.2.0.247", "10.2.0.246", "10.2.0.245", "10.2.0.244",
      "10.2.0.243", "10.2.0.242", "10.2.0.241", "10.2.0.240", "10.2.0.24"]);
    assert.equal(await page.textContent("#hosts-shown"), "Showing 11 hosts that match, of 250 hosts in all.");
    await page.fill("#host-search", "traffic");
    assert.deepEqual(await addresses(), ["10.2.0.250"]);
    await page.fill("#host-search", "198.51.100.77");
    assert.deepEqual(await texts(page, "#host-table .host"), ["10.2.0.77to 198.51.100.77 (70\u00a0MB)"]);
    await page.fill("#host-search", "<b>");
    assert.equal(await page.textContent("#hosts-shown"), "None of 250 hosts matches.");
    await page.fill("#host-search", "");
  },

  async "the largest flows are drawn and the others counted"(page) {
    assert.equal(plain(await page.textContent("#extent")), "The 30 largest of 500 flows: 20 % of the bytes.");
    assert.match(await page.getAttribute("#chart", "aria-label"), /60 hosts, 30 flows/);
    await order("publish few");
    await loaded(page);
    assert.equal(await page.textContent("#extent"), "All 5 flows.");
  },

  async "the list view has every flow"(page) {
    await page.click("#show-list");
    assert.deepEqual((await texts(page, "#flow-table td")).map(plain), [
      "10.1.1.1", "10.9.9.9", "30.8 MB",
      "10.1.1.10", "10.1.1.1", "9 MB",
      "fd00::1", "fd00::2", "5 MB",
      "10.1.1.1", "10.1.1.10", "1.23 MB",
      "10.1.1.10", "10.9.9.9", "12 kB",
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
    // The pointer moves over the whole chart in strides smaller than the expected stations; the page records the
    // tooltips.
    await page.evaluate(() => {
      const tooltip = document.getElementById("tooltip");
      window.explained = new Set();
      new MutationObserver(() => window.explained.add(tooltip.textContent)).observe(tooltip, { childList: true });
    });
    const expected = [
      "10.1.1.1\n▲ has an open alert\n32 MB sent in total, 2 destinations shown",
      "10.9.9.9\n30.8 MB received in total, from 2 sources",
      "10.1.1.1 → 10.9.9.9\n30.8 MB",
    ];
    const box = await page.locator("#chart").boundingBox();
    let explained = [];
    for (let y = box.y + 8; y < box.y + box.height && !expected.every((text) => explained.includes(text)); y += STRIDE) {
      await page.mouse.move(box.x + 1, y);
      await page.mouse.move(box.x + box.width - 1, y, { steps: Math.ceil(box.width / STRIDE) });
      explained = (await page.evaluate(() => [...window.explained])).map(plain);
    }
    for (const text of expected) assert.ok(explained.includes(text), `${text} is not among ${JSON.stringify(explained)}`);
    await page.mouse.move(0, 0);
    await page.emulateMedia({ colorScheme: "light" });
    await picture(page, "few-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await picture(page, "few-dark");
    await page.emulateMedia({ colorScheme: "light" });
  },

  async "destinations open from the table, and stay open over a refresh"(page) {
    await page.click("button[aria-label='View 2 destinations of 10.1.1.1']");
    assert.equal(await page.textContent("#destinations-title"), "Destinations of 10.1.1.1");
    const cells = async () => (await texts(page, "#destination-table td")).map(plain);
    assert.deepEqual(await cells(), ["10.9.9.9", "30.8 MB", "10.1.1.10", "1.23 MB"]);
    await page.click("#destination-table th:nth-child(1) button");
    assert.deepEqual(await texts(page, "#destination-table td:nth-child(1)"), ["10.1.1.10", "10.9.9.9"]);
    await picture(page, "destinations");
    await order("publish few changed");
    await becomes(page, "#destination-table td", ["10.1.1.10", "1.23\u00a0MB", "10.9.9.9", "40\u00a0MB"]);
    await page.keyboard.press("Escape");
    assert.ok(!(await page.isVisible("#destinations")));
  },

  async "a refresh keeps the focus"(page) {
    await order("publish few");
    await becomes(page, "#host-table .address", ["10.1.1.1", "10.1.1.10", "fd00::1"]);
    await page.focus("button[aria-label='View 2 destinations of 10.1.1.1']");
    await order("publish few changed");
    await becomes(page, "#host-table .address", ["10.1.1.10", "10.1.1.1"]);
    const focused = await page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    assert.equal(focused, "View 2 destinations of 10.1.1.1");
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
    for (const width of [380, 1440, 3840]) {
      await page.setViewportSize({ width, height: 1000 });
      assert.ok((await overflow(page)) <= 0, `${width} pixels scroll sideways`);
      await picture(page, `crowd-${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "axe finds no fault, light and dark, wide and narrow"(page) {
    await order("publish everything");
    await loaded(page);
    await page.click("#open-alerts .evidence > summary");
    await page.click("#closed-alerts summary");
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      for (const scheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: scheme });
        assert.deepEqual(await faults(page), [], `${scheme} at ${width}`);
        assert.deepEqual(await tooFaint(page, "main"), [], `${scheme} at ${width}`);
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "losses are said on top, once, and every frame is accounted for"(page) {
    await page.setViewportSize({ width: 1400, height: 1000 });
    await order("publish losing");
    await loaded(page);
    assert.deepEqual(await banners(page), ["losing"]);
    assert.equal(
      plain(await page.textContent("#losing")),
      "Frames are being lost: 2.17 % of the frames of the last 170 seconds. Every number here is too small. " +
        "Raise RingMemory or Workers.",
    );
    assert.equal(await page.getAttribute(":has(> #losing)", "role"), "alert");
    assert.equal(await page.getAttribute(":has(> #lost)", "role"), "status");
    assert.equal(
      plain(await page.textContent("#verdict")),
      "49,285,478 frames offered, 1,069,321 of them dropped (2.17 %).",
    );
    const cells = (await texts(page, "#frame-table tbody td, #frame-table tfoot td")).map(plain);
    assert.deepEqual(cells, [
      "Counted, as 61,235,492 IP packets with 58.7 GB", "47,100,925", "95.57 %",
      "Skipped: not IP, such as ARP, spanning tree or LLDP", "12,034", "0.02 %",
      "Skipped: malformed IP, another version than announced", "77", "< 0.01 %",
      "Skipped: leaving, where only entering packets count", "1,098,001", "2.23 %",
      "Dropped by the kernel, because a ring was full", "1,069,321", "2.17 %",
      "In the rings, not read yet", "5,120", "0.01 %",
      "49,285,478", "",
      "49,285,478", "adds up",
    ]);
    // The shown numbers add up as well.
    const shown = cells.filter((_, index) => index % 3 === 1).slice(0, 6).map((words) => Number(words.replaceAll(",", "")));
    assert.equal(shown.reduce((sum, frames) => sum + frames), 49_285_478);
    assert.deepEqual((await texts(page, "#remarks li")).map(plain), [
      "Wire exact: where the kernel has joined packets to one frame, the packets of the wire are counted.",
      "3,000,000 counted frames stood for several packets.",
      "12 joined frames counted as one packet, because nothing says how many they were.",
      "Spilled: 1,204 packets with 900 kB counted here and under no host, because a table was full. Raise MemoryLimit.",
      "Undecided: 4 exchanges of which nobody can say who began.",
      "17 frames dropped on this machine before any socket saw them; they are not among those offered.",
    ]);
    const widths = await page.evaluate(() =>
      [...document.querySelectorAll("#frame-bar > *")].map((part) => part.getBoundingClientRect().width),
    );
    assert.ok(widths[0] > 700 && widths.every((width) => width >= 4), `parts of the bar: ${widths}`);
  },

  async "a new number in a banner is no new banner"(page) {
    await page.evaluate(() => {
      window.touched = [];
      const note = (records) => {
        for (const { target, type } of records) {
          const element = target instanceof Element ? target : target.parentElement;
          window.touched.push(`${type} ${element.closest("[aria-live=off]") === null ? "spoken" : "silent"}`);
        }
      };
      const all = { attributes: true, characterData: true, childList: true, subtree: true };
      new MutationObserver(note).observe(document.getElementById("banners"), all);
    });
    // A refresh with the same numbers, and one with another.
    const answer = page.waitForResponse("**/accounting");
    await (await answer).finished();
    await order("publish losing more");
    await page.waitForFunction(() => document.querySelector("#losing .figure").textContent === "3.18\u00a0%");
    assert.deepEqual(await page.evaluate(() => window.touched), ["childList silent"]);
  },

  async "interfaces are listed with why, and sorted"(page) {
    assert.equal(await page.textContent("#interfaces-brief"), "3 monitored, 3 not, 2 gone");
    const seen = () => page.locator("#interface-table td:visible").allTextContents();
    assert.deepEqual((await seen()).map(plain), [
      "eth0", "yes", "54,134,567", "52.7 GB", "54,147,805\n4,211 missed", "43,098,712", "1,204 (< 0.01 %)",
      "eth1", "yes", "7,100,000", "5.99 GB", "7,100,065", "2,098,712", "−12 (< 0.01 %)",
      "eth10", "yesoffload suspected: we see 0.0021% of what eth10 receives", "21", "1 kB", "980,022", "0",
      "980,001 (> 99.99 %)",
      "lo", "no, excluded by the configuration", "–", "–", "1,200", "1,200", "–",
      "br-lan", "no, upper device: its packets are counted on the device below", "–", "–", "7,099,988", "7,099,988", "–",
      "veth3f2a1b9", "no, wire inside: both ends of this veth pair are on this host", "–", "–", "12", "12", "–",
    ]);
    const titles = (await texts(page, "#interface-table thead th")).join();
    assert.ok(!/drop|filter/i.test(titles), titles);
    assert.equal(await page.getAttribute("#interface-table td[data-title='Bytes in']", "title"), "52,771,223,344 bytes");
    const names = () => texts(page, "#interface-table td:nth-child(1)");
    await page.click("#interface-table th[data-title='Interface'] button");
    assert.deepEqual(await names(), ["br-lan", "eth0", "eth1", "eth10", "lo", "veth3f2a1b9"]);
    await page.click("#interface-table th[data-title='Unexplained'] button");
    assert.deepEqual((await names()).slice(0, 3), ["eth10", "eth0", "eth1"]);
    await page.click("#interface-table th[data-title='Bytes in'] button");

    assert.ok(!(await page.isVisible("#gone-table")), "what is gone is folded away");
    assert.equal(await page.textContent("#gone-brief"), "2 interfaces that are gone");
    await page.focus("#gone > summary");
    const outline = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    await page.keyboard.press("Enter");
    assert.ok(await page.isVisible("#gone-table"));
    assert.equal(await outline(), "solid", "where the focus is can be seen");
    assert.deepEqual((await page.locator("#gone-table td:visible").allTextContents()).map(plain), [
      "ppp7", "900", "450 kB", "900", "0",
      "older ones together", "4", "2 kB", "4", "0",
    ]);
  },

  async "the proof can be read on every screen"(page) {
    for (const width of [1400, 800, 390]) {
      await page.setViewportSize({ width, height: 1000 });
      assert.ok((await overflow(page)) <= 0, `${width} pixels scroll sideways`);
      assert.deepEqual(await spilling(page, "#proof td, #interfaces td"), [], `at ${width} pixels`);
      for (const scheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: scheme });
        assert.deepEqual(await tooFaint(page, "#banners, #proof, #interfaces"), [], `${scheme} at ${width}`);
        await picture(page, `losing-${width}-${scheme}`);
      }
    }
    await page.reload();
    await page.waitForSelector("body[data-state=live]");
    for (const [id, table] of [["proof-details", "frame-table"], ["interface-details", "interface-table"]]) {
      assert.ok(!(await page.isVisible(`#${table}`)), "a phone shows the verdicts only");
      await page.focus(`#${id} > summary`);
      await page.keyboard.press("Space");
      assert.ok(await page.isVisible(`#${table}`));
      await page.keyboard.press("Space");
    }
    assert.ok(await page.isVisible("#verdict"));
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await picture(page, `losing-390-${scheme}-folded`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "full screen keeps the banner"(page) {
    await page.click("#full-screen");
    await page.waitForSelector("#flows.full");
    assert.ok(await page.isVisible("#flows #losing"));
    assert.deepEqual(await tooFaint(page, "#banners"), []);
    await picture(page, "losing-full-screen");
    await page.click("#full-screen");
    await page.waitForSelector("#flows:not(.full)");
    assert.ok(await page.isVisible("body > #banners #losing"));
  },

  async "a few losses are said calmly, and those before the sockets once they grow"(page) {
    await order("publish lost");
    await page.waitForSelector("#lost:not([hidden])");
    assert.deepEqual(await banners(page), ["lost"]);
    assert.equal(
      plain(await page.textContent("#lost")),
      "Some frames of the last 170 seconds were lost: 31 of 9,876,543 (< 0.01 %). The traffic shown here lacks them.",
    );
    await order("publish lost before");
    await page.waitForSelector("#lost-before:not([hidden])");
    assert.deepEqual(await banners(page), ["lost-before"]);
    assert.match(await page.textContent("#lost-before"), /^Since this page was opened, 1,200 frames of this machine/);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      assert.deepEqual(await tooFaint(page, "#banners"), [], scheme);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await picture(page, "lost-before");
  },

  async "without losses nothing is said on top"(page) {
    await page.setViewportSize({ width: 1400, height: 1000 });
    await order("publish server");
    await loaded(page);
    assert.deepEqual(await banners(page), []);
    assert.equal(
      await page.textContent("#verdict"),
      "9,000 frames offered, every one accounted for, none dropped.",
    );
    assert.match(await page.textContent("#remarks"), /^Not wire exact/);
    assert.deepEqual((await page.locator("#interface-table td:visible").allTextContents()).map(plain), [
      "ens3", "yes", "5,000", "900 kB", "4,000", "6 MB", "5,000", "3,990", "−10 out (0.25 %)",
    ]);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await picture(page, `no-losses-1400-${scheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "without the accounting the rest goes on"(page, complaints) {
    await page.route("**/accounting", (route) => route.fulfill({ status: 404, body: "" }));
    await order("publish few");
    await page.waitForSelector("#proof-stale:not([hidden])");
    assert.match(await page.textContent("#proof-stale"), /^The server does not tell at present; this is what it told at/);
    assert.ok(await page.isVisible("#frame-table"), "the last numbers stay");
    await page.reload();
    await page.waitForSelector("body[data-state=live]");
    assert.equal(await page.textContent("#proof-stale"), "The server does not tell where its frames went.");
    assert.ok(!(await page.isVisible("#interfaces")) && !(await page.isVisible("#outage")));
    assert.equal((await alertsIn(page, "#open-alerts")).length, 3);
    // An accounting in another form is handled like none.
    await page.unroute("**/accounting");
    await page.route("**/accounting", (route) => route.fulfill({ json: { frames: 1 } }));
    await (await page.waitForResponse("**/accounting")).finished();
    assert.ok(await page.isVisible("#proof-stale"));
    // One that never arrives delays the rest for a short time only.
    await page.unroute("**/accounting");
    await page.route("**/accounting", () => {});
    await order("publish few changed");
    await becomes(page, "#host-table .address", ["10.1.1.10", "10.1.1.1"]);
    await page.unroute("**/accounting");
    await page.waitForSelector("#proof-stale", { state: "hidden" });
    await page.waitForSelector("#interfaces", { state: "visible" });
    const missing = (text) => /status of 404/.test(text);
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !missing(text)));
  },

  async "a server that is gone is said to be gone, and its return is noticed"(page, complaints) {
    await order("publish few");
    await becomes(page, "#host-table .address", ["10.1.1.1", "10.1.1.10", "fd00::1"]);
    await order("stop");
    await page.waitForSelector("#outage:not([hidden])");
    assert.match(await page.textContent("#outage"), /does not answer.*what it said at/);
    assert.equal((await alertsIn(page, "#open-alerts")).length, 3, "the last report stays");
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
