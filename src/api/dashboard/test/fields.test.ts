import assert from "node:assert/strict";
import { test } from "node:test";
import { shown, text } from "../src/fields.ts";

test("characters that have no glyph of their own are shown as escapes", () => {
  for (const [value, expected] of [
    ["Größe 日本語 a\u0301 ⚠\ufe0f", "Größe 日本語 a\u0301 ⚠\ufe0f"],
    ["\u202egpj.exe", "\\u{202e}gpj.exe"],
    ["a\u2066b\u2069\u200b\ufeff", "a\\u{2066}b\\u{2069}\\u{200b}\\u{feff}"],
    ["a\n\u001b", "a\\u{a}\\u{1b}"],
    ["x\u{e0041}\u2028\u3164", "x\\u{e0041}\\u{2028}\\u{3164}"],
  ] as const) {
    assert.equal(shown(value), expected);
    assert.equal(text({ value }, "value"), expected);
  }
});
