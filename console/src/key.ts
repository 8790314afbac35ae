//! The admin key while this tab is open: in its session storage and in headers, never in an address.

const PLACE = 'fanwire.console.key';

let current = read();

function read(): string | undefined {
  try {
    return sessionStorage.getItem(PLACE) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Returns the key of the operator, if there is one. */
export function adminKey(): string | undefined {
  return current;
}

/** Keeps a key that the broker has accepted, or removes it. */
export function keepKey(key: string | undefined): void {
  current = key;
  try {
    if (key === undefined) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, key);
  } catch { /* Without storage, the key is kept until the page is loaded again. */ }
}
