//! The plain script: `<script src="/fanwire.js"></script>` makes a global `fanwire` of these.

import { connect, FanwireError } from './index.ts';

(globalThis as { fanwire?: object }).fanwire = { connect, FanwireError };
