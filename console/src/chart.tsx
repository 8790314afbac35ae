//! A line chart over the last minutes. It owns the canvas, not the values. The newest values are beside it as text, for screen
//! readers.

import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { onThemeChange } from './theme.ts';

/** One line: its label, and its colour of the chart. */
export interface Line {
  label: string;
  colour: 1 | 2 | 3 | 4;
  values: (number | null)[];
}

const HEIGHT = 150;

/** The maximum width of the chart, in seconds. */
const SPAN_S = 300;

/** The minimum width of the chart, in seconds. */
const SPAN_MIN_S = 60;

/** Steps between the lines of a chart of bytes: a power of two is a round number there. */
const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function Chart({ title, times, lines, format, isBytes = false }: { title: string; times: number[]; lines: Line[]; format: (value: number) => string; isBytes?: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [theme, setTheme] = useState(0);
  useEffect(() => onThemeChange(() => setTheme((before) => before + 1)), []);
  const form = useRef(format);
  form.current = format;
  const labels = lines.map((line) => line.label).join();
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(optionsOf(element, lines, isBytes, (value) => form.current(value)), [[]], element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [theme, labels]);
  useEffect(() => {
    plot.current?.setData([times, ...lines.map((line) => line.values)] as uPlot.AlignedData);
  }, [times, lines, theme, labels]);
  const newest = (line: Line) => line.values.at(-1) ?? null;
  return (
    <figure class="chart card">
      <figcaption>
        <h2>{title}</h2>
        <ul class="legend">
          {lines.map((line) => (
            <li key={line.label}>
              <span class={`swatch colour-${line.colour}`} aria-hidden="true" />
              {lines.length > 1 && <span>{line.label}</span>} <b>{newest(line) === null ? '–' : format(newest(line)!)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={place} role="img" aria-label={`${title} over the last five minutes`} />
    </figure>
  );
}

function optionsOf(element: HTMLElement, lines: Line[], isBytes: boolean, format: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
  const isOnly = lines.length === 1;
  return {
    width: element.clientWidth || 300,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: (_, min, max) => [Math.min(Math.max(min, max - SPAN_S), max - SPAN_MIN_S), max] },
      y: { range: (_, __, max) => [0, Math.max(max, 1) * 1.15] },
    },
    axes: [
      { ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map(timeOf) },
      { ...axis, size: 62, space: 34, ...(isBytes ? { incrs: BYTE_STEPS } : {}), values: (_, ticks) => ticks.map((value) => (value === null ? '' : format(value))) },
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.label,
      stroke: colour(`--chart-${line.colour}`),
      ...(isOnly ? { fill: `${colour(`--chart-${line.colour}`)}22` } : {}),
      width: 2,
      points: { show: false },
    }))],
  };
}

function timeOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return date.getSeconds() === 0 ? time : `${time}:${two(date.getSeconds())}`;
}
