// Repeats a request, one at a time, and reports its result.

export interface Outcome<T> {
  readonly onData: (data: T) => void;
  readonly onOutage: (error: unknown) => void;
}

/**
 * Calls `request` now and `intervalMs` after each response, while the page is visible. One that takes longer than
 * `deadlineMs` is an outage. Returns a function that calls it at once.
 */
export function refreshForever<T>(
  request: (signal: AbortSignal) => Promise<T>,
  { onData, onOutage }: Outcome<T>,
  intervalMs: number,
  deadlineMs: number,
): () => void {
  let asking = false;
  let next: number | undefined;

  const turn = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    window.clearTimeout(next);
    try {
      onData(await request(AbortSignal.timeout(deadlineMs)));
    } catch (error) {
      onOutage(error);
    } finally {
      asking = false;
      if (!document.hidden) next = window.setTimeout(() => void turn(), intervalMs);
    }
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) window.clearTimeout(next);
    else void turn();
  });
  void turn();
  return () => void turn();
}
