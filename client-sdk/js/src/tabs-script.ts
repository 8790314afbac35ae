//! The plain script: `<script src="/fanwire-tabs.js"></script>` after the client's script adds `fanwire.tabs`.

import { tabs } from './tabs.ts';

Object.assign((globalThis as { fanwire?: object }).fanwire ??= {}, { tabs });
