//! The plain script: `<script src="/fanwire.js"></script>` defines a global `fanwire` with these.

import { connect, FanwireError } from './index.ts';

(globalThis as { fanwire?: object }).fanwire = { connect, FanwireError };
