// The banners on top of the page when frames are lost and the numbers are too small.

import type { Accounting } from "./accounting.ts";
import { grouped, groupedCount, percent, seconds, share } from "./words.ts";

/** A sentence around one number, so that a new number does not replace the sentence. */
export interface Notice {
  readonly before: string;
  readonly figure: string;
  readonly after: string;
}

/** The banners to show now; `null` for the others. */
export interface Notices {
  /** More frames are lost than `LossLimit`. */
  readonly losing: Notice | null;
  /** Some frames were lost. */
  readonly lost: Notice | null;
  /** Some frames were lost before any socket saw them. */
  readonly lostBefore: Notice | null;
}

export function notices(accounting: Accounting, trafficSeconds: number, grownBacklogDrops: number): Notices {
  const { offeredFrames, droppedFrames, droppedPercent, hasAlert } = accounting.loss;
  const span = `the last ${seconds(trafficSeconds)}`;
  const losing = hasAlert && droppedFrames > 0;
  const few: Notice = {
    before: `Some frames of ${span} were lost: `,
    figure: `${grouped(droppedFrames)} of ${grouped(offeredFrames)} (${share(droppedFrames, offeredFrames)})`,
    after: ". The traffic shown here lacks them.",
  };
  // An alert stays open for a while after the last loss.
  const over: Notice = { before: `Frames were lost, but none in ${span}.`, figure: "", after: " The alert closes by itself." };
  return {
    losing: losing
      ? {
          before: "Frames are being lost: ",
          figure: percent(droppedPercent),
          after: ` of the frames of ${span}. Every number here is too small. Raise RingMemory or Workers.`,
        }
      : null,
    lost: losing ? null : droppedFrames > 0 ? few : hasAlert ? over : null,
    lostBefore:
      grownBacklogDrops > 0
        ? {
            before: "Since this page was opened, ",
            figure: groupedCount(grownBacklogDrops, "frame"),
            after:
              " of this machine were lost before any socket saw them. The traffic shown here lacks them. " +
              "Raise net.core.netdev_max_backlog.",
          }
        : null,
  };
}

/** The growth of a count since its first value. */
export class Growth {
  #last: number | null = null;
  #grown = 0;

  /** A count that is less than before has begun anew: the server was started again. */
  of(count: number | null): number {
    if (count === null) return this.#grown;
    if (this.#last !== null) this.#grown += count < this.#last ? count : count - this.#last;
    this.#last = count;
    return this.#grown;
  }
}
