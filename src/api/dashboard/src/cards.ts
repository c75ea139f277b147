// The alerts as cards: a card stays the same element over refreshes, so that its focus and what was opened survive.

import {
  type Alert,
  hasOutdatedBytes,
  isCertain,
  limitWords,
  measuredWords,
  outcomeWords,
  outcomesSentence,
  portRanges,
  portsSentence,
  roleWords,
  sentence,
  sureness,
  titleWords,
  why,
} from "./alerts.ts";
import { make, setHidden } from "./elements.ts";
import { setText, setTextAndTitle } from "./table.ts";
import { type Clock, ago, span } from "./time.ts";
import { grouped, groupedCount, readableBytes, roughShare } from "./words.ts";

/** What the words of a card depend on besides its alert. */
export interface CardContext {
  readonly now: number;
  readonly clock: Clock;
}

/** A list of alerts of which the first are shown, and more when they are wanted. */
export class CardList {
  readonly #list: HTMLElement;
  readonly #more: HTMLButtonElement;
  readonly #step: number;
  readonly #cards = new Map<string, Card>();
  #alerts: readonly Alert[] = [];
  #context: CardContext | null = null;
  #max: number;

  constructor(list: HTMLElement, more: HTMLButtonElement, step: number) {
    this.#list = list;
    this.#more = more;
    this.#step = step;
    this.#max = step;
    more.addEventListener("click", () => {
      const first = this.#alerts[this.#max];
      this.#max += Math.max(this.#step, MORE);
      this.#render();
      // The button may be gone, so the focus goes to the first card that it has brought.
      if (first !== undefined) this.#cards.get(first.id)?.focus();
    });
  }

  show(alerts: readonly Alert[], context: CardContext): void {
    this.#alerts = alerts;
    this.#context = context;
    this.#render();
  }

