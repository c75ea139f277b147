// The elements that the page has from the start, by their id.

export function element<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} with the id ${id}`);
  return found;
}

export const button = (id: string) => element(id, HTMLButtonElement);
export const table = (id: string) => element(id, HTMLTableElement);
export const any = (id: string) => element(id, HTMLElement);

/** Hides or shows an element, and changes nothing if it is so already: a screen reader might repeat a changed one. */
export function setHidden(element: HTMLElement, hidden: boolean): void {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** Makes an element with these classes. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  return made;
}
