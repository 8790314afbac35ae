//! The plain script: `<script src="/fanwire-msgpack.js"></script>` after the client's script adds `fanwire.msgpack`.

import { msgpack } from './msgpack.ts';

Object.assign((globalThis as { fanwire?: object }).fanwire ??= {}, { msgpack });
