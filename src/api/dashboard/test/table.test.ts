import assert from "node:assert/strict";
import { test } from "node:test";
import { Occupancy, turnedBox } from "../src/labels.ts";
import { nextOrder, sortedRows } from "../src/table.ts";

const columns = [
  { compare: (a: { n: number }, b: { n: number }) => a.n - b.n },
  {},
];
const rows = [{ n: 2, id: "a" }, { n: 1, id: "b" }, { n: 2, id: "c" }, { n: 3, id: "d" }];

test("rows are sorted either way and equal ones stay as they came", () => {
  const ids = (descending: boolean) => sortedRows(rows, columns, { column: 0, descending }).map((row) => row.id);
  assert.deepEqual(ids(false), ["b", "a", "c", "d"]);
  assert.deepEqual(ids(true), ["d", "a", "c", "b"]);
  assert.deepEqual(rows.map((row) => row.id), ["a", "b", "c", "d"], "the report itself is not touched");
});

test("a column without an order keeps the rows as they came", () => {
  assert.deepEqual(sortedRows(rows, columns, { column: 1, descending: true }), rows);
});

test("a click turns the order of a column round; a new column begins with what matters", () => {
  const order = { column: 0, descending: true };
  assert.deepEqual(nextOrder(order, 0, true), { column: 0, descending: false });
  assert.deepEqual(nextOrder(order, 1, true), { column: 1, descending: true });
  assert.deepEqual(nextOrder(order, 1, false), { column: 1, descending: false });
});

test("no label is put over another", () => {
  const taken = new Occupancy();
  const box = (left: number, top: number) => ({ left, top, right: left + 80, bottom: top + 13 });
  assert.ok(taken.tryTake(box(0, 0)));
  assert.ok(!taken.tryTake(box(79, 12)));
  assert.ok(taken.tryTake(box(80, 0)), "side by side");
  assert.ok(taken.tryTake(box(0, 13)), "one below the other");
  assert.ok(!taken.tryTake({ left: -500, top: -500, right: 500, bottom: 500 }), "across many cells");
  assert.ok(taken.tryTake(box(-80, -13)));
  taken.clear();
  assert.ok(taken.tryTake(box(79, 12)));
});

test("a turned label takes the room of its upright box", () => {
  assert.deepEqual(turnedBox(0, 0, 40, 10, 1, 0), { left: -20, right: 20, top: -5, bottom: 5 });
  assert.deepEqual(turnedBox(0, 0, 40, 10, 0, -3), { left: -5, right: 5, top: -20, bottom: 20 });
});
