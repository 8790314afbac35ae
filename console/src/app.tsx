//! The console: the sign-in, the navigation, and the poll of /api/v1/stats that all pages share.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, request, paths, type Stats } from './api.ts';
import { adminKey, keepKey } from './key.ts';
import { Login } from './pages/login.tsx';
import { Overview } from './pages/overview.tsx';
import { Session } from './pages/session.tsx';
import { Sessions } from './pages/sessions.tsx';
import { Topic } from './pages/topic.tsx';
import { Topics } from './pages/topics.tsx';
import { usePolled } from './poll.ts';
import { hrefOf, type Place, usePlace } from './router.ts';
import { type History, withStats } from './samples.ts';
import { applyTheme, savedTheme, type Theme } from './theme.ts';

const STATS_EVERY_MS = 2000;

export function App() {
  const [entries, setEntries] = useState(0);
  const { value, error } = usePolled(`stats ${entries}`, (signal) => request<Stats>(paths.stats, { signal }), STATS_EVERY_MS);
  const [history, setHistory] = useState<History>({ samples: [], minutes: [] });
  useEffect(() => { if (value) setHistory((before) => withStats(before, value)); }, [value]);
  const enter = useCallback(() => setEntries((before) => before + 1), []);
  const refused = error instanceof ApiError && error.wantsKey ? error : undefined;
  const refusedKey = useRef<string | undefined>(undefined);
  useEffect(() => { if (refused?.status === 401) keepKey(undefined); }, [refused]);
  if (refused) {
    refusedKey.current = adminKey() ?? refusedKey.current;
    return <Login reason={refused} refusedKey={refusedKey.current} onEnter={enter} />;
  }
  refusedKey.current = undefined;
  if (!value && !error && !history.last) return <p class="starting" role="status">Connecting to the broker …</p>;
  return <Shell history={history} error={error} onLeave={() => { keepKey(undefined); setHistory({ samples: [], minutes: [] }); enter(); }} />;
}

const SECTIONS = [['', 'Overview'], ['topics', 'Topics'], ['sessions', 'Sessions']] as const;

function Shell({ history, error, onLeave }: { history: History; error: Error | undefined; onLeave(): void }) {
  const place = usePlace();
  const main = useRef<HTMLElement>(null);
  const [section = '', detail = ''] = place.path;
  useTitle(place, main);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current!.querySelector<HTMLElement>('h1')?.focus(); }}>Skip to the content</a>
      <header class="top">
        <a class="brand" href="#/"><img src="favicon.svg" alt="" width="28" height="28" /><b>fanwire</b></a>
        <nav aria-label="Console">
          {SECTIONS.map(([path, name]) => (
            <a key={path} href={hrefOf(path ? [path] : [])} aria-current={section === path ? 'page' : undefined}>{name}</a>
          ))}
        </nav>
        <div class="tools">
          <span class={`light ${error ? 'bad' : 'good'}`} role="img" aria-label={error ? 'The broker does not answer' : 'The broker answers'} title={error?.message ?? 'The broker answers'} />
          <ThemeChoice />
          {adminKey() !== undefined && <button type="button" onClick={onLeave}>Sign out</button>}
        </div>
      </header>
      <main id="main" ref={main}>
        {error && <p class="trouble" role="alert">{error.message} The numbers may be out of date.</p>}
        <Page section={section} detail={detail} place={place} history={history} />
      </main>
      <footer>
        <span>fanwire {history.last?.version}</span>
        <nav aria-label="More">
          <a href="./">Start page</a> <a href="openapi.json">OpenAPI</a> <a href="console/licences.txt">Licences</a>
        </nav>
      </footer>
    </>
  );
}

function Page({ section, detail, place, history }: { section: string; detail: string; place: Place; history: History }) {
  switch (section) {
    case '': return <Overview history={history} />;
    case 'topics': return detail ? <Topic key={detail} topic={detail} /> : <Topics key={place.parameters.toString()} parameters={place.parameters} />;
    case 'sessions': return detail ? <Session key={detail} connection={detail} /> : <Sessions key={place.parameters.toString()} parameters={place.parameters} />;
    default: return <><h1 tabIndex={-1}>Nothing here</h1><p>The console has no page of this name. <a href="#/">Overview</a></p></>;
  }
}

/** Sets the title of the tab, and moves the focus to the heading of a new page, as a page load does. */
function useTitle(place: Place, main: { current: HTMLElement | null }): void {
  const path = place.path.join('/');
  const before = useRef(path);
  useEffect(() => {
    const heading = main.current?.querySelector<HTMLElement>('h1');
    document.title = `${heading?.textContent ?? 'fanwire'} · fanwire console`;
    if (before.current !== path) {
      before.current = path;
      heading?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [path]);
}

function ThemeChoice() {
  const [theme, setTheme] = useState<Theme>(savedTheme);
  const choose = (event: Event) => {
    const chosen = (event.currentTarget as HTMLSelectElement).value as Theme;
    applyTheme(chosen);
    setTheme(chosen);
  };
  return (
    <select aria-label="Colours" value={theme} onChange={choose}>
      <option value="system">System</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}
