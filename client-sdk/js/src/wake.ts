//! What happens to a page and its device: hidden and shown, offline and online, put to sleep and woken. In Node none of it does.

/** Who is told. */
export interface Sleeper {
  /** The page is seen again, or the network came or went: whatever is connected may be dead, and waiting is over. */
  wake(): void;
  /** The browser keeps the page for the back button; an open connection would keep it from doing so. */
  suspend(): void;
  /** The page is back from there. */
  resume(): void;
}

/** Watches the page; returns what ends that. */
export function watchPage(sleeper: Sleeper): () => void {
  if (typeof window === 'undefined' || typeof document === 'undefined') return () => {};
  const events: [EventTarget, string, (event: Event) => void][] = [
    [window, 'online', sleeper.wake],
    [window, 'offline', sleeper.wake],
    [document, 'visibilitychange', () => { if (document.visibilityState === 'visible') sleeper.wake(); }],
    [document, 'resume', sleeper.wake],
    [window, 'pagehide', (event) => { if ((event as PageTransitionEvent).persisted) sleeper.suspend(); }],
    [window, 'pageshow', (event) => { if ((event as PageTransitionEvent).persisted) sleeper.resume(); }],
  ];
  for (const [target, name, listener] of events) target.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of events) target.removeEventListener(name, listener);
  };
}

/** Whether the device says that it has no network. */
export function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}
