// Formats of numbers and times.

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat([], { weekday: "short", day: "numeric", month: "short" });

export const time = (at) => clock.format(new Date(at * 1000));
export const date = (at) => day.format(new Date(at * 1000));
export const when = (at) => (new Date(at * 1000).toDateString() === new Date().toDateString() ? time(at) : `${date(at)}, ${time(at)}`);
export const score = (value) => value.toFixed(2);
export const fit = (deviations) => deviations.toFixed(1).replace("-", "−");
export const level = (dbfs) => (dbfs === null || dbfs === undefined ? "–" : String(Math.round(dbfs)).replace("-", "−"));
export const size = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
