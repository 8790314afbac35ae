//! Asks for the admin key. It is shown to the broker in a header, and kept only once the broker has taken it.

import { useRef, useState } from 'preact/hooks';
import { ApiError, ask, paths, type Stats } from '../api.ts';
import { keepKey } from '../key.ts';
import { Trouble } from '../parts/notices.tsx';

export function Login({ reason, onEnter }: { reason: ApiError | undefined; onEnter(): void }) {
  const field = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<Error>();
  const enter = async (event: Event) => {
    event.preventDefault();
    const key = field.current!.value.trim();
    try {
      await ask<Stats>(paths.stats, {}, key);
      keepKey(key);
      onEnter();
    } catch (thrown) {
      setError(thrown instanceof ApiError && thrown.wantsKey ? new Error(`This key is not let in: ${thrown.message}`) : thrown as Error);
      field.current!.select();
      field.current!.focus();
    }
  };
  return (
    <main class="login" id="main">
      <form class="card" onSubmit={enter}>
        <h1><img src="favicon.svg" alt="" width="40" height="40" /> fanwire console</h1>
        <p class="soft">This broker asks for credentials. The console needs an API key with <code>admin = true</code>.</p>
        <label for="key">Admin key</label>
        <input id="key" ref={field} type="password" required autocomplete="off" autofocus spellcheck={false} aria-describedby="kept" />
        <p class="soft small" id="kept">It is kept until this tab is closed, and never stands in an address.</p>
        <Trouble error={error ?? (reason && reason.status === 403 ? reason : undefined)} />
        <button type="submit" class="primary">Sign in</button>
      </form>
    </main>
  );
}
