//! The dark or light theme: that of the system, unless the operator chooses one.

/** The choices. */
export type Theme = 'system' | 'light' | 'dark';

const PLACE = 'fanwire.console.theme';

/** Returns the saved choice of this browser. */
export function savedTheme(): Theme {
  try {
    const saved = localStorage.getItem(PLACE);
    return saved === 'light' || saved === 'dark' ? saved : 'system';
  } catch {
    return 'system';
  }
}

/** Applies a theme, and saves the choice. */
export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    if (theme === 'system') localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, theme);
  } catch { /* Without storage, the choice applies to this page only. */ }
  for (const listener of listeners) listener();
}

const listeners = new Set<() => void>();

/** Calls `listener` when the colours change, until the returned function is called. */
export function onThemeChange(listener: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  listeners.add(listener);
  media.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    media.removeEventListener('change', listener);
  };
}
