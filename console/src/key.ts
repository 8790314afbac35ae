//! The admin key, for as long as this tab is open: in its session storage and in headers, never in an address.

const PLACE = 'fanwire.console.key';

let current = read();

function read(): string | undefined {
  try {
    return sessionStorage.getItem(PLACE) ?? undefined;
  } catch {
    return undefined;
  }
}

/** The key that the operator has shown, if any. */
export function adminKey(): string | undefined {
  return current;
}

/** Keeps a key that the broker has accepted, or forgets it. */
export function keepKey(key: string | undefined): void {
  current = key;
  try {
    if (key === undefined) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, key);
  } catch { /* Where nothing can be kept, the key holds until the page is loaded again. */ }
}