  #render(): void {
    if (this.#context === null) return;
    const shown = this.#alerts.slice(0, this.#max);
    const wanted = new Set(shown.map(({ id }) => id));
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    const focused = document.activeElement;
    for (const [position, alert] of shown.entries()) {
      const card = this.#cardOf(alert.id);
      card.show(alert, this.#context);
      // Moving an element takes its focus away, so only those that are elsewhere are moved.
      const present = this.#list.children[position] ?? null;
      if (present !== card.element) this.#list.insertBefore(card.element, present);
    }
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#list.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
    const hidden = this.#alerts.length - shown.length;
    setHidden(this.#list, shown.length === 0);
    setHidden(this.#more, hidden === 0);
    if (hidden > 0) {
      const next = Math.min(hidden, Math.max(this.#step, MORE));
      setText(this.#more, `Show ${next === hidden ? `the other ${grouped(hidden)}` : `${next} more of ${grouped(hidden)}`}`);
    }
  }

  #cardOf(id: string): Card {
    let card = this.#cards.get(id);
    if (card === undefined) {
      card = new Card();
      this.#cards.set(id, card);
    }
    return card;
  }
}

/** Cards that a press of the button brings at least. */
const MORE = 20;

/** The words and the sign of each state; the sign is there for those who do not see its colour. */
const STATES: Readonly<Record<string, readonly [string, string]>> = {
  open: ["▲", "Open"],
  possible: ["?", "Possible"],
  closed: ["✓", "Closed"],
};

/** One alert. */
class Card {
  readonly element = make("li", "alert");
  readonly #head: HTMLElement;
  readonly #sign = make("span", "sign");
  readonly #state = make("span", "state-word");
  readonly #kind = make("span", "kind");
  readonly #muted = make("span", "tag");
  readonly #when = make("time", "when");
  readonly #ago = make("span", "ago");
  readonly #sentence = make("p", "sentence");
  readonly #lead = make("strong", "");
  readonly #besides = make("span", "");
  readonly #facts = new Facts(["Measured", "Limit", "How sure", "Role"]);
  readonly #why = new Line("Why", "why");
  readonly #outcomes = new Line("Outcomes", "");
  readonly #ports = new Line("Ports", "");
  readonly #evidence = new Evidence();
  /** A closed alert shows its facts when it is opened. */
  readonly #fold = make("details", "fold");
  readonly #summary = make("summary", "");
  #isFolded: boolean | null = null;

  constructor() {
    this.#sign.setAttribute("aria-hidden", "true");
    setText(this.#muted, "muted");
    this.#muted.title = "A mute holds back the notices about this alert.";
    this.#sentence.append(this.#lead, this.#besides);
    this.#head = make("div", "alert-head");
    const state = make("span", "tags");
    state.append(this.#sign, this.#state, this.#kind, this.#muted);
    const when = make("span", "times");
    when.append(this.#when, this.#ago);
    this.#head.append(state, when);
  }

  focus(): void {
    const target = this.#isFolded === true ? this.#summary : this.#evidence.summary;
    target.focus();
  }

  show(alert: Alert, context: CardContext): void {
    this.#arrange(alert.closedAt !== null);
    const state = alert.closedAt === null && !isCertain(alert) ? "possible" : alert.closedAt === null ? "open" : "closed";
    const [sign, word] = STATES[state] ?? ["", alert.state];
    if (this.element.dataset["state"] !== state) this.element.dataset["state"] = state;
    setText(this.#sign, sign);
    setText(this.#state, word);
    setText(this.#kind, titleWords(alert));
    setHidden(this.#muted, !alert.isMuted);
    this.#showTimes(alert, context);
    const [lead, besides] = sentence(alert);
    setText(this.#lead, lead);
    setText(this.#besides, besides);
    this.#facts.show([measuredWords(alert), limitWords(alert), sureness(alert), roleWords(alert)]);
    this.#why.show(why(alert));
    this.#outcomes.show(outcomesSentence(alert));
    this.#ports.show(portsSentence(alert));
    this.#evidence.show(alert, context);
  }

  #showTimes({ openedAt, closedAt }: Alert, { clock, now }: CardContext): void {
    const at = closedAt ?? openedAt;
    const words = clock.at(at, now);
    this.#when.dateTime = new Date(at).toISOString();
    setTextAndTitle(this.#when, words, new Date(at).toISOString());
    setText(this.#ago, closedAt === null ? ago(at, now) : `${ago(at, now)}, lasted ${span(closedAt - openedAt)}`);
  }

  #arrange(isFolded: boolean): void {
    if (this.#isFolded === isFolded) return;
    this.#isFolded = isFolded;
    const facts = [this.#facts.element, this.#why.element, this.#outcomes.element, this.#ports.element];
    if (isFolded) {
      this.#summary.replaceChildren(this.#head, this.#sentence);
      this.#fold.replaceChildren(this.#summary, ...facts, this.#evidence.element);
      this.element.replaceChildren(this.#fold);
    } else {
      this.element.replaceChildren(this.#head, this.#sentence, ...facts, this.#evidence.element);
    }
  }
}

/** Names with values; a name without a value is hidden. */
class Facts {
  readonly element = make("dl", "facts");
  readonly #values: HTMLElement[];

  constructor(names: readonly string[]) {
    this.#values = names.map((name) => {
      const [pair, term, value] = [make("div", ""), make("dt", ""), make("dd", "")];
      setText(term, name);
      pair.append(term, value);
      this.element.append(pair);
      return value;
    });
  }

  show(words: readonly string[]): void {
    this.#values.forEach((value, index) => {
      const text = words[index] ?? "";
      setText(value, text);
      if (value.parentElement !== null) setHidden(value.parentElement, text === "");
    });
  }
}

/** A line that begins with its name, hidden if it has no words. */
class Line {
  readonly element: HTMLElement;
  readonly #words = make("span", "");

  constructor(name: string, className: string) {
    this.element = make("p", `line ${className}`.trim());
    const title = make("span", "line-name");
    setText(title, `${name}: `);
    this.element.append(title, this.#words);
  }

  show(words: string): void {
    setText(this.#words, words);
    setHidden(this.element, words === "");
  }
}

/** What is known besides: targets, destinations, ports, the id. Its content is made when it is opened. */
class Evidence {
  readonly element = make("details", "evidence");
  readonly summary = make("summary", "");
  readonly #content = make("div", "evidence-content");
  #alert: Alert | null = null;
  #context: CardContext | null = null;
  /** What the content was made from. */
  #shown = "";

  constructor() {
    setText(this.summary, "Evidence");
    this.element.append(this.summary, this.#content);
    this.element.addEventListener("toggle", () => this.#fill());
  }

  show(alert: Alert, context: CardContext): void {
    this.#alert = alert;
    this.#context = context;
    this.#fill();
  }

  #fill(): void {
    if (!this.element.open || this.#alert === null || this.#context === null) return;
    const { alert, context } = { alert: this.#alert, context: this.#context };
    const version = JSON.stringify([alert.destinations, alert.ports, alert.droppedFrames, alert.contacts?.targets, alert.storm, alert.closedAt, hasOutdatedBytes(alert)]);
    if (version === this.#shown) return;
    this.#shown = version;
    this.#content.replaceChildren(...parts(alert, context));
  }
}

function parts(alert: Alert, { clock, now }: CardContext): HTMLElement[] {
  const { contacts, destinations, ports, droppedFrames, storm, stormId } = alert;
  const made: HTMLElement[] = [];
  if (storm !== null && storm.networks.length > 0) {
    const rows = storm.networks.map(({ network, hosts }) => [network, grouped(hosts)]);
    made.push(smallTable("Networks with the most of its hosts", ["Network", "Hosts"], rows));
  }
  if (storm !== null && storm.sample.length > 0) {
    const all = storm.sample.length === storm.hosts;
    const list = paragraph(`${all ? "Its hosts" : `The latest ${grouped(storm.sample.length)} hosts`}: ${storm.sample.toReversed().join(", ")}`);
    list.className = "ports";
    // A long list scrolls, so the keyboard must reach it.
    list.tabIndex = 0;
    made.push(list);
  }
  if (contacts !== null && !contacts.answersVisible) {
    made.push(paragraph("Answers do not pass this gateway, so the outcomes of contacts are unknown."));
  }
  if (contacts !== null && contacts.busiestPorts.length > 0) {
    const rows = contacts.busiestPorts.map(({ port, hosts, outcomes }) => [
      port,
      grouped(hosts),
      [...outcomes].filter(([, n]) => n > 0).map(([outcome, n]) => `${grouped(n)} ${outcomeWords(outcome)}`).join(", "),
    ]);
    made.push(smallTable("Busiest ports", ["Port", "Hosts", "Outcomes"], rows));
  }
  if (contacts !== null && contacts.targets.length > 0) {
    const rows = contacts.targets.map(({ address, port, outcome }) => [address, port || "–", outcomeWords(outcome)]);
    made.push(smallTable("Some of the targets", ["Host", "Port", "Outcome"], rows));
  }
  if (destinations.length > 0) {
    const hasShares = !hasOutdatedBytes(alert);
    const rows = destinations
      .slice(0, DESTINATIONS_SHOWN)
      .map(({ address, bytes }) => [address, readableBytes(bytes), ...(hasShares ? [roughShare(bytes, alert.bytes)] : [])]);
    const rest = destinations.length > DESTINATIONS_SHOWN ? `, the ${DESTINATIONS_SHOWN} largest of ${destinations.length}` : "";
    made.push(smallTable(`Destinations of its bytes${rest}`, ["Host", "Bytes", ...(hasShares ? ["Share"] : [])], rows));
  }
  if (ports.length > 0) {
    const list = paragraph(`${groupedCount(ports.length, "port")}: ${portRanges(ports).join(", ")}`);
    list.className = "ports";
    // A long list scrolls, so the keyboard must reach it.
    list.tabIndex = 0;
    made.push(list);
  }
  if (droppedFrames > 0) {
    made.push(paragraph(`${groupedCount(droppedFrames, "frame")} were lost meanwhile, so the true values are larger.`));
  }
  made.push(paragraph(`Opened at ${clock.at(alert.openedAt, now)}; id ${alert.id}; kind ${alert.kind}${stormId === null ? "" : `; part of storm ${stormId}`}.`));
  return made;
}

const DESTINATIONS_SHOWN = 20;

function paragraph(words: string): HTMLElement {
  const made = make("p", "");
  setText(made, words);
  return made;
}

function smallTable(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): HTMLElement {
  const table = make("table", "small");
  table.createCaption().textContent = title;
  const head = table.createTHead().insertRow();
  for (const words of heads) {
    const cell = make("th", "");
    cell.scope = "col";
    cell.textContent = words;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const words of row) {
      const cell = line.insertCell();
      cell.textContent = words;
      // Ports and addresses of IPv4 are short enough to stay whole.
      cell.classList.toggle("whole", /^[\d.]+(\/\w+)?$/.test(words));
    }
  }
  return table;
}
