// Asks for the token when the server needs one. The browser keeps no more than a cookie that scripts cannot read.

import { any, button, element, setHidden } from "./elements.ts";
import { record, text } from "./fields.ts";
import { setText } from "./table.ts";

/** The server refused a request because it needs the token, or none is set. */
export class NotSignedIn extends Error {
  /** True if a token would help. */
  readonly tokenHelps: boolean;

  constructor(status: number) {
    super(`the server answered ${status}`);
    this.tokenHelps = status !== FORBIDDEN;
  }
}

/** True for the statuses of a request whose sender must show the token, or pause before he shows it again. */
export const needsToken = (status: number): boolean =>
  status === UNAUTHORIZED || status === FORBIDDEN || status === TOO_MANY_REQUESTS;

/** What the form says about the answer to a token; `null` if the token is right. */
export function answerInWords(status: number, detail: string): string | null {
  if (status >= 200 && status < 300) return null;
  if (status === UNAUTHORIZED) return "That is not the token.";
  return detail === "" ? `The server answered ${status}.` : `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`;
}

const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const TOO_MANY_REQUESTS = 429;

/** Shows the form, or hides it with what was typed. */
export function showSignIn(shown: boolean): void {
  const section = any("sign-in");
  if (section.hidden !== shown) return;
  setHidden(section, !shown);
  if (shown) field().focus();
  else clear();
}

/** Sends what is typed into the form, and calls `onSignedIn` when it was the token. */
export function listenForToken(onSignedIn: () => void): void {
  element("sign-in-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void send(onSignedIn);
  });
}

async function send(onSignedIn: () => void): Promise<void> {
  const submit = button("sign-in-send");
  submit.disabled = true;
  try {
    const response = await fetch("../api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: field().value.trim() }),
    });
    const words = answerInWords(response.status, response.ok ? "" : await detailOf(response));
    setText(any("sign-in-answer"), words ?? "");
    if (words === null) {
      clear();
      onSignedIn();
    } else {
      field().select();
    }
  } catch {
    setText(any("sign-in-answer"), "The server does not answer.");
  } finally {
    submit.disabled = false;
  }
}

async function detailOf(response: Response): Promise<string> {
  try {
    return text(record(await response.json(), "problem"), "detail");
  } catch {
    return "";
  }
}

const field = (): HTMLInputElement => element("sign-in-token", HTMLInputElement);

function clear(): void {
  field().value = "";
  setText(any("sign-in-answer"), "");
}
