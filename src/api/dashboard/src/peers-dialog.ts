// The destinations of one host, in a dialog that stays open over refreshes.

import { addressColumn, bytesColumn } from "./columns.ts";
import { any, button, element, setHidden, table } from "./elements.ts";
import type { Host, Peer } from "./model.ts";
import { SortableTable } from "./table.ts";

const dialog = element("destinations", HTMLDialogElement);
const destinations = new SortableTable<Peer>(
  table("destination-table"),
  [addressColumn("Destination", (peer) => peer.address), bytesColumn("Bytes", (peer) => peer.bytes)],
  (peer) => peer.address,
  { column: 1, descending: true },
);
let shown: string | null = null;

export function openPeers(host: Host): void {
  shown = host.address;
  any("destinations-title").textContent = `Destinations of ${host.address}`;
  setHidden(any("destinations-gone"), true);
  destinations.show(host.peers);
  dialog.showModal();
}

/** A host that is gone meanwhile keeps the last destinations that were known, with a remark. */
export function refreshPeers(hosts: readonly Host[]): void {
  if (!dialog.open) return;
  const host = hosts.find((candidate) => candidate.address === shown);
  setHidden(any("destinations-gone"), host !== undefined);
  if (host !== undefined) destinations.show(host.peers);
}

button("destinations-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  // The backdrop belongs to the dialog; its content is in one child.
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => {
  shown = null;
});
