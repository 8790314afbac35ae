//! Dark or light: what the system says, unless the operator has chosen.

/** What can be chosen. */
export type Theme = 'system' | 'light' | 'dark';

const PLACE = 'fanwire.console.theme';

/** What was chosen before, on this browser. */
export function savedTheme(): Theme {
  try {
    const saved = localStorage.getItem(PLACE);
    return saved === 'light' || saved === 'dark' ? saved : 'system';
  } catch {
    return 'system';
  }
}

/** Shows the console in a theme, and remembers it. */
export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    if (theme === 'system') localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, theme);
  } catch { /* Where nothing can be remembered, the choice holds for this page. */ }
  for (const listener of listeners) listener();
}

const listeners = new Set<() => void>();

/** Calls `listener` whenever the colours change, until the returned function is called. */
export function onThemeChange(listener: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  listeners.add(listener);
  media.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    media.removeEventListener('change', listener);
  };
}
