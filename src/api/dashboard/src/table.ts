// A table that is sorted by clicking on its headers and refreshed under the reader's eyes: rows keep their
// identity, so focus, selection and scroll position survive.

export interface Column<Row> {
  readonly title: string;
  /** Numbers are aligned right, and sorted largest first when their header is clicked for the first time. */
  readonly numeric?: boolean;
  /** Without an order the header is no button. */
  readonly compare?: (a: Row, b: Row) => number;
  /** Writes a row into its cell; called again with the next state of the same row. */
  readonly fill: (cell: HTMLTableCellElement, row: Row) => void;
}

export interface Order {
  readonly column: number;
  readonly descending: boolean;
}

export class SortableTable<Row> {
  readonly #columns: readonly Column<Row>[];
  readonly #key: (row: Row) => string;
  readonly #body: HTMLTableSectionElement;
  readonly #headers: HTMLTableCellElement[];
  readonly #lines = new Map<string, HTMLTableRowElement>();
  #order: Order;
  #rows: readonly Row[] = [];
  #max = Infinity;

  constructor(
    table: HTMLTableElement,
    columns: readonly Column<Row>[],
    key: (row: Row) => string,
    order: Order,
  ) {
    this.#columns = columns;
    this.#key = key;
    this.#order = order;
    const head = table.createTHead().insertRow();
    this.#headers = columns.map((column, index) => this.#header(head, column, index));
    this.#body = table.createTBody();
    this.#markOrder();
  }

  /** Shows these rows and no others; only the first `max` of them in the order of the table. */
  show(rows: readonly Row[], max = Infinity): void {
    this.#rows = rows;
    this.#max = max;
    const focused = document.activeElement;
    const gone = new Set(this.#lines.keys());
    sortedRows(rows, this.#columns, this.#order).slice(0, max).forEach((row, position) => {
      const key = this.#key(row);
      gone.delete(key);
      const line = this.#line(key);
      this.#columns.forEach((column, index) => {
        const cell = line.cells[index];
        if (cell !== undefined) column.fill(cell, row);
      });
      // Moving an element takes its focus away, so only those that are elsewhere are moved.
      const present = this.#body.rows[position] ?? null;
      if (present !== line) this.#body.insertBefore(line, present);
    });
    for (const key of gone) {
      this.#lines.get(key)?.remove();
      this.#lines.delete(key);
    }
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#body.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }

  #line(key: string): HTMLTableRowElement {
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const line = document.createElement("tr");
    for (const column of this.#columns) {
      const cell = line.insertCell();
      cell.classList.toggle("number", column.numeric === true);
      // On a screen too narrow for the columns, each cell shows the name of its column.
      cell.dataset["title"] = column.title;
    }
    this.#lines.set(key, line);
    return line;
  }

  #header(head: HTMLTableRowElement, column: Column<Row>, index: number): HTMLTableCellElement {
    const header = document.createElement("th");
    header.scope = "col";
    header.dataset["title"] = column.title;
    header.classList.toggle("number", column.numeric === true);
    if (column.compare === undefined) {
      header.textContent = column.title;
    } else {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.title;
      button.addEventListener("click", () => {
        this.#order = nextOrder(this.#order, index, column.numeric === true);
        this.#markOrder();
        this.show(this.#rows, this.#max);
      });
      header.append(button);
    }
    head.append(header);
    return header;
  }

  #markOrder(): void {
    this.#headers.forEach((header, index) => {
      if (index !== this.#order.column) header.removeAttribute("aria-sort");
      else header.setAttribute("aria-sort", this.#order.descending ? "descending" : "ascending");
    });
  }
}

/** The order after a click on the header of `column`. */
export function nextOrder(order: Order, column: number, numeric: boolean): Order {
  return order.column === column
    ? { column, descending: !order.descending }
    : { column, descending: numeric };
}

/** The rows in that order; equal ones stay as they came. */
export function sortedRows<Row>(
  rows: readonly Row[],
  columns: readonly Pick<Column<Row>, "compare">[],
  order: Order,
): Row[] {
  const compare = columns[order.column]?.compare ?? (() => 0);
  return rows.toSorted(order.descending ? (a, b) => compare(b, a) : compare);
}

/** Puts text into a cell only where it differs, so that a selection in it survives. */
export function setText(cell: HTMLElement, text: string): void {
  if (cell.textContent !== text) cell.textContent = text;
}

/** As `setText`, with a tooltip. */
export function setTextAndTitle(element: HTMLElement, text: string, title: string): void {
  setText(element, text);
  if (element.title !== title) element.title = title;
}
