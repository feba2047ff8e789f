// When and by which camera pictures were taken. A click filters; a second one, elsewhere, widens.

import { count, h } from "./dom.js";
import { having, parts, valueOf, without } from "./filters.js";

const HOUR = 3_600_000;
const STEPS = [1, 2, 3, 6, 12, 24, 48, 168, 336, 720, 2160, 8760];
const LEVELS = 5;
const NAMES = 124; // pixels of the column of names
const CELL = 28; // and of a cell, at least: as wide as a finger's target has to be, and its gap

/** The timeline of bins (camera, hour, pictures) as an element; `filter` takes the new words. */
export function timeline(bins, hits, filters, filter, width) {
  const timed = bins.filter((bin) => bin.hour);
  const cameras = [...new Set(bins.map((bin) => bin.camera))].sort((one, other) =>
    (one ?? "").localeCompare(other ?? "", "en", { numeric: true }),
  );
  if (!timed.length) return untimed(bins, cameras, filters, filter);
  const axis = axisOf(timed, Math.max(8, Math.min(60, Math.floor((width - NAMES) / CELL))));
  const chosen = chosenOf(filters);
  const cells = new Map();
  for (const bin of timed) add(cells, bin.camera, axis.at(moment(bin.hour)), bin.pictures);
  const found = new Map();
  for (const hit of hits) if (hit.time) add(found, hit.camera, axis.at(moment(hit.time)), 1);
  const most = Math.max(...cells.values());
  const row = (camera) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, cameraButton(camera, filters, filter)),
      axis.starts.map((start, at) => {
        const key = `${camera}\n${at}`;
        const number = cells.get(key) ?? 0;
        if (!number) return h("td");
        const level = Math.max(1, Math.ceil(LEVELS * Math.sqrt(number / most)));
        const matched = found.get(key) ?? 0;
        const said = `${camera ?? "no camera"}, ${span(start, axis.step)}: ${count(number, "picture")}${matched ? `, ${count(matched, "hit")}` : ""}`;
        const within =
          chosen.has(start, start + axis.step * HOUR) &&
          (chosen.cameras.size === 0 || chosen.cameras.has(camera));
        return h(
          "td",
          {},
          h("button", {
            type: "button",
            class: `cell l${level}${matched ? " hit" : ""}${within ? "" : " out"}`,
            tabindex: "-1",
            title: said,
            "aria-label": said,
            "aria-pressed": String(chosen.any && within),
            onclick: (event) =>
              filter(
                ranged(filters, start, start + axis.step * HOUR, event.shiftKey ? chosen : null),
              ),
          }),
        );
      }),
    );
  const table = h(
    "table",
    {},
    h(
      "caption",
      { class: "unseen" },
      `Pictures by camera and time; each cell is ${lengthOf(axis.step)}`,
    ),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, h("span", { class: "unseen" }, "Camera")),
        axis.starts.map((start, at) =>
          axis.label(at) ? h("th", { scope: "col" }, h("span", {}, axis.label(at))) : h("td"),
        ),
      ),
    ),
    h("tbody", {}, cameras.filter((camera) => timed.some((bin) => bin.camera === camera)).map(row)),
  );
  roving(table);
  return h("div", { class: "timeline" }, table);
}

function untimed(bins, cameras, filters, filter) {
  const total = (camera) =>
    bins.filter((bin) => bin.camera === camera).reduce((sum, bin) => sum + bin.pictures, 0);
  return h(
    "div",
    { class: "timeline untimed" },
    h(
      "div",
      { class: "row" },
      cameras.map((camera) => cameraButton(camera, filters, filter, total(camera))),
    ),
    h(
      "p",
      { class: "hint" },
      "No picture here says when it was taken; index with ",
      h("code", {}, "--time-pattern"),
      " or a list with times.",
    ),
  );
}

function cameraButton(camera, filters, filter, number = null) {
  if (camera === null)
    return h("span", { class: "camera" }, "no camera", number !== null && ` ${number}`);
  const word = `camera:${camera}`;
  const on = filters.includes(word);
  return h(
    "button",
    {
      type: "button",
      class: "camera",
      "aria-pressed": String(on),
      onclick: () => filter(on ? without(filters, word) : having(filters, word)),
    },
    camera,
    number !== null && h("span", {}, ` ${number}`),
  );
}

