// What the page makes of a refusal, and what the form says about a token.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NotSignedIn, answerInWords, needsToken } from "../src/sign-in.ts";

test("the form is shown for refusals that concern the token alone", () => {
  assert.deepEqual([401, 403, 429].map(needsToken), [true, true, true]);
  assert.deepEqual([200, 304, 404, 421, 500, 503].map(needsToken), [false, false, false, false, false, false]);
  assert.deepEqual([401, 403, 429].map((status) => new NotSignedIn(status).tokenHelps), [true, false, true]);
});

test("the form says what came of a token", () => {
  assert.equal(answerInWords(204, ""), null);
  assert.equal(answerInWords(401, "the token is wrong"), "That is not the token.");
  assert.equal(answerInWords(429, "too many wrong tokens came from there: try again in 4 s"), "Too many wrong tokens came from there: try again in 4 s.");
  assert.equal(answerInWords(500, ""), "The server answered 500.");
});
