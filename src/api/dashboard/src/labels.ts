// Chooses the labels that are drawn: the important ones first, and none over another or over a station.

/** An area of the drawing, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The areas of the drawing that are reserved in one frame. */
export class Occupancy {
  readonly #cells = new Map<string, Box[]>();

  clear(): void {
    this.#cells.clear();
  }

  /** Reserves the area, free or not. */
  take(box: Box): void {
    for (const cell of cellsOf(box)) {
      const taken = this.#cells.get(cell);
      if (taken === undefined) this.#cells.set(cell, [box]);
      else taken.push(box);
    }
  }

  /** Reserves the area if it is free. Returns true if it was. */
  tryTake(box: Box): boolean {
    for (const cell of cellsOf(box)) {
      if (this.#cells.get(cell)?.some((other) => overlap(box, other))) return false;
    }
    this.take(box);
    return true;
  }
}

/** The upright box around a text that is centred at a point and turned along a line. */
export function turnedBox(x: number, y: number, width: number, height: number, dx: number, dy: number): Box {
  const length = Math.hypot(dx, dy) || 1;
  const [cos, sin] = [Math.abs(dx) / length, Math.abs(dy) / length];
  const halfWidth = (width * cos + height * sin) / 2;
  const halfHeight = (width * sin + height * cos) / 2;
  return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** The squares of a coarse grid that a box touches, so that only near boxes are compared. */
function* cellsOf({ left, top, right, bottom }: Box): Generator<string> {
  for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column += 1) {
    for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row += 1) yield `${column},${row}`;
  }
}

const CELL = 100;
