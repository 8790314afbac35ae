//! The confirmation before a session is disconnected.

import { call, paths } from '../api.ts';
import { Confirm } from './confirm.tsx';

export function Disconnect({ connection, who, onDone, onClose }: { connection: string; who: string; onDone(): void; onClose(): void }) {
  return (
    <Confirm
      title="Disconnect this session?" verb="Disconnect" onClose={onClose}
      act={async () => {
        await call(paths.disconnect(connection), { reason: 'disconnected by an operator' });
        onDone();
      }}
    >
      <p>Session <code>{connection}</code>{who && <> of <b>{who}</b></>} is closed with code 4440. Clients do not reconnect by themselves after this code.</p>
    </Confirm>
  );
}
