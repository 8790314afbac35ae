//! The confirmation of an action that cannot be undone. The browser's own dialog keeps the focus inside, returns it
//! afterwards, and closes on Escape.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Trouble } from './notices.tsx';

interface Question {
  title: string;
  children: ComponentChildren;
  /** The label of the button that confirms. */
  verb: string;
  /** Performs the action. */
  act(): Promise<void>;
  /** Called when the dialog closes, confirmed or not. */
  onClose(): void;
}

export function Confirm({ title, children, verb, act, onClose }: Question) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<Error>();
  const [isActing, setActing] = useState(false);
  useEffect(() => dialog.current!.showModal(), []);
  const confirmed = async () => {
    setActing(true);
    try {
      await act();
      dialog.current?.close();
    } catch (thrown) {
      setError(thrown as Error);
      setActing(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={onClose}>
      <h2 id="question">{title}</h2>
      {children}
      <Trouble error={error} />
      <div class="buttons">
        <button type="button" autofocus onClick={() => dialog.current!.close()}>Cancel</button>
        <button type="button" class="danger" disabled={isActing} onClick={confirmed}>{verb}</button>
      </div>
    </dialog>
  );
}
