//! What a page in strict TypeScript may write, which has the types of browsers. The tests compile it, and never run it.

import { connect } from 'fanwire';

connect('http://localhost:7400', { WebSocket: globalThis.WebSocket, memory: sessionStorage });
