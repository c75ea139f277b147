// Whether the numbers can be believed: what is said on top of the page when frames are lost.

import type { Accounting } from "./accounting.ts";
import { grouped, groupedCount, percent, seconds, share } from "./words.ts";

/** A sentence around one number, so that a new number is no new sentence. */
export interface Notice {
  readonly before: string;
  readonly figure: string;
  readonly after: string;
}

/** What is to be said now; `null` for what is not. */
export interface Notices {
  /** Too much is being lost. */
  readonly losing: Notice | null;
  /** Some was lost. */
  readonly lost: Notice | null;
  /** Some was lost where no socket could see it. */
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

/** How much a count has grown since it was first seen. */
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
