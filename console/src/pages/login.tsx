//! The sign-in form for the admin key. The key is sent in a header, and kept only after the broker has accepted it.

import { useRef, useState } from 'preact/hooks';
import { ApiError, request, paths, type Stats } from '../api.ts';
import { keepKey } from '../key.ts';
import { Trouble } from '../parts/notices.tsx';

/** `reason` is the refusal that led here, and `refusedKey` the kept key that it refused, if there was one. */
export function Login({ reason, refusedKey, onEnter }: { reason: ApiError; refusedKey: string | undefined; onEnter(): void }) {
  const field = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<Error | undefined>(() => firstError(reason, refusedKey));
  const enter = async (event: Event) => {
    event.preventDefault();
    const key = field.current!.value.trim();
    try {
      if (!/^[\x21-\x7e]+$/.test(key)) throw new Error(`An admin key has no spaces and only ASCII characters. ${HOW_TO_PASTE}`);
      await request<Stats>(paths.stats, {}, key);
      keepKey(key);
      onEnter();
    } catch (thrown) {
      setError(thrown instanceof ApiError && thrown.wantsKey ? new Error(refusalOf(thrown, key)) : thrown as Error);
      field.current!.select();
      field.current!.focus();
    }
  };
  return (
    <main class="login" id="main">
      <form class="card" onSubmit={enter}>
        <h1><img src="favicon.svg" alt="" width="40" height="40" /> fanwire console</h1>
        <p class="soft">This broker requires credentials. The console needs an admin key: an API key with <code>admin = true</code>.</p>
        <label for="key">Admin key</label>
        <input id="key" ref={field} type="password" required autocomplete="off" autofocus spellcheck={false} aria-describedby="kept" />
        <p class="soft small" id="kept">The key is kept until you close this tab, and is never part of an address.</p>
        <Trouble error={error} />
        <button type="submit" class="primary">Sign in</button>
      </form>
    </main>
  );
}

/** What every admin key begins with (`fanwire token key`). */
const KEY_PREFIX = 'fwk_';

const HOW_TO_PASTE = 'Paste it exactly as "fanwire token key" printed it.';

/** Explains why the broker refused a key. The broker's own sentence is not shown: it explains tokens of users, too. */
function refusalOf({ status }: ApiError, key: string): string {
  if (!key.startsWith(KEY_PREFIX)) {
    return `This is not an admin key. An admin key begins with ${KEY_PREFIX}; "fanwire token key NAME --admin" makes one.`;
  }
  if (status === 403) return 'The broker knows this API key, but it is not an admin key. Set admin = true in its [[key]] section, then reload the configuration (SIGHUP).';
  return `The broker does not know this admin key. ${HOW_TO_PASTE} Its hash must be in a [[key]] section of the broker's configuration.`;
}

/** Without a key, a refusal only means that one is needed; any other refusal, such as that of a host name, is shown. */
function firstError(reason: ApiError, refusedKey: string | undefined): Error | undefined {
  if (refusedKey !== undefined) return new Error(refusalOf(reason, refusedKey));
  return reason.status === 403 ? reason : undefined;
}
