// Asks again and again, one question at a time, and says how it went.

export interface Outcome<T> {
  readonly onData: (data: T) => void;
  readonly onOutage: (error: unknown) => void;
}

/**
 * Calls `ask` now and `intervalMs` after each answer, while the page is visible. An answer that takes longer than
 * `deadlineMs` is an outage.
 */
export function refreshForever<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  { onData, onOutage }: Outcome<T>,
  intervalMs: number,
  deadlineMs: number,
): void {
  let asking = false;
  let next: number | undefined;

  const turn = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    window.clearTimeout(next);
    try {
      onData(await ask(AbortSignal.timeout(deadlineMs)));
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
}
