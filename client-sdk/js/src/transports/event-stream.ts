//! Reads the text of an event stream (WHATWG HTML §9.2.6), piece by piece as it comes. Who sent it is not known here.

/** One event. */
export interface StreamEvent {
  /** `message` where the stream names no other. */
  type: string;
  data: string;
}

/** Makes a reader: call it with each piece of text; it calls `tell` with each event that is complete. */
export function eventReader(tell: (event: StreamEvent) => void): (piece: string) => void {
  let rest = '';
  let type = '';
  let data: string[] = [];
  return (piece) => {
    // A CR at the end of a piece may be the first half of a CRLF: it waits for what comes next.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) tell({ type: type || 'message', data: data.join('\n') });
        type = '';
        data = [];
        continue;
      }
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
      if (name === 'data') data.push(value!);
      if (name === 'event') type = value!;
    }
  };
}