function axisOf(timed, most) {
  const moments = timed.map((bin) => moment(bin.hour));
  const first = Math.min(...moments);
  const last = Math.max(...moments) + HOUR;
  const step = STEPS.find((hours) => (last - first) / (hours * HOUR) <= most - 1) ?? STEPS.at(-1);
  const begin = Math.floor(first / (Math.max(step, 1) * HOUR)) * step * HOUR;
  const starts = [];
  for (let start = begin; start < last; start += step * HOUR) starts.push(start);
  const each = Math.max(1, Math.ceil(starts.length / (most / 5)));
  return {
    step,
    starts,
    at: (time) => Math.floor((time - begin) / (step * HOUR)),
    label: (at) =>
      step < 24 ? dayOrClock(starts, at, step, each) : at % each === 0 ? day(starts[at]) : null,
  };
}

function dayOrClock(starts, at, step, each) {
  const midnight = starts[at] % (24 * HOUR) < step * HOUR;
  if (at === 0 || midnight) return day(starts[at]);
  const next = starts.findIndex((start, later) => later > at && start % (24 * HOUR) < step * HOUR);
  const before = starts.slice(0, at).findLastIndex((start) => start % (24 * HOUR) < step * HOUR);
  const clear = at - Math.max(before, 0) >= each && (next < 0 || next - at >= each);
  return clear && (at - Math.max(before, 0)) % each === 0 ? clock(starts[at]) : null;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const day = (time) => `${new Date(time).getUTCDate()} ${MONTHS[new Date(time).getUTCMonth()]}`;
const clock = (time) => `${String(new Date(time).getUTCHours()).padStart(2, "0")}:00`;
const iso = (time) => new Date(time).toISOString().slice(0, time % (24 * HOUR) ? 16 : 10);

function span(start, step) {
  if (step < 24) return `${day(start)}, ${clock(start)} to ${clock(start + step * HOUR)}`;
  return step === 24 ? day(start) : `${day(start)} to ${day(start + (step - 24) * HOUR)}`;
}

const lengthOf = (step) => (step < 24 ? count(step, "hour") : count(step / 24, "day"));

/** A moment of the gallery's own clock, as if it were UTC: nothing here depends on this browser's zone. */
const moment = (time) =>
  Date.parse(
    time.length === 13
      ? `${time}:00Z`
      : `${time.slice(0, 19)}${time.length === 10 ? "T00:00:00" : ""}Z`,
  );

function chosenOf(filters) {
  const on = valueOf(filters, "on");
  const after = valueOf(filters, "after");
  const before = valueOf(filters, "before");
  const from = on ? moment(on) : after ? moment(whole(after)) : -Infinity;
  const until = on ? from + 24 * HOUR : before ? moment(whole(before)) : Infinity;
  const cameras = new Set(
    filters
      .map(parts)
      .filter(({ name }) => name === "camera")
      .map(({ value }) => value),
  );
  return {
    from,
    until,
    cameras,
    any: Boolean(on || after || before),
    has: (start, end) => end > from && start < until,
  };
}

const whole = (time) => (time.length === 16 ? `${time}:00` : time);

function ranged(filters, start, end, chosen) {
  const kept = filters.filter((word) => !["on", "after", "before"].includes(parts(word).name));
  const widened = chosen?.any
    ? [Math.min(chosen.from, start), Math.max(chosen.until, end)]
    : [start, end];
  const now = chosenOf(filters);
  if (now.from === widened[0] && now.until === widened[1]) return kept;
  const [from, until] = widened;
  if (until - from === 24 * HOUR && from % (24 * HOUR) === 0) return [...kept, `on:${iso(from)}`];
  return [
    ...kept,
    ...(Number.isFinite(from) ? [`after:${iso(from)}`] : []),
    ...(Number.isFinite(until) ? [`before:${iso(until)}`] : []),
  ];
}

function add(tally, camera, at, number) {
  const key = `${camera}\n${at}`;
  tally.set(key, (tally.get(key) ?? 0) + number);
}

/** One stop for Tab; arrow keys go from cell to cell. */
function roving(table) {
  const cells = [...table.querySelectorAll(".cell")];
  (cells.find((cell) => cell.getAttribute("aria-pressed") === "true") ?? cells[0])?.setAttribute(
    "tabindex",
    "0",
  );
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    const [rows, columns] = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
    }[event.key] ?? [0, 0];
    if (!cell || (!rows && !columns)) return;
    event.preventDefault();
    const next = neighbour(table, cell, rows, columns);
    if (!next) return;
    cell.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function neighbour(table, cell, rows, columns) {
  const [row, column] = [cell.closest("tr").rowIndex, cell.closest("td").cellIndex];
  if (columns) {
    const line = [...table.rows[row].querySelectorAll(".cell")];
    return line[line.indexOf(cell) + columns];
  }
  const other = [...(table.rows[row + rows]?.querySelectorAll(".cell") ?? [])];
  const far = (each) => Math.abs(each.closest("td").cellIndex - column);
  return other.sort((one, two) => far(one) - far(two))[0];
}
