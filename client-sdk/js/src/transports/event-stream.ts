//! Reads the text of an event stream (WHATWG HTML §9.2.6), piece by piece.

/** One event. */
export interface StreamEvent {
  /** `message` where the stream names no other type. */
  type: string;
  data: string;
}

/** Returns a reader. Call it with each piece of text. It calls `emit` with each complete event. */
export function eventReader(emit: (event: StreamEvent) => void): (piece: string) => void {
  let rest = '';
  let type = '';
  let data: string[] = [];
  return (piece) => {
    // A CR at the end of a piece may be the first half of a CRLF: it waits for the next piece.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) emit({ type: type || 'message', data: data.join('\n') });
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
