//! Events of a page and its device: hidden and visible, offline and online, asleep and awake. Node has none of them.

/** Receives the events. */
export interface Sleeper {
  /** The page is visible again, or the network changed: a connection may be dead, and a wait ends. */
  wake(): void;
  /** The browser keeps the page for its back button, which an open connection would prevent. */
  suspend(): void;
  /** The page is back. */
  resume(): void;
}

/** Watches the page. Returns a function that ends the watch. */
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

/** Returns whether the device has no network. */
export function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}
