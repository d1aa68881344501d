// Words, figures and small pieces that all of the console's components share.  Text always goes through Vue's own escaping.
import { h, reactive } from "vue";

// The server's clock: pages show ages by it, so a wrong clock on the looking device changes nothing.
export const clock = reactive({ now: Date.now() / 1000, skew: 0 });
export function setServerTime(seconds) {
  clock.skew = seconds - Date.now() / 1000;
}
setInterval(() => (clock.now = Date.now() / 1000 + clock.skew), 1000);

export const STATES = {
  pending: { label: "Pending", icon: "queue" },
  scheduled: { label: "Scheduled", icon: "clock" },
  available: { label: "Waiting", icon: "waiting" },
  running: { label: "Running", icon: "play" },
  completed: { label: "Completed", icon: "check" },
  retryable: { label: "Retrying", icon: "retry" },
  cancelled: { label: "Cancelled", icon: "stop" },
  dead: { label: "Dead", icon: "cross" },
  failed: { label: "Failed", icon: "cross" },
  rescued: { label: "Rescued", icon: "rescue" },
  released: { label: "Handed back", icon: "retry" },
  snoozed: { label: "Snoozed", icon: "clock" },
  paused: { label: "Paused", icon: "pause" },
  online: { label: "Online", icon: "check" },
  late: { label: "Late", icon: "clock" },
  draining: { label: "Draining", icon: "waiting" },
  lost: { label: "Lost", icon: "alert" },
  stopped: { label: "Stopped", icon: "stop" },
};

export const LINKS = { standalone: "Standalone", connected: "Connected", airgapped: "Air-gapped", recovering: "Recovering" };

const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
export const count = (n) => (n == null ? "–" : Math.abs(n) >= 1e6 ? short.format(n) : number.format(n));

export function took(seconds) {
  if (seconds == null || seconds < 0 || Number.isNaN(seconds)) return "–";
  if (seconds < 0.0005) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}
export function ago(at) {
  if (!at) return "–";
  const s = clock.now - at;
  if (s < -1) return `in ${span(-s)}`;
  return s < 2 ? "now" : `${span(s)} ago`;
}
export function bytes(n) {
  if (n == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  for (; n >= 1000 && step < units.length - 1; step++) n /= 1000;
  return `${step && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[step]}`;
}

const two = (n) => String(n).padStart(2, "0");
export function time(at) {
  const d = new Date(at * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
export function stamp(at) {
  if (!at) return "–";
  const d = new Date(at * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${time(at)}`;
}

// Opens a page of the console as a click on a link would.
export function go(path) {
  const link = document.createElement("a");
  link.href = path;
  document.body.append(link);
  link.click();
  link.remove();
}

export const HfIcon = (props) =>
  h("svg", { class: "i", "aria-hidden": "true" }, [h("use", { href: `/static/icons.svg#${props.name}` })]);
HfIcon.props = ["name"];

export const HfPill = (props) => {
  const known = STATES[props.state] ?? { label: String(props.state), icon: "info" };
  return h("span", { class: `pill ${props.state in STATES ? props.state : ""}` }, [h(HfIcon, { name: known.icon }), known.label]);
};
HfPill.props = ["state"];

// A line of the last values, filled below; nothing when there is nothing to show.
export const HfSpark = (props) => {
  const values = props.values ?? [];
  if (values.length < 2) return h("svg", { class: "spark", "aria-hidden": "true" });
  const width = 84, height = 28, top = Math.max(...values), low = props.zero ? 0 : Math.min(...values);
  const x = (i) => ((i * width) / (values.length - 1)).toFixed(1);
  const y = (v) => (height - 2 - ((v - low) / (top - low || 1)) * (height - 5)).toFixed(1);
  const line = values.map((v, i) => `${i ? "L" : "M"}${x(i)} ${y(v)}`).join("");
  return h("svg", { class: `spark ${props.tone ?? "c1"}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, [
    props.bare != null ? null : h("path", { class: "fill", d: `${line}L${width} ${height}L0 ${height}Z` }),
    h("path", { class: "line", d: line }),
  ]);
};
HfSpark.props = ["values", "tone", "bare", "zero"];

export const parts = { HfIcon, HfPill, HfSpark };
export const words = { count, took, span, ago, bytes, time, stamp };
