//! The plain script: `<script src="/fanwire-msgpack.js"></script>` after that of the client adds `fanwire.msgpack`.

import { msgpack } from './msgpack.ts';

Object.assign((globalThis as { fanwire?: object }).fanwire ??= {}, { msgpack });
