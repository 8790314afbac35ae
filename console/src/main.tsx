//! The entry of the console: the theme first, so that the page does not flash, then the application.

import 'uplot/dist/uPlot.min.css';
import './style.css';
import './charts.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { applyTheme, savedTheme } from './theme.ts';

applyTheme(savedTheme());
render(<App />, document.getElementById('app')!);
